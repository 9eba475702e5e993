//! Control-plane datagrams: each gives an event or a reason, and nothing of one stays for the next.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{SessionEvent, TrafficClass};
use wire::signalling;

fuzz_target!(|datagram: &[u8]| {
    let mut event = SessionEvent::new();
    for class in [TrafficClass::GtpC, TrafficClass::Pfcp] {
        let mut events = 0;
        let reason = signalling(class, datagram, &mut event, &mut |_| events += 1);
        assert!(events > 0 || reason.is_some());
        assert!(events <= wire::BUNDLED_MAX);
        // Nothing of a message stays for the next.
        let mut other = SessionEvent::new();
        assert_eq!(signalling(class, datagram, &mut other, &mut |_| {}), reason);
        assert!(events == 0 || event == other);
    }
});
