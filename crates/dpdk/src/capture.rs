//! The link type of a capture file, for `net_pcap`, which does not look at it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads the link type's number from the header of a pcap or pcapng file. A pcapng file counts by its
/// first interface.
pub(crate) fn link_type(path: &Path) -> io::Result<u32> {
    let mut head = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut head)?;
    parse(&head).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a pcap or pcapng file"))
}

fn parse(head: &[u8]) -> Option<u32> {
    let word = |at: usize, big: bool| -> Option<u32> {
        let bytes = head.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    match word(0, true)? {
        // pcap, in microseconds and nanoseconds. The upper half of the link type's word is flags.
        0xa1b2_c3d4 | 0xa1b2_3c4d => Some(word(20, true)? & 0xffff),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => Some(word(20, false)? & 0xffff),
        // pcapng: a section header with its byte order, then blocks, the interface among them.
        0x0a0d_0d0a => {
            let big = match word(8, true)? {
                0x1a2b_3c4d => true,
                0x4d3c_2b1a => false,
                _ => return None,
            };
            let mut at = usize::try_from(word(4, big)?).ok()?;
            loop {
                let length = usize::try_from(word(at.checked_add(4)?, big)?).ok()?;
                if word(at, big)? == 1 {
                    let kind = word(at.checked_add(8)?, big)?;
                    return Some(if big { kind >> 16 } else { kind & 0xffff });
                }
                if length < 12 {
                    return None;
                }
                at = at.checked_add(length)?;
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcap(magic: [u8; 4], link: [u8; 4]) -> Vec<u8> {
        [&magic[..], &[0; 16], &link].concat()
    }

    #[test]
    fn pcap_of_both_byte_orders() {
        assert_eq!(parse(&pcap([0xd4, 0xc3, 0xb2, 0xa1], [1, 0, 0, 0])), Some(1));
        assert_eq!(parse(&pcap([0xa1, 0xb2, 0xc3, 0xd4], [0, 0, 0, 101])), Some(101));
        assert_eq!(parse(&pcap([0x4d, 0x3c, 0xb2, 0xa1], [0x14, 1, 0, 0])), Some(276));
    }

    #[test]
    fn pcapng_by_its_first_interface() {
        let mut file = vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a];
        file.extend([0; 16]);
        file.extend([1, 0, 0, 0, 20, 0, 0, 0, 113, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&file), Some(113));
        for cut in 0..38 {
            assert_eq!(parse(&file[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_block_of_length_zero_ends_it() {
        let mut file = vec![0x0a, 0x0d, 0x0d, 0x0a, 12, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a];
        file.extend([9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&file), None);
    }
}
