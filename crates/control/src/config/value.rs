//! Texts with a grammar of their own: sizes, durations, names, devargs, where a probe is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// The names of ports, probes and groups: they become file names, metric labels and JSON keys.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let first_is_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !first_is_plain || !name.chars().all(plain) {
        return Err("begin with a letter or digit and have only letters, digits, `-`, `_` and `.`".to_owned());
    }
    if name.len() > 63 {
        return Err("be at most 63 characters long".to_owned());
    }
    Ok(())
}

/// Digits, an optional fraction, then a unit; `None` where it does not begin with a digit.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let plain = digits.starts_with(|c: char| c.is_ascii_digit());
    let number = digits.replace('_', "").parse().ok().filter(|_| plain)?;
    Some((number, unit.trim()))
}

/// `64MiB`, `1.5 GB`, `4096`. Units are spelled out because a bare `M` means two things.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wanted = "a size like \"64MiB\", \"1GB\" or \"4096\"";
    let (number, unit) = split_number(text.trim()).ok_or_else(|| wanted.to_owned())?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "k" | "m" | "g" | "t" => {
            let unit = unit.to_ascii_uppercase();
            return Err(format!("a size with its whole unit: \"{number}{unit}iB\" or \"{number}{unit}B\""));
        }
        _ => return Err(format!("{wanted}; `{}` is no unit of size", unit.escape_debug())),
    };
    #[expect(clippy::cast_precision_loss, reason = "factors are at most 2^40, exact in a double")]
    let bytes = (number * factor as f64).round();
    // 2^53: beyond it a double skips integers, and no machine has as much.
    if bytes > 9_007_199_254_740_992.0 {
        return Err("a size that fits a machine".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..=2^53 and whole")]
    Ok(bytes as u64)
}

/// `30s`, `200ms`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "a duration like \"30s\", \"200ms\" or \"10m\"";
    let (number, unit) = split_number(text.trim()).ok_or_else(|| wanted.to_owned())?;
    let factor = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "" => return Err(format!("a duration with its unit: \"{number}s\", \"{number}ms\"")),
        _ => return Err(format!("{wanted}; `{}` is no unit of time", unit.escape_debug())),
    };
    Duration::try_from_secs_f64(number * factor)
        .ok()
        .filter(|&d| d <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| "a duration of at most a year".to_owned())
}

/// `10.0.0.1:7`, `[2001:db8::1]:7`, `2001:db8::1:7`: an address and a network identifier of 24 bits.
/// RFC 7348 5, RFC 8926 3.4.
pub(super) fn address_and_vni(text: &str) -> Result<(IpAddr, u32), String> {
    let (ip, vni) = text.rsplit_once(':').ok_or("an address and a network identifier, `IP:VNI`")?;
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    let address = bare.parse().map_err(|_| format!("`{}` is not an IP address", ip.escape_debug()))?;
    let number = vni.parse().ok().filter(|&vni| vni < 1 << 24);
    let number = number
        .ok_or_else(|| format!("`{}` is not a network identifier from 0 to 16777215", vni.escape_debug()))?;
    Ok((address, number))
}

/// What DPDK knows a device by: the PCI address or the name of the vdev.
pub(super) fn device_name(devargs: &str) -> &str {
    devargs.split(',').next().unwrap_or_default().trim()
}

/// The files, interfaces and sockets that a device reads from or writes to, as its devargs say.
pub(super) fn endpoints(devargs: &str, keys: &[&str]) -> BTreeSet<PathBuf> {
    devargs
        .split(',')
        .filter_map(|arg| arg.split_once('='))
        .filter(|(key, _)| keys.contains(&key.trim()))
        .map(|(_, value)| same_path(value.trim()))
        .collect()
}

/// Devargs of a device's receiving side: net_pcap, af_packet, af_xdp, memif.
pub(super) const RECEIVES: &[&str] = &["rx_pcap", "rx_iface", "rx_iface_in", "iface", "socket"];
/// Devargs of its sending side.
pub(super) const SENDS: &[&str] = &["tx_pcap", "tx_iface", "iface", "socket"];

/// The path without `.` parts, so that `./out/a` and `out/a` compare equal.
pub(super) fn same_path(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("64 mib"), Ok(64 << 20));
        assert_eq!(size("1.5GB"), Ok(1_500_000_000));
        assert_eq!(size("4_096"), Ok(4096));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1TiB"), Ok(1 << 40));
        assert_eq!(size("64M").unwrap_err(), "a size with its whole unit: \"64MiB\" or \"64MB\"");
        for bad in
            ["", "MiB", "-1MiB", "1e9", "64 furlongs", "nan", "inf", ".5GB", "1.2.3B", "99999999TiB", "٣MiB"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("10 m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("7us"), Ok(Duration::from_micros(7)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("30").unwrap_err(), "a duration with its unit: \"30s\", \"30ms\"");
        for bad in ["", "s", "-1s", "1S", "nan s", "3 fortnights", "999999d", "1m30s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        for good in ["probe-1", "0", "S1-U_west.2"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", "é", "a\0", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(address_and_vni("192.0.2.7:100"), Ok(("192.0.2.7".parse().unwrap(), 100)));
        assert_eq!(address_and_vni("[2001:db8::1]:7"), Ok(("2001:db8::1".parse().unwrap(), 7)));
        assert_eq!(address_and_vni("2001:db8::1:7"), Ok(("2001:db8::1".parse().unwrap(), 7)));
        assert_eq!(address_and_vni("192.0.2.7:16777215").unwrap().1, 0xff_ffff);
        for bad in ["192.0.2.7", "192.0.2.7:16777216", "192.0.2.7:-1", "host:1", ":", ""] {
            assert!(address_and_vni(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devargs() {
        let device = "net_pcap0,rx_pcap=./out/a.pcap,tx_iface=eth1";
        assert_eq!(device_name(device), "net_pcap0");
        assert_eq!(endpoints(device, RECEIVES), BTreeSet::from([PathBuf::from("out/a.pcap")]));
        assert_eq!(endpoints(device, SENDS), BTreeSet::from([PathBuf::from("eth1")]));
    }
}
