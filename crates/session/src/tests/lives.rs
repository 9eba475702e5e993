//! A thousand subscribers who come, move and go: nothing is left behind, nothing is refused.

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
    fn retire(&mut self, _: TunnelId) {}

    fn unbind(&mut self, _: TunnelId, _: TunnelKey) {
        self.unbinds += 1;
    }
    fn place_ue(&mut self, _: IpAddr, _: Option<&View>) {}
    fn ended(&mut self, _: SessionId) {}
    fn merged(&mut self, _: &View, _: &View) {}
    fn folded(&mut self, _: SessionId, _: TunnelId, _: Option<Toward>) {}
}

struct Load {
    sessions: Sessions,
    silent: Silent,
    now: u64,
}

impl Load {
    fn send(&mut self, event: &mut SessionEvent) {
        self.now += 1000;
        event.time_ns = self.now;
        self.sessions.handle(event, &mut self.silent);
        while let Some(id) = self.sessions.next_ended() {
            self.sessions.free(id, |_| {});
        }
    }
}

/// The messages of one life, made once.
struct Script {
    attach: Vec<SessionEvent>,
    detach: Vec<SessionEvent>,
    handover: Vec<SessionEvent>,
    /// What its numbers begin at now.
    base: u32,
    sequence: u32,
}

impl Script {
    fn new() -> Self {
        let mut net = Net::new();
        let mut ue = Ue::new(1);
        ue.base = 8;
        ue.s11 = (9, 10);
        let (request, answer) = ue.modify(ENB2, ue.s1_enb());
        let (request, answer) = net.numbered(request, answer);
        let (attach, detach) = (ue.attach(&mut net), ue.detach(&mut net));
        Self { attach, detach, handover: vec![request, answer], base: 8, sequence: 100 }
    }

    /// The same messages of this subscriber, with numbers from `base` on.
    fn play(
        &mut self,
        n: u32,
        base: u32,
        load: &mut Load,
        which: impl Fn(&mut Self) -> &mut Vec<SessionEvent>,
    ) {
        self.sequence += 10;
        let (own, sequence) = (self.base, self.sequence);
        let moved = |teid: &mut Teid| {
            if teid.0 != 0 {
                teid.0 = teid.0 - own + base;
            }
        };
        let enb = Ipv4Addr::from_bits(0x0a02_0000 + n % 5000);
        for event in which(self) {
            event.sequence = event.sequence.map(|own| own % 10 + sequence);
            event.imsi = event.imsi.map(|_| Imsi(Digits::from_bits(u64::from(n) | 0xffff_fff0_0000_0000)));
            event.ue.v4 = event.ue.v4.map(|_| Ipv4Addr::from_bits(0x6400_0000 + n));
            event.teid.iter_mut().for_each(moved);
            event.f_teids.iter_mut().for_each(|(_, f_teid)| moved(&mut f_teid.teid));
            for f_teid in event.bearers.iter_mut().flat_map(|bearer| &mut bearer.f_teids) {
                moved(&mut f_teid.teid);
                if f_teid.interface == Interface::S1U_ENODEB {
                    f_teid.v4 = Some(enb);
                }
            }
            load.send(event);
            // Back to what it was.
            let back = |teid: &mut Teid| {
                if teid.0 != 0 {
                    teid.0 = teid.0 - base + own;
                }
            };
            event.teid.iter_mut().for_each(back);
            event.f_teids.iter_mut().for_each(|(_, f_teid)| back(&mut f_teid.teid));
            event.bearers.iter_mut().flat_map(|b| &mut b.f_teids).for_each(|f_teid| back(&mut f_teid.teid));
        }
    }
}

fn mixed(live: u32, rounds: u32) {
    let limits = Limits { sessions_max: live + 10, tunnels_max: live * 6, ..Limits::default() };
    let mut load = Load { sessions: Sessions::new(limits, 7, [1; 4]), silent: Silent::default(), now: START };
    let mut script = Script::new();
    // Two sets of numbers for each: the new life's and the old one's.
    let base = |n: u32, life: u32| n * 32 + life % 2 * 16;
    for n in 1..=live {
        script.play(n, base(n, 0), &mut load, |script| &mut script.attach);
    }
    assert_eq!(load.sessions.counters().active, u64::from(live));
    assert_eq!(load.silent.binds, u64::from(live) * 4);
    let mut lives = vec![0_u32; live as usize + 1];
    let mut random = 1_u64;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let n = (random >> 33) as u32 % live + 1;
        let life = &mut lives[n as usize];
        if round % 2 == 0 {
            script.play(n, base(n, *life), &mut load, |script| &mut script.handover);
        } else {
            script.play(n, base(n, *life), &mut load, |script| &mut script.detach);
            *life += 1;
            script.play(n, base(n, *life), &mut load, |script| &mut script.attach);
        }
    }
    let counters = load.sessions.counters();
    assert_eq!(counters.active, u64::from(live));
    assert_eq!(counters.deleted, u64::from(rounds / 2));
    assert_eq!(counters.refused, crate::Refused::default());
}

#[test]
fn lives_follow_lives() {
    mixed(1000, 2000);
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
