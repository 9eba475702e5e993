//! A start on hugepages where there are none.

use dpdk::{Eal, EalError};

#[test]
fn no_hugepages() {
    // Machines that have some, or let this user have them, show nothing here.
    match Eal::init(["--no-pci", "--no-telemetry", "--no-shconf", "--file-prefix=snipe-test-huge"]) {
        Ok(_) => println!("skipped: there are hugepages"),
        Err(error) => {
            let text = error.to_string();
            assert!(matches!(error, EalError::Hugepages { .. } | EalError::Permission { .. }), "{error:?}");
            assert!(text.contains("--no-huge"), "{text}");
            println!("{text}");
        }
    }
}
