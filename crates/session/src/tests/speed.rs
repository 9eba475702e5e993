//! What a message costs. `cargo test --release -p session -- --ignored --nocapture speed` measures with
//! a million live sessions; every run does it small.

use super::*;

/// Counts, and keeps nothing: the keeper's own work is not measured here.
#[derive(Default)]
struct Silent {
    binds: u64,
    unbinds: u64,
}

impl Effects for Silent {
    fn bind(&mut self, _: TunnelId, _: TunnelKey, _: &View) {
        self.binds += 1;
    }
    fn unbind(&mut self, _: TunnelId, _: TunnelKey) {
        self.unbinds += 1;
    }
    fn place_ue(&mut self, _: IpAddr, _: Option<&View>) {}
    fn ended(&mut self, _: SessionId) {}
    fn merged(&mut self, _: SessionId, _: SessionId) {}
    fn folded(&mut self, _: SessionId, _: TunnelId, _: Option<Toward>) {}
}

struct Load {
    sessions: Sessions,
    silent: Silent,
    now: u64,
    cycles: u64,
    messages: u64,
}

impl Load {
    fn send(&mut self, event: &mut SessionEvent) {
        self.now += 1000;
        event.time_ns = self.now;
        let before = cpu::tsc();
        self.sessions.handle(event, &mut self.silent);
        while let Some(id) = self.sessions.next_ended() {
            self.sessions.free(id);
        }
        self.cycles += cpu::tsc().wrapping_sub(before);
        self.messages += 1;
    }

    fn take(&mut self) -> u64 {
        let each = self.cycles / self.messages.max(1);
        (self.cycles, self.messages) = (0, 0);
        each
    }
}

fn subscriber(n: u32, life: u32) -> Ue {
    let mut ue = Ue::new(n);
    ue.base = n * 16 + (life & 1) * 8;
    ue.s11 = (ue.base + 1, ue.base + 2);
    ue.enb = IpAddr::V4(Ipv4Addr::from_bits(0x0a02_0000 + n % 5000));
    ue
}

fn mixed(live: u32, rounds: u32) -> [u64; 3] {
    let limits = Limits {
        sessions_max: live + 10,
        tunnels_max: live * 6,
        transactions_max: 65_536,
        ..Limits::default()
    };
    let mut net = Net::new();
    let mut load = Load {
        sessions: Sessions::new(limits, 7, [1; 4]),
        silent: Silent::default(),
        now: START,
        cycles: 0,
        messages: 0,
    };
    for n in 1..=live {
        let mut events = subscriber(n, 0).attach(&mut net);
        events.iter_mut().for_each(|event| load.send(event));
    }
    assert_eq!(load.sessions.counters().active, u64::from(live));
    assert_eq!(load.silent.binds, u64::from(live) * 4);
    let attach = load.take();
    let mut lives = vec![0_u8; live as usize + 1];
    let (mut total, mut messages) = (0, 0);
    let mut random = 1_u64;
    let mut handover = 0;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let n = (random >> 33) as u32 % live + 1;
        let life = &mut lives[n as usize];
        let ue = subscriber(n, u32::from(*life));
        let mut events = if round % 2 == 0 {
            let (request, answer) = ue.modify(ENB2, 1_000_000_000 + round);
            let (request, answer) = net.numbered(request, answer);
            vec![request, answer]
        } else {
            *life ^= 1;
            let again = subscriber(n, u32::from(*life));
            let mut events = ue.detach(&mut net);
            events.extend(again.attach(&mut net));
            events
        };
        let before = load.cycles;
        events.iter_mut().for_each(|event| load.send(event));
        if round % 2 == 0 {
            handover += load.cycles - before;
        }
        messages += events.len() as u64;
        total += load.cycles - before;
    }
    let counters = load.sessions.counters();
    assert_eq!(counters.active, u64::from(live));
    assert_eq!(counters.deleted, u64::from(rounds / 2));
    assert_eq!(counters.refused, crate::Refused::default());
    [attach, total / messages.max(1), handover / u64::from(rounds).max(1)]
}

#[test]
fn speed_small() {
    mixed(1000, 2000);
}

#[test]
#[ignore = "measures; takes half a minute and a gigabyte"]
fn speed() {
    let [attach, mixed, handover] = mixed(1_000_000, 400_000);
    println!("TSC cycles a message, 1 M live sessions: attach {attach}, mixed {mixed}, handover {handover}");
}

/// Bytes of the tables for 10 million sessions with four tunnels, as they are when they are full.
#[test]
fn memory_of_a_session() {
    use crate::slots::Session;
    let heads = size_of::<u32>();
    let session = size_of::<Session>() + 2 * heads;
    let endpoint = size_of::<Endpoint>() + heads;
    let all = session + 8 * endpoint;
    assert_eq!(all, 328, "four tunnels, four endpoints of S11 and S5/S8, one UE address");
}
