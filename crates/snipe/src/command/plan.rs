//! From a configuration to the plan of a dataplane.

use balance::{Balancer, ClusterKey, Group, Member, Mode};
use control::{BroadcastAlso, Config, Control, Decap, Unknown, Warning};
use pipeline::{ForAll, Plan};
use session::Limits;
use types::{Plmn, ProbeId};

use crate::failure::{self, Failure};

/// Reads a configuration; warnings that concern this command go to stderr.
pub(crate) fn load(path: &std::path::Path, concerns: fn(&Warning) -> bool) -> Result<Config, Failure> {
    let (config, warnings) = Config::load(path).map_err(|error| Failure::config(&error))?;
    for warning in warnings.iter().filter(|warning| concerns(warning)) {
        failure::warn_config(warning);
    }
    Ok(config)
}

/// What the configuration says of probes and groups.
pub(crate) fn plan(config: &Config) -> Plan {
    let cluster = ClusterKey::new(config.cluster_key.as_ref().map_or("", |key| key.as_str()));
    let member = |&probe: &ProbeId| {
        let spec = config.probe(probe)?;
        Some(Member::new(&cluster, probe, &spec.name, u32::from(spec.weight.get())))
    };
    let group = |group: &control::Group| {
        let mode = match group.mode {
            control::Mode::Session => Mode::Session,
            control::Mode::Flow => Mode::Flow,
            control::Mode::Copy => Mode::Copy,
        };
        Group::new(mode, group.probes.iter().filter_map(member).collect())
    };
    let default = config.groups.iter().position(|group| group.name == control::Group::DEFAULT).unwrap_or(0);
    let balancer = Balancer::new(config.groups.iter().map(group).collect(), default);
    let tracker = &config.tracker;
    let sessions = Limits {
        sessions_max: tracker.sessions_max,
        tunnels_max: tracker.tunnels_max,
        idle_secs: tracker.idle_secs,
        unknown_idle_secs: tracker.unknown_idle_secs,
        home_plmns: tracker.home_plmns.iter().filter_map(|plmn| Plmn::from_text(plmn)).collect(),
        ..Limits::default()
    };
    Plan {
        cluster,
        balancer,
        probes: config.probes.len(),
        sessions,
        follow: tracker.control == Control::Follow,
        for_all: ForAll {
            sctp: tracker.broadcast_also.contains(&BroadcastAlso::Sctp),
            diameter: tracker.broadcast_also.contains(&BroadcastAlso::Diameter),
        },
        stay: tracker.unknown == Unknown::Stay,
        hold_ns: u64::from(tracker.hold_ms) * 1_000_000,
        hold_bytes: usize::try_from(tracker.hold_bytes).unwrap_or(usize::MAX),
        hold_packets: held_packets(config, 256),
        ..Plan::default()
    }
}

/// Room is reserved for what may be held: so much of it, whatever `hold_bytes` says.
const HELD_PACKETS_MAX: usize = 1 << 22;

/// Packets that are held at most where each takes so many bytes.
pub(crate) fn held_packets(config: &Config, bytes: u64) -> usize {
    usize::try_from(config.tracker.hold_bytes / bytes).unwrap_or(HELD_PACKETS_MAX).min(HELD_PACKETS_MAX)
}

/// The tunnels of a tap.
pub(crate) fn decap_set(kinds: impl Iterator<Item = Decap>) -> wire::Decap {
    let mut set = wire::Decap::default();
    for kind in kinds {
        match kind {
            Decap::Vxlan => set.vxlan = true,
            Decap::Gre => set.gre = true,
            Decap::Erspan => set.erspan = true,
        }
    }
    set
}
