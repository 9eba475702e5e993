//! What is told of sessions.

use std::net::IpAddr;

use types::{Apn, Imei, Imsi, Interface, Msisdn, Plmn, Toward};

use crate::effects::TunnelId;
use crate::record::{FTeidRecord, Filter, Record};
use crate::slots::Session;
use crate::state::State;
use crate::unknown::prefix;

/// How far a list of sessions has come; `default()` is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u32);

impl State {
    pub(crate) fn record(&self, slot: u32, counters: impl Fn(TunnelId) -> (u64, u64)) -> Option<Record> {
        let session = self.sessions.at(slot);
        let state = session.state()?;
        let mut record = Record {
            correlation_id: session.correlation,
            imsi: some(session.imsi).map(Imsi),
            msisdn: some(session.msisdn).map(Msisdn),
            imei: some(session.imei).map(Imei),
            apn: self.name_of(session.apn),
            rat: session.rat(),
            location: session.location(),
            roaming: self.roaming(slot),
            ue_ipv4: session.ue().v4,
            ue_ipv6: session.ue().v6,
            known: session.has(Session::KNOWN),
            state,
            probe: None,
            bearers: session.bearer_records().collect(),
            created_ns: session.created_ns,
            ended_ns: (!session.is_active()).then_some(session.active_ns),
            ..Record::default()
        };
        if record.known {
            record.serving = session.serving();
            record.snssai = session.snssai();
        }
        record.bearers.sort_by_key(|bearer| (bearer.ebi, bearer.qfi));
        let mut user = session.users;
        while user != 0 {
            let endpoint = self.users.at(user);
            let (packets, bytes) = counters(TunnelId(user));
            match endpoint.code().toward() {
                Some(Toward::Uplink) => {
                    record.packets_ul = record.packets_ul.saturating_add(packets);
                    record.bytes_ul = record.bytes_ul.saturating_add(bytes);
                }
                Some(Toward::Downlink) => {
                    record.packets_dl = record.packets_dl.saturating_add(packets);
                    record.bytes_dl = record.bytes_dl.saturating_add(bytes);
                }
                None => {}
            }
            record.fteids.push(FTeidRecord {
                interface: endpoint.interface().and_then(Interface::name),
                ip: self.nodes.value(endpoint.node()),
                teid: u64::from(endpoint.teid),
                packets,
                bytes,
            });
            user = endpoint.next;
        }
        self.add_signalling(session, &mut record.fteids);
        record.fteids.sort_by_key(|f_teid| (f_teid.interface, f_teid.ip, f_teid.teid));
        record.fteids.dedup_by(|later, first| {
            let same = (later.interface, later.ip, later.teid) == (first.interface, first.ip, first.teid);
            if same {
                first.packets = first.packets.saturating_add(later.packets);
                first.bytes = first.bytes.saturating_add(later.bytes);
            }
            same
        });
        Some(record)
    }

    fn add_signalling(&self, session: &Session, fteids: &mut Vec<FTeidRecord>) {
        let mut control = session.controls;
        while control != 0 {
            let endpoint = self.controls.at(control);
            fteids.push(FTeidRecord {
                interface: endpoint.interface().and_then(Interface::name),
                ip: self.nodes.value(endpoint.node()),
                teid: u64::from(endpoint.teid),
                packets: 0,
                bytes: 0,
            });
            control = endpoint.next;
        }
        let mut pfcp = session.pfcps;
        while pfcp != 0 {
            let mut seid = self.pfcps.at(pfcp).seids;
            while seid != 0 {
                let own = self.seids.at(seid);
                let interface = if own.upf { Interface::N4_UPF } else { Interface::N4_SMF };
                fteids.push(FTeidRecord {
                    interface: interface.name(),
                    ip: self.nodes.value(own.node),
                    teid: own.seid,
                    packets: 0,
                    bytes: 0,
                });
                seid = own.next;
            }
            pfcp = self.pfcps.at(pfcp).next;
        }
    }

    fn name_of(&self, name: u16) -> Option<Apn> {
        self.names.value(u32::from(name))
    }

    /// Whether an IMSI is of neither the serving network nor one that is home.
    fn roaming(&self, slot: u32) -> Option<bool> {
        let session = self.sessions.at(slot);
        if !session.has(Session::KNOWN) {
            return None;
        }
        let (imsi, serving) = (Imsi(some(session.imsi)?), session.serving()?);
        let at_home = |plmn: &Plmn| plmn.is_home_of(imsi);
        Some(!at_home(&serving) && !self.limits.home_plmns.iter().any(at_home))
    }

    fn matches(&self, slot: u32, filter: &Filter) -> bool {
        let session = self.sessions.at(slot);
        let ue = session.ue();
        session.is_active()
            && filter.imsi.is_none_or(|imsi| imsi.0 == session.imsi)
            && filter.ue_ip.is_none_or(|address| match address {
                IpAddr::V4(v4) => ue.v4 == Some(v4),
                IpAddr::V6(v6) => ue.v6 == Some(prefix(v6)),
            })
            && filter.teid.is_none_or(|teid| self.has_teid(session, teid.0))
    }

    fn has_teid(&self, session: &Session, teid: u32) -> bool {
        for (endpoints, first) in [(&self.users, session.users), (&self.controls, session.controls)] {
            let mut own = first;
            while own != 0 {
                if endpoints.at(own).teid == teid {
                    return true;
                }
                own = endpoints.at(own).next;
            }
        }
        false
    }

    /// Looks at up to `slots` sessions from the cursor on; `None` when all were looked at.
    pub(crate) fn find(
        &self,
        filter: &Filter,
        cursor: Cursor,
        slots: u32,
        mut each: impl FnMut(u32),
    ) -> Option<Cursor> {
        let indexed = match (filter.imsi, filter.ue_ip) {
            (Some(imsi), _) => Some(self.sessions_of_imsi(imsi.0)),
            (None, Some(address)) => Some(self.sessions_of_ue(address)),
            (None, None) => None,
        };
        if let Some(mut found) = indexed.filter(|found| !found.is_full()) {
            found.sort_unstable();
            found.into_iter().filter(|&slot| self.matches(slot, filter)).for_each(each);
            return None;
        }
        let first = cursor.0.max(1);
        let end = first.saturating_add(slots.max(1)).min(self.sessions.touched());
        (first..end).filter(|&slot| self.matches(slot, filter)).for_each(&mut each);
        (end < self.sessions.touched()).then_some(Cursor(end))
    }
}

fn some(digits: types::Digits) -> Option<types::Digits> {
    (!digits.is_empty()).then_some(digits)
}
