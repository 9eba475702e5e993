//! What a person reads who asked for something that is not there.

mod common;

use dpdk::{Eal, EalError, Pool, PoolConfig, PoolError, Port, PortError};

#[test]
fn errors_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let eal = common::eal("errors", &["--log-level=emergency"]);

    let error = Eal::init(["--no-huge"]).unwrap_err();
    assert!(matches!(error, EalError::AlreadyStarted), "{error}");

    // 100,000 buffers of 2 KiB into 128 MB.
    let large = PoolConfig { buffers: 100_000, ..PoolConfig::default() };
    let error = Pool::new(&eal, "large", &large).unwrap_err();
    match &error {
        PoolError::TooLarge { needed_bytes, free_bytes, .. } => {
            assert!((220_000_000..260_000_000).contains(needed_bytes), "{error}");
            assert!((64_000_000..=134_217_728).contains(free_bytes), "{error}");
        }
        _ => panic!("{error:?}"),
    }
    assert!(error.to_string().contains("`-m MEGABYTES`"), "{error}");
    let small = PoolConfig { buffers: 255, ..PoolConfig::default() };
    let pool = Pool::new(&eal, "small", &small).unwrap();
    for name in ["small", "a name that is much longer than DPDK takes", "with\0nul"] {
        let error = Pool::new(&eal, name, &small).unwrap_err();
        assert!(matches!(error, PoolError::Name { .. }), "{error}");
    }
    let error = Pool::new(&eal, "wide", &PoolConfig { room: 65_500, ..small }).unwrap_err();
    assert!(matches!(error, PoolError::Room { room: 65_500, .. }), "{error}");
    drop(pool);

    for nonsense in ["net_nonsense0", "tap0", "", ",,,", "eth0", "net_"] {
        let error = Port::probe(&eal, nonsense).unwrap_err();
        assert!(matches!(error, PortError::NoDriver { .. }), "{nonsense}: {error}");
        assert!(error.to_string().contains("net_pcap0"), "{error}");
    }
    let error = Port::probe(&eal, "ffff:ff:1f.7").unwrap_err();
    assert!(matches!(&error, PortError::NoSuchDevice { port } if port == "ffff:ff:1f.7"), "{error}");
    let error = Port::probe(&eal, "net_af_packet0,iface=not-there-0").unwrap_err();
    match &error {
        PortError::Refused { port, devargs, .. } => {
            assert_eq!((&**port, &**devargs), ("net_af_packet0", "net_af_packet0,iface=not-there-0"));
        }
        _ => panic!("{error:?}"),
    }

    let path = dir.path().join("missing.pcap");
    let error = Port::probe(&eal, &format!("net_pcap0,rx_pcap={}", path.display())).unwrap_err();
    let text = format!("port net_pcap0: {}: No such file or directory (os error 2)", path.display());
    assert_eq!(error.to_string(), text);
    let path = dir.path().join("text.pcap");
    std::fs::write(&path, "not a capture, but long enough for a header").unwrap();
    let error = Port::probe(&eal, &format!("net_pcap0,rx_pcap={}", path.display())).unwrap_err();
    assert!(error.to_string().ends_with("not a pcap or pcapng file"), "{error}");
    let path = dir.path().join("raw.pcap");
    common::write_pcap(&path, 101, &[]);
    let error = Port::probe(&eal, &format!("net_pcap0,rx_pcap={}", path.display())).unwrap_err();
    assert!(matches!(error, PortError::Link { number: 101, .. }), "{error}");

    // After all that, a port that is there.
    let port = Port::probe(&eal, "net_null0").unwrap();
    assert_eq!(port.abilities().unwrap().driver, "net_null");
}
