//! What the kernel lost before the rings of AF_XDP sockets: `net_af_xdp` does not tell all of it.

use std::fs;
use std::os::fd::RawFd;

/// The AF_XDP sockets that this process has open.
pub(crate) fn sockets() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let fds = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    fds.filter(|&fd| option::<libc::c_int>(fd, libc::SOL_SOCKET, libc::SO_DOMAIN) == Some(libc::AF_XDP))
        .collect()
}

/// Packets that a socket's ring had no room for; 0 where the kernel does not tell (before 5.9).
pub(crate) fn ring_full(socket: RawFd) -> u64 {
    option::<libc::xdp_statistics>(socket, libc::SOL_XDP, libc::XDP_STATISTICS)
        .map_or(0, |statistics| statistics.rx_ring_full)
}

/// A type of numbers only: any bytes are one, zeros are.
trait Plain: Copy {
    const ZERO: Self;
}

impl Plain for libc::c_int {
    const ZERO: Self = 0;
}

impl Plain for libc::xdp_statistics {
    const ZERO: Self = Self {
        rx_dropped: 0,
        rx_invalid_descs: 0,
        tx_invalid_descs: 0,
        rx_ring_full: 0,
        rx_fill_ring_empty_descs: 0,
        tx_ring_empty_descs: 0,
    };
}

fn option<T: Plain>(fd: RawFd, level: libc::c_int, name: libc::c_int) -> Option<T> {
    let mut value = T::ZERO;
    let mut bytes = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    // SAFETY: both places are ours; the kernel writes at most `bytes` into the first, which may hold any
    // bytes. A descriptor that is no socket, or none any more, is refused.
    let result = unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut bytes) };
    (result == 0).then_some(value)
}
