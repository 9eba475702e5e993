//! What holds for any bytes of the control plane.

use proptest::prelude::*;
use std::vec::Vec;

use types::{SessionEvent, TrafficClass};

use super::elements::{ie, told, v2};
use super::messages::{create_session_request, seeds};
use crate::signalling;

const C: TrafficClass = TrafficClass::GtpC;
const N4: TrafficClass = TrafficClass::Pfcp;

#[test]
fn seeds_are_good() {
    for (class, seed) in seeds() {
        let (events, reason) = told(class, &seed);
        assert_eq!(reason, None, "{seed:02x?}");
        assert!(!events.is_empty() && events.iter().all(|event| !event.incomplete), "{seed:02x?}");
    }
}

/// A message that is cut says nothing that the whole one does not, and says that it is cut.
#[test]
fn every_prefix_of_every_seed() {
    for (class, seed) in seeds() {
        let (whole, _) = told(class, &seed);
        for cut in 0..seed.len() {
            let (events, reason) = told(class, &seed[..cut]);
            assert!(events.len() <= whole.len());
            if let Some(last) = events.last() {
                let is_whole = whole[events.len() - 1] == *last;
                assert!(is_whole || last.incomplete, "{cut}");
                assert_eq!(last.message, whole[events.len() - 1].message);
                assert!(last.imsi.is_none() || last.imsi == whole[events.len() - 1].imsi);
                assert!(last.bearers.len() <= whole[events.len() - 1].bearers.len());
            }
            assert!(!events.is_empty() || reason.is_some(), "{cut}: nothing is silent");
        }
    }
}

#[test]
fn a_subscriber_is_known_from_a_cut_message_on() {
    let message = create_session_request();
    for cut in 24..message.len() {
        let (events, _) = told(C, &message[..cut]);
        assert!(events[0].imsi.is_some() && events[0].incomplete, "{cut}");
    }
}

#[test]
fn every_one_byte_mutation_of_every_seed() {
    let mut event = SessionEvent::new();
    for (class, seed) in seeds() {
        let mut bytes = seed.clone();
        for at in 0..seed.len() {
            for value in 0..=u8::MAX {
                bytes[at] = value;
                let mut events = 0;
                let reason = signalling(class, &bytes, &mut event, &mut |_| events += 1);
                assert!(events > 0 || reason.is_some(), "{at} {value}");
            }
            bytes[at] = seed[at];
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..9_216), head in 0..4_usize) {
        // A header that is right, before anything.
        let heads: [&[u8]; 4] = [&[0x48, 32, 0xff, 0xff], &[0x36, 16, 0xff, 0xff], &[0x25, 50, 0, 200], &[]];
        let head = heads[head];
        if bytes.len() >= head.len() {
            bytes[..head.len()].copy_from_slice(head);
        }
        for class in [C, N4] {
            let (first, again) = (told(class, &bytes), told(class, &bytes));
            prop_assert!(!first.0.is_empty() || first.1.is_some());
            prop_assert_eq!(first, again);
        }
    }

    /// Elements of real types with any value, in any order.
    #[test]
    fn any_elements(
        elements in prop::collection::vec(
            (
                prop::sample::select(std::vec![1_u8, 2, 3, 71, 73, 74, 75, 76, 77, 79, 80, 82, 83, 86, 87, 93, 109, 254]),
                0..3_u8,
                prop::collection::vec(any::<u8>(), 0..40),
            ),
            0..60,
        ),
    ) {
        let elements: Vec<_> = elements.iter().map(|(kind, instance, value)| ie(*kind, *instance, value)).collect();
        let elements: Vec<_> = elements.iter().map(Vec::as_slice).collect();
        let (events, reason) = told(C, &v2(131, Some(1), &elements));
        prop_assert_eq!(events.len(), 1);
        prop_assert!(reason.is_none() || events[0].incomplete);
    }
}
