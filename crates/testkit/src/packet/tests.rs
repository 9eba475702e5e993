use super::*;

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn a_tunnelled_ping_is_these_bytes() {
    let mut out = Vec::new();
    let container = pdu_session_container(true, 5);
    let layers = Packet::new(&mut out)
        .ethernet([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1])
        .vlan(0x8100, 100)
        .ipv4(&Ipv4::new(A, B))
        .udp(2152, 2152)
        .gtpu(&Gtpu {
            extensions: &[Extension { kind: PDU_SESSION_CONTAINER, content: &container }],
            ..Gtpu::t_pdu(0x1234)
        })
        .ipv4(&Ipv4::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(8, 8, 8, 8)))
        .icmp(8, 0, 0x0001_0001)
        .payload(b"ping")
        .finish();
    #[rustfmt::skip]
    let expected: &[u8] = &[
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0, 100, 0x08, 0x00,
        0x45, 0, 0, 76, 0, 0, 0, 0, 64, 17, 0xf6, 0x9d, 192, 0, 2, 1, 192, 0, 2, 2,
        0x08, 0x68, 0x08, 0x68, 0, 56, 0x1c, 0xba,
        0x34, 0xff, 0, 40, 0, 0, 0x12, 0x34, 0, 0, 0, 0x85, 1, 0x10, 5, 0,
        0x45, 0, 0, 32, 0, 0, 0, 0, 64, 1, 0x60, 0xcd, 10, 0, 0, 1, 8, 8, 8, 8,
        8, 0, 0x19, 0x2d, 0, 1, 0, 1, b'p', b'i', b'n', b'g',
    ];
    assert_eq!(out, expected);
    assert_eq!(layers.nth(Layer::Ipv4, 1), Some(62));
    assert_eq!(layers.first(Layer::Gtpu), Some(46));
}

#[test]
fn a_checksum_with_its_own_field_sums_to_zero() {
    let mut out = vec![0xaa; 3];
    let source = "2001:db8::1".parse().unwrap();
    let destination = "2001:db8::2".parse().unwrap();
    let layers = Packet::new(&mut out)
        .ethernet([0; 6], [1; 6])
        .mpls(16)
        .mpls(17)
        .ipv6(&Ipv6::new(source, destination))
        .ipv6_extension(protocol::DESTINATION, &[])
        .tcp(&Tcp { options: &[2, 4, 5, 0xb4, 1, 1, 1], ..Tcp::new(443, 50_000) })
        .payload(b"odd")
        .finish();
    let packet = &out[3..];
    let (ip, tcp) = (layers.first(Layer::Ipv6).unwrap(), layers.first(Layer::Tcp).unwrap());
    let length = ((packet.len() - tcp) as u32).to_be_bytes();
    let sum = Sum::default().add(&packet[ip + 8..ip + 40]).add(&length).add(&[0, 6]).add(&packet[tcp..]);
    assert_eq!(sum.finish(), 0);
    // RFC 3032 2.1: only the last label is marked as bottom of the stack.
    assert_eq!((packet[16] & 1, packet[20] & 1), (0, 1));
    assert_eq!(packet[ip + 6], protocol::DESTINATION);
    assert_eq!(packet[ip + 40], protocol::TCP);
    assert_eq!(packet[tcp + 12] >> 4, 7);
}

#[test]
fn fragments_add_up_to_the_packet() {
    let payload: Vec<u8> = (0..=255).cycle().take(1_001).collect();
    for v6 in [false, true] {
        let mut whole = Vec::new();
        let mut packet = Packet::new(&mut whole);
        packet.ethernet([0; 6], [1; 6]);
        if v6 {
            let source = "2001:db8::1".parse().unwrap();
            packet.ipv6(&Ipv6::new(source, source));
        } else {
            packet.ipv4(&Ipv4 { id: 7, ..Ipv4::new(A, B) });
        }
        packet.udp(1, 2).payload(&payload).finish();
        let header = if v6 { 14 + 48 } else { 14 + 20 };
        let (mut body, mut scratch, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let count = fragment(&whole, 14, 404, 9, &mut scratch, |piece| {
            body.extend_from_slice(&piece[header..]);
            sizes.push(piece.len() - header);
            if !v6 {
                assert_eq!(Sum::default().add(&piece[14..34]).finish(), 0);
            }
        });
        assert_eq!((count, sizes), (3, vec![400, 400, 209]));
        assert_eq!(body, whole[if v6 { 54 } else { 34 }..]);
    }
}

#[test]
fn sctp_carries_crc32c() {
    let mut out = Vec::new();
    let layers = Packet::new(&mut out).ipv4(&Ipv4::new(A, B)).sctp(36_412, 36_412, 1).finish();
    let at = layers.first(Layer::Sctp).unwrap();
    let mut zeroed = out[at..].to_vec();
    zeroed[8..12].fill(0);
    assert_eq!(out[at + 8..at + 12], crc32c(&zeroed).to_le_bytes());
}
