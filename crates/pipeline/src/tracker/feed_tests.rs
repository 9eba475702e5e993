//! What an operator's feed says of sessions.

use session::Identity;
use types::{Apn, Digits, Imei, Msisdn, UeAddress};

use super::stay_tests::{Net, imsi, own, plan, ue, v4, v6};
use super::*;
use crate::Plan;

fn net() -> Net {
    Net::with(&Plan { feed: true, ..plan(false) })
}

fn entry(ue: IpAddr, n: u32) -> FeedEntry {
    let msisdn = Digits::from_text(b"46700000001").map(Msisdn);
    let imei = Digits::from_text(b"35000000000000").map(Imei);
    FeedEntry { ue, network: None, identity: Some(Identity { imsi: Some(imsi(n)), msisdn, imei }) }
}

impl Net {
    fn record(&mut self, teid: u32) -> Record {
        let filter = Filter { teid: Some(types::Teid(teid)), ..Filter::default() };
        let mut found = Vec::new();
        self.tracker().find(&filter, Cursor::default(), &mut found);
        assert_eq!(found.len(), 1, "{teid}");
        found.remove(0)
    }
}

#[test]
fn a_session_without_identity_gets_it_and_moves_once() {
    let mut moves = 0;
    for n in 1..40 {
        for (address, stranger) in [(v4(n).into(), false), (v6(n).into(), false), (v4(n).into(), true)] {
            let mut net = net();
            if stranger {
                net.seen(7, address);
            } else {
                net.establish(None, ue(n), &[7]);
            }
            let before = net.probe_of(7);
            assert_eq!(net.tracker().feed(&entry(address, n)), 1);
            let record = net.record(7);
            assert_eq!((record.imsi, record.probe), (Some(imsi(n)), Some(own(n))));
            assert!(record.msisdn.is_some() && record.imei.is_some());
            assert_eq!(net.moved(), u64::from(before != own(n)));
            moves += net.moved();
            // Again, and another one: it has one.
            assert_eq!(net.tracker().feed(&entry(address, n)), 0);
            assert_eq!(net.tracker().feed(&entry(address, n + 1)), 0);
            assert_eq!(net.record(7).imsi, Some(imsi(n)));
            net.counts_close();
        }
    }
    assert!(moves > 80, "{moves}");
}

#[test]
fn an_entry_holds_for_sessions_that_come_until_it_is_taken_back() {
    let mut net = net();
    for n in 1..=3 {
        assert_eq!(net.tracker().feed(&entry(v4(n).into(), n)), 0);
    }
    net.establish(None, ue(1), &[7]);
    net.seen(8, v4(2).into());
    assert_eq!((net.record(7).imsi, net.probe_of(7)), (Some(imsi(1)), own(1)));
    assert_eq!((net.record(8).imsi, net.probe_of(8)), (Some(imsi(2)), own(2)));
    // Its end: who has it keeps it.
    for n in 1..=3 {
        net.tracker().feed(&FeedEntry { identity: None, ..entry(v4(n).into(), n) });
    }
    net.establish(None, ue(3), &[9]);
    assert_eq!((net.record(7).imsi, net.record(9).imsi), (Some(imsi(1)), None));
    net.counts_close();
}

#[test]
fn a_network_narrows_an_entry_and_counts_more() {
    let network = |name: &str| Apn::from_text(name.as_bytes());
    let mut net = net();
    let address = v4(1).into();
    net.tracker().feed(&FeedEntry { network: network("ims"), ..entry(address, 5) });
    net.tracker().feed(&FeedEntry { network: network("Internet"), ..entry(address, 6) });
    net.tracker().feed(&entry(address, 7));
    // Its APN is "internet"; GTP tells its own IMSI, which nothing takes the place of.
    net.create(9, 5, ue(1), 7);
    assert_eq!(net.record(7).imsi, Some(imsi(9)));
    assert_eq!(net.record(7).msisdn, None);
    // N4 of the same address without a name: the entry for any.
    net.establish(None, UeAddress { v4: Some(v4(1)), v6: None }, &[8]);
    assert_eq!(net.record(8).imsi, Some(imsi(7)));
    let table = net.tracker().tables.feed.as_ref().unwrap();
    let found = |names: &[Option<Apn>]| table.find(address, names).and_then(|told| told.imsi);
    assert_eq!(found(&[network("internet"), None]), Some(imsi(6)));
    assert_eq!(found(&[None, network("IMS")]), Some(imsi(5)));
    assert_eq!(found(&[network("mms"), None]), Some(imsi(7)));
}

#[test]
fn what_signalling_says_later_counts_more() {
    for n in 1..20 {
        let mut net = net();
        net.tracker().feed(&entry(v4(n).into(), n + 100));
        net.seen(7, v4(n).into());
        assert_eq!((net.record(7).imsi, net.probe_of(7)), (Some(imsi(n + 100)), own(n + 100)));
        net.create(n, 5, ue(n), 7);
        let record = net.record(7);
        assert_eq!((record.imsi, record.probe, record.known), (Some(imsi(n)), Some(own(n)), true));
        let filter = Filter { imsi: Some(imsi(n + 100)), ..Filter::default() };
        let mut found = Vec::new();
        net.tracker().find(&filter, Cursor::default(), &mut found);
        assert!(found.is_empty(), "it is nobody else's");
        net.counts_close();
    }
}
