//! Arguments that EAL refuses.

use dpdk::{Eal, EalError};

#[test]
fn refused_arguments() {
    // Found before EAL sees them.
    let error = Eal::init(["--no-huge", "--in-memory"]).unwrap_err();
    assert!(matches!(error, EalError::NoHugeInMemory), "{error}");
    let error = Eal::init(["--no\0huge"]).unwrap_err();
    assert!(matches!(error, EalError::Nul(_)), "{error}");

    // Found by EAL, whose usage stays away.
    let error = Eal::init(["--no-huge", "--no-pci", "--bogus"]).unwrap_err();
    let EalError::Arguments { args, said } = &error else { panic!("{error:?}") };
    assert_eq!(args, "--no-huge --no-pci --bogus");
    assert!(said.contains("--bogus") && !said.contains("Usage"), "{said}");
}
