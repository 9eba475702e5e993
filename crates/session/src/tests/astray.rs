//! Answers that come from or go to another address or port than their requests.

use super::*;

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 77));

/// From another address and port.
fn from_elsewhere(mut answer: SessionEvent) -> SessionEvent {
    answer.source = SocketAddr::new(ELSEWHERE, 40_000);
    answer
}

impl Net {
    /// A request, and its answer from elsewhere, twice.
    fn astray(&mut self, request: SessionEvent, answer: SessionEvent) {
        let (request, answer) = self.numbered(request, answer);
        let answer = from_elsewhere(answer);
        self.send_all([request, answer.clone(), answer]);
    }

    fn count(&self) -> (u64, u64) {
        let counters = self.sessions.counters();
        (counters.active, counters.astray)
    }
}

#[test]
fn a_whole_life() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let (request, answer) = ue.create_s11();
    net.astray(request, answer);
    assert_eq!(net.count(), (1, 1), "what is sent again is not done again");
    let (request, answer) = ue.create_s5();
    net.astray(request, answer);
    // Not told in the request, but the endpoint of the session that it is about.
    let (request, answer) = ue.modify(ENB, ue.s1_enb());
    net.astray(request, answer);
    assert_eq!(net.count(), (1, 3));
    assert_eq!(listed(&net.only()), ue.listed());
    let (request, answer) = ue.delete_s5();
    net.astray(request, answer);
    assert_eq!(net.count(), (0, 4));
}

/// From one address and a port of its own to the endpoint that was told: an old program.
#[test]
fn the_request_comes_from_elsewhere() {
    let mut net = Net::new();
    let (request, answer) = Ue::new(1).create_s11();
    let (mut request, answer) = net.numbered(request, answer);
    request.source = SocketAddr::new(ELSEWHERE, 55_555);
    net.send_all([request, answer]);
    assert_eq!(net.count(), (1, 1));
}

#[test]
fn a_number_alone_is_not_enough() {
    let ue = Ue::new(1);
    let wrong: [fn(&mut SessionEvent); 6] = [
        |answer| answer.teid = Some(Teid(4711)),
        |answer| answer.teid = None,
        |answer| answer.teid = Some(Teid(0)),
        |answer| answer.destination = SocketAddr::new(SGSN, 2123),
        |answer| answer.message = 35,
        |answer| answer.sequence = Some(99),
    ];
    for (place, change) in wrong.into_iter().enumerate() {
        let mut net = Net::new();
        let (request, answer) = ue.create_s11();
        let (request, answer) = net.numbered(request, answer);
        let mut answer = from_elsewhere(answer);
        change(&mut answer);
        net.send_all([request, answer]);
        assert_eq!(net.count(), (0, 0), "{place}");
    }
    // Too late.
    let mut net = Net::new();
    let (request, answer) = ue.create_s11();
    let (request, answer) = net.numbered(request, answer);
    net.send(request);
    net.wait(31 * SECOND);
    net.send(from_elsewhere(answer));
    assert_eq!(net.count(), (0, 0));
}

/// An endpoint of somebody else's session is no place for the answer to a Modify Bearer Request.
#[test]
fn the_endpoint_is_the_askers_own() {
    let mut net = Net::new();
    let (one, two) = (Ue::new(1), Ue::new(2));
    for ue in [one, two] {
        let events = ue.attach(&mut net);
        net.send_all(events);
    }
    let (request, mut answer) = one.modify(ENB2, 9001);
    answer.teid = Some(Teid(two.s11.0));
    net.astray(request, answer);
    assert!(!net.is_bound(ENB2, 9001));
    assert_eq!(net.count(), (2, 0));
}

/// Two requests with one number and one endpoint wait: it could be either's.
#[test]
fn of_two_it_is_nobodys() {
    let mut net = Net::new();
    let (request, answer) = Ue::new(1).create_s11();
    let (request, answer) = net.numbered(request, answer);
    let mut other = request.clone();
    other.destination = SocketAddr::new(SGW2, 2123);
    net.send_all([request, other, from_elsewhere(answer.clone())]);
    assert_eq!(net.count(), (0, 0));
    // Its exact counterpart is found all the same; and then there is one.
    net.send(answer.clone());
    assert_eq!(net.count(), (1, 0));
    let mut late = answer;
    late.source = SocketAddr::new(ELSEWHERE, 1);
    net.send(late);
    assert_eq!(net.count().1, 1);
}

/// Requests with one number from everybody: few of them are looked at, and none is taken for another.
#[test]
fn many_alike() {
    for (others, found) in [(15, 1), (16, 0), (500, 0)] {
        let mut net = Net::with(Limits { transactions_max: 64, ..limits() });
        let (request, answer) = Ue::new(1).create_s11();
        let (request, answer) = net.numbered(request, answer);
        net.send(request);
        for n in 0..others {
            let mut other = Ue::new(n + 2).create_s11().0;
            (other.sequence, other.source) = (answer.sequence, SocketAddr::new(ELSEWHERE, n as u16));
            net.send(other);
        }
        net.send(from_elsewhere(answer));
        assert_eq!(net.count(), (found, found), "{others}");
    }
}

/// The list has no loose ends, whatever becomes of its requests: answered, forgotten, begun anew.
#[test]
fn lists_stay_whole() {
    let mut net = Net::with(Limits { transactions_max: 8, sessions_max: 2_000, ..limits() });
    let mut random = 1_u32;
    for n in 1..=2_000 {
        let ue = Ue::new(n);
        let (request, answer) = ue.create_s5();
        let (mut request, mut answer) = net.numbered(request, answer);
        // Few numbers and few senders, so that they meet.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        request.sequence = Some(random >> 30);
        answer.sequence = request.sequence;
        request.source.set_port((random >> 28) as u16 & 1);
        net.send(request);
        match random >> 24 & 3 {
            0 => net.send(answer),
            1 => net.send(from_elsewhere(answer)),
            _ => {}
        }
        let lists = net.sessions.transactions().lists();
        assert!(lists.len() <= 8);
    }
    assert!(net.count().1 > 100, "{:?}", net.count());
}
