//! From a parsed TOML table to a [`Config`]: every key, then what only makes sense together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use types::{PortId, ProbeId};

use super::read::{At, Fields, KEYS, Reader, bare, nearest, one_of};
use super::value::{self, RECEIVES, SENDS};
use super::{
    Api, BroadcastAlso, Clock, ClusterKey, Config, Control, Decap, Eal, Group, Lcores, Mode, Network,
    OnReturn, Port, Probe, Role, Rotation, Rules, State, SubscriberIds, Target, Tcp, Tdb, Tracker, Unknown,
};
use crate::api::SOCKET_PATH_BYTES_MAX;
use crate::message::{ConfigError, Problem, Source, Warning};

pub(super) fn config(source: Arc<Source>, text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let reader = Reader::new(source);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        reader.report(reader.problem(&span, syntax(error.message())));
    }
    // What a broken file says beyond its breaks is guesswork.
    if !errors.is_empty() {
        return Err(ConfigError::invalid(reader.problems.into_inner()));
    }
    let parsed = whole(&reader, root.get_ref(), text.len());
    let problems = reader.problems.into_inner();
    if !problems.is_empty() {
        return Err(ConfigError::invalid(problems));
    }
    let mut warnings = reader.warnings.into_inner();
    warnings.sort_by_key(|warning| warning.problem().offset());
    Ok((parsed, warnings))
}

fn syntax(message: &str) -> String {
    let message = message.trim().replace('\n', ": ");
    format!("not TOML: {message}")
}

fn whole(reader: &Reader, root: &DeTable<'_>, length: usize) -> Config {
    unknown_tables(reader, root);
    let top = Top { reader, root };

    let scalars = Fields::bare(reader, root, 0..length);
    let cluster_key = scalars.string("cluster_key").map(|key| ClusterKey(key.value.to_owned()));
    let ids = [("clear", SubscriberIds::Clear), ("pseudonym", SubscriberIds::Pseudonym)];
    let subscriber_ids = scalars.choice("subscriber_ids", &ids).unwrap_or_default();
    if let Some(span) = scalars.key_span("subscriber_ids") {
        if subscriber_ids == SubscriberIds::Pseudonym && cluster_key.is_none() {
            let problem = reader.problem(&span, "without `cluster_key` pseudonyms hide nobody");
            let problem = problem.label("their key is known to everybody then");
            reader.warn(problem.help("set `cluster_key` to a secret of your own"), false);
        }
    }
    let stop_when_idle = scalars.boolean("stop_when_idle").unwrap_or_default();

    let port_tables = top.many("[[port]]");
    let mut ports: Vec<Port> = port_tables.iter().map(port).collect();
    let port_names = names(reader, &port_tables, "port");
    devices(reader, &port_tables, &ports);

    let probe_tables = top.many("[[probe]]");
    let mut run_problems = Vec::new();
    let probes: Vec<Probe> =
        probe_tables.iter().map(|table| probe(table, &port_names, &mut run_problems)).collect();
    let probe_names = names(reader, &probe_tables, "probe");
    if let Some(table) = probe_tables.get(ProbeId::MAX) {
        let what = format!("{} probes: one instance serves at most {}", probe_tables.len(), ProbeId::MAX);
        reader.report(reader.problem(&table.span, what).label("one too many"));
    }
    same_target(reader, &probe_tables, &probes);

    let group_tables = top.many("[[group]]");
    let mut groups: Vec<Group> = group_tables.iter().map(|table| group(table, &probe_names)).collect();
    names(reader, &group_tables, "group");
    match group_tables.first() {
        None if probes.is_empty() => {}
        None => groups = vec![Group::of_all(&probes)],
        Some(first) if !groups.iter().any(|group| group.name == Group::DEFAULT) => {
            let problem = reader.problem(&first.span, "no group is named `default`");
            reader.report(
                problem
                    .label("the first of the groups")
                    .help("packets that no rule sends elsewhere go to `default`: add one, or rename one"),
            );
        }
        Some(_) => {}
    }
    for (id, table) in (0..=u8::MAX).map(ProbeId).zip(&probe_tables) {
        if !groups.iter().any(|group| group.probes.contains(&id)) && reader.problems.borrow().is_empty() {
            let name = probes.get(usize::from(id.0)).map_or("", |probe| &probe.name);
            let span = table.key_span("name").unwrap_or(table.span.clone());
            let problem =
                reader.problem(&span, format!("probe `{name}` is in no group: nothing is sent to it"));
            reader.warn(problem.label("add it to the `probes` of a group"), false);
        }
    }

    let eal = top.one("[eal]").map_or_else(Eal::default, |table| Eal {
        args: table.strings("args").map(owned).unwrap_or_default(),
    });
    let lcores = top.one("[lcores]").and_then(|table| lcores(&table));
    let tracker = top.one("[tracker]").map_or_else(Tracker::default, |table| tracker(&table));
    let tdb = top.one("[tdb]").map_or_else(Tdb::default, |table| tdb(&table));
    let rules = top.one("[rules]").map_or_else(Rules::default, |table| rules(&table));
    let state = top.one("[state]").map_or_else(State::default, |table| State {
        dir: table.string("dir").map(|dir| PathBuf::from(dir.value)),
    });
    let api = top.one("[api]").map(|table| api(&table));

    roles(reader, &port_tables, &probe_tables, &mut ports, &probes, &mut run_problems);
    clocks(reader, &port_tables, &ports);
    loops(reader, &port_tables, &probe_tables, &ports, &probes, &mut run_problems);
    missing(reader, &port_tables, &probe_tables, lcores.is_some(), &mut run_problems);

    Config {
        cluster_key,
        subscriber_ids,
        stop_when_idle,
        eal,
        ports,
        probes,
        groups,
        lcores,
        tracker,
        tdb,
        rules,
        state,
        api,
        run_problems,
    }
}

/// The tables of the file by name.
struct Top<'r, 't> {
    reader: &'r Reader,
    root: &'t DeTable<'t>,
}

impl<'r, 't> Top<'r, 't> {
    fn one(&self, place: &'static str) -> Option<Fields<'r, 't>> {
        let (key, value) = self.root.get_key_value(bare(place))?;
        let name = bare(place);
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::open(self.reader, place, table, key.span())),
            _ => {
                let problem = self.reader.problem(&key.span(), format!("`{name}` is one table"));
                self.reader.report(problem.label(format!("write `{place}` on a line of its own")));
                None
            }
        }
    }

    fn many(&self, place: &'static str) -> Vec<Fields<'r, 't>> {
        let Some((key, value)) = self.root.get_key_value(bare(place)) else {
            return Vec::new();
        };
        let name = bare(place);
        let wrong = |span: Range<usize>| {
            let problem = self.reader.problem(&span, format!("there can be several of `{name}`"));
            self.reader.report(problem.label(format!("write `{place}`, with two brackets")));
        };
        let Some(array) = value.get_ref().as_array() else {
            wrong(key.span());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::Table(table) => {
                    tables.push(Fields::open(self.reader, place, table, element.span()));
                }
                _ => wrong(element.span()),
            }
        }
        tables
    }
}

fn unknown_tables(reader: &Reader, root: &DeTable<'_>) {
    let top_keys = KEYS.first().map_or(&[][..], |(_, keys)| keys);
    let tables = || KEYS.iter().skip(1).map(|(table, _)| bare(table));
    for (key, value) in root {
        let typed: &str = key.get_ref();
        if top_keys.contains(&typed) || tables().any(|table| table == typed) {
            continue;
        }
        let problem = unknown_table(reader, typed, key.span(), value, top_keys);
        reader.report(problem);
    }
}

fn unknown_table(
    reader: &Reader,
    typed: &str,
    span: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    top_keys: &[&str],
) -> Problem {
    let shown = typed.escape_debug();
    let is_tables = value.get_ref().as_array().is_some_and(|a| a.iter().any(|e| e.get_ref().is_table()));
    let with_brackets = |name: &str| {
        KEYS.iter().map(|(table, _)| *table).find(|table| bare(table) == name).unwrap_or_default()
    };
    if value.get_ref().is_table() || is_tables {
        let written = if is_tables { format!("[[{shown}]]") } else { format!("[{shown}]") };
        let tables = KEYS.iter().skip(1).map(|(table, _)| *table);
        let list: Vec<String> = tables.map(|table| format!("`{table}`")).collect();
        let near = nearest(typed, KEYS.iter().skip(1).map(|(table, _)| bare(table)));
        let label = near.map_or_else(
            || "not a table of this file".to_owned(),
            |name| format!("did you mean `{}`?", with_brackets(name)),
        );
        return reader
            .problem(&span, format!("unknown table `{written}`"))
            .label(label)
            .help(format!("tables: {}", list.join(", ")));
    }
    let problem = reader.problem(&span, format!("unknown key `{shown}`"));
    let home = KEYS.iter().skip(1).find(|(_, keys)| keys.contains(&typed)).map(|(table, _)| *table);
    let problem = match (home, nearest(typed, top_keys.iter().copied())) {
        (Some(table), _) => problem.label(format!("belongs to `{table}`")),
        (None, Some(name)) => problem.label(format!("did you mean `{name}`?")),
        (None, None) => problem.label("not a key of this file"),
    };
    let list: Vec<String> = top_keys.iter().map(|key| format!("`{key}`")).collect();
    problem.help(format!("keys above the first table: {}", list.join(", ")))
}

fn owned(list: At<Vec<At<&str>>>) -> Vec<String> {
    list.value.into_iter().map(|text| text.value.to_owned()).collect()
}

/// Names by index, each reported where it is used again.
fn names<'t>(reader: &Reader, tables: &[Fields<'_, 't>], kind: &str) -> BTreeMap<&'t str, usize> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(name) = table.quiet_string("name") else { continue };
        if let Some(&first) = names.get(name.value) {
            let line = tables.get(first).and_then(|table| table.quiet_string("name"));
            let line = line.map_or(0, |first| reader.line(first.span.start));
            let what = format!("another {kind} is named `{}`", name.value.escape_debug());
            reader.report(reader.problem(&name.span, what).label(format!("the first is on line {line}")));
        } else {
            names.insert(name.value, index);
        }
    }
    names
}

fn name(table: &Fields<'_, '_>, example: &str) -> String {
    let name = table.need(table.string("name"), "name", example);
    if let Some(name) = &name {
        if let Err(rule) = value::check_name(name.value) {
            table.refuse(&name.span, "name", &format!("must {rule}"));
        }
    }
    name.map(|name| name.value.to_owned()).unwrap_or_default()
}

fn port(table: &Fields<'_, '_>) -> Port {
    let clocks = [("packet", Clock::Packet), ("host", Clock::Host)];
    let decaps = [("vxlan", Decap::Vxlan), ("gre", Decap::Gre), ("erspan", Decap::Erspan)];
    let device = table.string("device");
    let device = table.need(device, "device", "device = \"0000:17:00.0\", or a vdev as in dpdk-config/");
    if let Some(device) = device.as_ref().filter(|device| value::device_name(device.value).is_empty()) {
        table.refuse(&device.span, "device", "must begin with a PCI address or the name of a vdev");
    }
    Port {
        name: name(table, "name = \"tap0\""),
        device: device.map(|device| device.value.to_owned()).unwrap_or_default(),
        clock: table.choice("clock", &clocks).unwrap_or_default(),
        decap: table.choices("decap", &decaps).map(|decaps| decaps.value).unwrap_or_default(),
        network: network(table),
        role: Role::Tap,
    }
}

fn network(table: &Fields<'_, '_>) -> Option<Network> {
    table.not_built("ip", "no probe can be reached by its address", true);
    table.not_built("gateway", "no probe can be reached by its address", true);
    let gateway = table.parsed("gateway", |text| {
        text.parse::<IpAddr>().map_err(|_| "an IP address like \"192.0.2.1\"".to_owned())
    });
    let ip = table.parsed("ip", |text| {
        let wanted = || "an address with its prefix, like \"192.0.2.2/24\"".to_owned();
        let (ip, prefix) = text.split_once('/').ok_or_else(wanted)?;
        let ip: IpAddr = ip.parse().map_err(|_| wanted())?;
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse().ok().filter(|prefix| (1..=bits).contains(prefix)).ok_or_else(wanted)?;
        Ok((ip, prefix))
    });
    if let (None, Some(span)) = (table.key_span("ip"), table.key_span("gateway")) {
        table.refuse(&span, "gateway", "needs `ip`, our own address on that network");
    }
    let (ip, prefix) = ip?.value;
    if let Some(gateway) = gateway.as_ref().filter(|gateway| !same_network(ip, gateway.value, prefix)) {
        table.refuse(&gateway.span, "gateway", &format!("is not in the network of {ip}/{prefix}"));
    }
    Some(Network { ip, prefix, gateway: gateway.map(|gateway| gateway.value) })
}

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32_u32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((a, a_width), (b, b_width)) = (bits(a), bits(b));
    let host = a_width.saturating_sub(u32::from(prefix));
    a_width == b_width && a.checked_shr(host) == b.checked_shr(host)
}

fn devices(reader: &Reader, tables: &[Fields<'_, '_>], ports: &[Port]) {
    let mut seen: BTreeMap<&str, &Port> = BTreeMap::new();
    for (table, port) in tables.iter().zip(ports) {
        let device = value::device_name(&port.device);
        if let Some(first) = seen.get(device).filter(|_| !device.is_empty()) {
            let Some(text) = table.quiet_string("device") else { continue };
            let what = format!("device `{}` is port `{}` already", device.escape_debug(), first.name);
            let label = "a vdev needs a number of its own: net_pcap0, net_pcap1";
            reader.report(reader.problem(&text.span, what).label(label));
        } else {
            seen.insert(device, port);
        }
    }
}

fn probe(table: &Fields<'_, '_>, ports: &BTreeMap<&str, usize>, run_problems: &mut Vec<Problem>) -> Probe {
    let text = table.need(table.string("to"), "to", "to = \"file:out/probe-1.pcap\"");
    let to = text.as_ref().and_then(|text| target(table, text, ports, run_problems));
    let probe = Probe {
        name: name(table, "name = \"probe-1\""),
        to: to.clone().unwrap_or(Target::Null),
        weight: table
            .integer("weight", 1..=u64::from(u16::MAX))
            .and_then(|weight| NonZeroU16::new(u16::try_from(weight).ok()?))
            .unwrap_or(NonZeroU16::MIN),
        via: via(table, ports),
        vlan: table.integer("vlan", 1..=4094).and_then(|vlan| NonZeroU16::new(u16::try_from(vlan).ok()?)),
        rotation: Rotation {
            bytes: table.size("rotate_bytes", 1),
            secs: table.small("rotate_secs", 1..=u32::MAX),
            disk_max_bytes: table.size("disk_max", 1),
        },
    };
    table.not_built("via", "tunnels to probes are not built", true);
    table.not_built("vlan", "frames are sent without this tag", true);
    for key in ["rotate_bytes", "rotate_secs", "disk_max"] {
        table.not_built(key, "the probe's file grows as long as packets come", true);
    }
    let Some(to) = to else { return probe };
    let is_tunnel = matches!(to, Target::Vxlan { .. } | Target::Geneve { .. });
    for (key, fits, what) in [
        ("via", is_tunnel, "`vxlan:` and `geneve:`"),
        ("vlan", matches!(to, Target::Port(_)), "`port:`"),
        ("rotate_bytes", matches!(to, Target::File(_)), "`file:`"),
        ("rotate_secs", matches!(to, Target::File(_)), "`file:`"),
        ("disk_max", matches!(to, Target::File(_)), "`file:`"),
    ] {
        if let Some(span) = table.key_span(key).filter(|_| !fits) {
            table.refuse(&span, key, &format!("is for {what} probes only"));
        }
    }
    if let Some(text) = text.filter(|_| is_tunnel) {
        table.reader.not_built(&text.span, text.value, "`run` refuses such a probe", true);
        let problem = table.reader.problem(&text.span, format!("`{}` cannot be reached yet", text.value));
        run_problems.push(problem.label("not built yet").help("use file:, port:, memif: or null"));
    }
    probe
}

fn via(table: &Fields<'_, '_>, ports: &BTreeMap<&str, usize>) -> Option<PortId> {
    let name = table.string("via")?;
    let id = ports.get(name.value).and_then(|&index| u16::try_from(index).ok()).map(PortId);
    if id.is_none() {
        table.reader.report(no_such(table.reader, &name, "port", ports));
    }
    id
}

/// A name that was used and is nowhere.
fn no_such(reader: &Reader, name: &At<&str>, kind: &str, known: &BTreeMap<&str, usize>) -> Problem {
    let problem = reader.problem(&name.span, format!("no {kind} is named `{}`", name.value.escape_debug()));
    let mut names: Vec<(&str, usize)> = known.iter().map(|(name, index)| (*name, *index)).collect();
    names.sort_by_key(|(_, index)| *index);
    let problem = match nearest(name.value, known.keys().copied()) {
        Some(near) => problem.label(format!("did you mean \"{near}\"?")),
        None => problem.label(format!("no `[[{kind}]]` has this name")),
    };
    if names.is_empty() {
        problem.help(format!("the file has no `[[{kind}]]`"))
    } else {
        problem.help(format!(
            "{kind}s: {}",
            one_of(names.iter().take(16).map(|(name, _)| *name)).replace(" or ", ", ")
        ))
    }
}

fn target(
    table: &Fields<'_, '_>,
    text: &At<&str>,
    ports: &BTreeMap<&str, usize>,
    run_problems: &mut Vec<Problem>,
) -> Option<Target> {
    let reader = table.reader;
    let (scheme, rest) = text.value.split_once(':').unwrap_or((text.value, ""));
    let empty = |what: &str| table.refuse(&text.span, "to", &format!("must be {what}"));
    match scheme {
        "null" if text.value == "null" => Some(Target::Null),
        "file" if rest.is_empty() || rest.ends_with('/') => {
            empty("\"file:\" and the path of a capture file to write");
            None
        }
        "file" => Some(Target::File(PathBuf::from(rest))),
        "memif" if rest.is_empty() || rest.len() > SOCKET_PATH_BYTES_MAX => {
            empty(&format!("\"memif:\" and the path of a socket, at most {SOCKET_PATH_BYTES_MAX} bytes"));
            None
        }
        "memif" => Some(Target::Memif(PathBuf::from(rest))),
        "vxlan" | "geneve" => match value::address_and_vni(rest) {
            Ok((ip, vni)) if scheme == "vxlan" => Some(Target::Vxlan { ip, vni }),
            Ok((ip, vni)) => Some(Target::Geneve { ip, vni }),
            Err(why) => {
                table.refuse(&text.span, "to", &format!("is not \"{scheme}:IP:VNI\": {why}"));
                None
            }
        },
        "port" => {
            // One past the quote and `port:`, so that the marker is under the name.
            let start = text.span.start.saturating_add("\"port:".len()).min(text.span.end);
            let name = At { value: rest, span: start..text.span.end.saturating_sub(1).max(start) };
            if let Some(&index) = ports.get(rest) {
                return u16::try_from(index).ok().map(|index| Target::Port(PortId(index)));
            }
            let problem = no_such(reader, &name, "port", ports);
            // `replay` takes a file without ports as it is.
            if ports.is_empty() {
                run_problems.push(problem);
            } else {
                reader.report(problem);
            }
            None
        }
        _ => {
            let kinds = ["file", "port", "memif", "vxlan", "geneve", "null"];
            let shown = text.value.escape_debug();
            let problem =
                reader.problem(&text.span, format!("`to` does not say what kind of probe: \"{shown}\""));
            let label = match nearest(scheme, kinds) {
                Some("null") => "did you mean \"null\"?".to_owned(),
                Some(kind) => format!("did you mean \"{kind}:…\"?"),
                None => "begins with none of the kinds there are".to_owned(),
            };
            reader.report(
                problem
                    .label(label)
                    .help("file:PATH, port:NAME, memif:SOCKET, vxlan:IP:VNI, geneve:IP:VNI or null"),
            );
            None
        }
    }
}

fn same_target(reader: &Reader, tables: &[Fields<'_, '_>], probes: &[Probe]) {
    let same = |a: &Probe, b: &Probe| match (&a.to, &b.to) {
        (Target::Null, _) => false,
        (Target::File(a), Target::File(b)) | (Target::Memif(a), Target::Memif(b)) => {
            value::same_path(a) == value::same_path(b)
        }
        (Target::Port(a_port), Target::Port(b_port)) => a_port == b_port && a.vlan == b.vlan,
        (a, b) => a == b,
    };
    for (index, (table, probe)) in tables.iter().zip(probes).enumerate() {
        let first = probes.iter().take(index).find(|earlier| same(earlier, probe));
        if let (Some(first), Some(to)) = (first, table.quiet_string("to")) {
            let what = format!("probes `{}` and `{}` are at the same place", first.name, probe.name);
            let problem = reader.problem(&to.span, what).label("each probe needs a place of its own");
            reader.report(problem.help("to give one probe a larger share, use `weight`"));
        }
    }
}

fn group(table: &Fields<'_, '_>, probes: &BTreeMap<&str, usize>) -> Group {
    let reader = table.reader;
    let modes = [("session", Mode::Session), ("flow", Mode::Flow), ("copy", Mode::Copy)];
    let returns = [("sticky", OnReturn::Sticky), ("rebalance", OnReturn::Rebalance)];
    let members = table.need(table.strings("probes"), "probes", "probes = [\"probe-1\"]");
    let mut ids = Vec::new();
    if let Some(members) = &members {
        table.no_twins("probes", &members.value);
        for member in &members.value {
            match probes.get(member.value).and_then(|&index| u8::try_from(index).ok()) {
                Some(id) => ids.push(ProbeId(id)),
                None => reader.report(no_such(reader, member, "probe", probes)),
            }
        }
        if members.value.is_empty() {
            let what = "a group needs a probe";
            reader.report(reader.problem(&members.span, what).label("this list is empty"));
        }
    }
    table.not_built("max_imbalance", "sessions stay where the hash puts them", false);
    table.not_built("return", "the health of probes is not watched", false);
    Group {
        name: name(table, "name = \"default\""),
        probes: ids,
        mode: table.choice("mode", &modes).unwrap_or_default(),
        max_imbalance: table.number("max_imbalance", 1.0..=64.0),
        on_return: table.choice("return", &returns).unwrap_or_default(),
    }
}

fn lcores(table: &Fields<'_, '_>) -> Option<Lcores> {
    // DPDK's own limit is RTE_MAX_LCORE, 128 in Debian's build; the kernel's is 8192.
    let cores = 0..=1023;
    let list = |key, example| {
        let list = table.need(table.integers(key, &cores), key, example)?;
        if list.value.is_empty() {
            table.refuse(&list.span, key, "is empty: this role needs a core");
        }
        table.no_twins(key, &list.value);
        Some(list.value.iter().filter_map(|core| u32::try_from(core.value).ok()).collect())
    };
    let control = table.need(table.small("control", 0..=1023), "control", "control = 0");
    let rx = list("rx", "rx = [0]");
    let workers = list("workers", "workers = [0]");
    Some(Lcores { control: control?, rx: rx?, workers: workers? })
}

fn tracker(table: &Fields<'_, '_>) -> Tracker {
    let default = Tracker::default();
    let controls = [("broadcast", Control::Broadcast), ("follow", Control::Follow)];
    let also = [("sctp", BroadcastAlso::Sctp), ("diameter", BroadcastAlso::Diameter)];
    let unknowns = [("move", Unknown::Move), ("stay", Unknown::Stay)];
    Tracker {
        control: table.choice("control", &controls).unwrap_or_default(),
        broadcast_also: table.choices("broadcast_also", &also).map(|list| list.value).unwrap_or_default(),
        hold_ms: table.small("hold_ms", 0..=60_000).unwrap_or(default.hold_ms),
        hold_bytes: table.size("hold_bytes", 0).unwrap_or(default.hold_bytes),
        unknown: table.choice("unknown", &unknowns).unwrap_or_default(),
        sessions_max: table.small("sessions_max", 1..=1 << 28).unwrap_or(default.sessions_max),
        tunnels_max: table.small("tunnels_max", 1..=1 << 29).unwrap_or(default.tunnels_max),
        idle_secs: table.small("idle_secs", 1..=IDLE_SECS_MAX).unwrap_or(default.idle_secs),
        unknown_idle_secs: table
            .small("unknown_idle_secs", 1..=IDLE_SECS_MAX)
            .unwrap_or(default.unknown_idle_secs),
        home_plmns: home_plmns(table),
    }
}

/// Thirty days: the last packet of a tunnel is remembered for 49.
const IDLE_SECS_MAX: u32 = 30 * 86_400;

/// MCC and MNC, 3 digits and 2 or 3. TS 23.003 2.2.
fn home_plmns(table: &Fields<'_, '_>) -> Vec<String> {
    let Some(list) = table.strings("home_plmns") else { return Vec::new() };
    table.no_twins("home_plmns", &list.value);
    for plmn in &list.value {
        let is_plmn = matches!(plmn.value.len(), 5 | 6) && plmn.value.bytes().all(|b| b.is_ascii_digit());
        if !is_plmn {
            table.refuse(&plmn.span, "home_plmns", "must be of 5 or 6 digits, MCC and MNC, like \"00101\"");
        }
    }
    owned(list)
}

fn tdb(table: &Fields<'_, '_>) -> Tdb {
    let default = Tdb::default();
    for key in ["bytes", "look_back", "all", "snap"] {
        table.not_built(key, "no look-back is kept", false);
    }
    Tdb {
        bytes: table.size("bytes", 0).unwrap_or(default.bytes),
        look_back: table.duration("look_back").unwrap_or(default.look_back),
        all: table.boolean("all").unwrap_or(default.all),
        snap: table.small("snap", 1..=65_535).unwrap_or(default.snap),
    }
}

fn rules(table: &Fields<'_, '_>) -> Rules {
    let Some(files) = table.strings("files") else { return Rules::default() };
    if !files.value.is_empty() {
        table.not_built("files", "no rule is loaded, every packet goes to group `default`", false);
    }
    Rules { files: files.value.iter().map(|file| PathBuf::from(file.value)).collect() }
}

fn api(table: &Fields<'_, '_>) -> Api {
    let socket = table.string("socket");
    if let Some(socket) = socket.as_ref().filter(|socket| socket.value.len() > SOCKET_PATH_BYTES_MAX) {
        table.refuse(
            &socket.span,
            "socket",
            &format!("is longer than the {SOCKET_PATH_BYTES_MAX} bytes of a socket path"),
        );
    }
    let group = table.string("group");
    for (key, text) in [("socket", &socket), ("group", &group)] {
        if let Some(text) = text.as_ref().filter(|text| text.value.is_empty() || text.value.contains('\0')) {
            table.refuse(&text.span, key, "must not be empty, and has no zero byte");
        }
    }
    let listen = table.parsed("listen", |text| {
        text.parse::<SocketAddr>().map_err(|_| "an address and port like \"127.0.0.1:9400\"".to_owned())
    });
    let token_file = table.string("token_file");
    let tcp = match (table.key_span("listen"), table.key_span("token_file")) {
        (Some(span), None) => {
            table.refuse(&span, "listen", "needs `token_file`: without a token anybody could connect");
            None
        }
        (None, Some(span)) => {
            table.refuse(&span, "token_file", "needs `listen`: the socket asks for no token");
            None
        }
        _ => listen.zip(token_file),
    };
    Api {
        socket: PathBuf::from(socket.map_or("/run/snipe/snipe.sock", |socket| socket.value)),
        group: group.map(|group| group.value.to_owned()),
        tcp: tcp.map(|(listen, token)| Tcp { listen: listen.value, token_file: PathBuf::from(token.value) }),
    }
}

/// A port that a probe names is sent to, every other is received from; no port is both.
fn roles(
    reader: &Reader,
    port_tables: &[Fields<'_, '_>],
    probe_tables: &[Fields<'_, '_>],
    ports: &mut [Port],
    probes: &[Probe],
    run_problems: &mut Vec<Problem>,
) {
    let single = ports.len() == 1;
    for (table, probe) in probe_tables.iter().zip(probes) {
        let used = match (&probe.to, probe.via) {
            (Target::Port(id), _) => Some((*id, "to")),
            (_, Some(id)) => Some((id, "via")),
            _ => None,
        };
        let Some((id, key)) = used else { continue };
        let index = usize::from(id.0);
        let (Some(port), Some(port_table)) = (ports.get_mut(index), port_tables.get(index)) else { continue };
        port.role = Role::Egress;
        for tap_key in ["clock", "decap"] {
            let Some(span) = port_table.key_span(tap_key) else { continue };
            let what = format!(
                "port `{}` cannot be received from and sent to: `{tap_key}` is for taps, and probe `{}` is there",
                port.name, probe.name
            );
            reader.report(
                reader.problem(&span, what).label(format!("remove it, or change `{key}` of the probe")),
            );
        }
        if let Some(to) = table.quiet_string(key).filter(|_| single) {
            let what = format!("probe `{}` is at the only port: it would receive what it sends", probe.name);
            run_problems.push(
                reader.problem(&to.span, what).label("a loop").help("add a second `[[port]]` for the probe"),
            );
        }
    }
}

/// The engine has one time.
fn clocks(reader: &Reader, tables: &[Fields<'_, '_>], ports: &[Port]) {
    let mut taps = tables.iter().zip(ports).filter(|(_, port)| port.role == Role::Tap);
    let Some((first_table, first)) = taps.next() else { return };
    for (table, port) in taps.filter(|(_, port)| port.clock != first.clock) {
        let said = table.key_span("clock").or_else(|| first_table.key_span("clock"));
        let Some(span) = said else { continue };
        let what = format!("ports `{}` and `{}` have different clocks", first.name, port.name);
        let problem =
            reader.problem(&span, what).label("must be the same for all ports that are received from");
        reader.report(problem.help("without `clock` a port has \"host\""));
    }
}

/// A file, interface or socket that is read and written: what is sent would come in again.
fn loops(
    reader: &Reader,
    port_tables: &[Fields<'_, '_>],
    probe_tables: &[Fields<'_, '_>],
    ports: &[Port],
    probes: &[Probe],
    run_problems: &mut Vec<Problem>,
) {
    let mut sources: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for port in ports.iter().filter(|port| port.role == Role::Tap) {
        sources.extend(
            value::endpoints(&port.device, RECEIVES).into_iter().map(|path| (path, port.name.as_str())),
        );
    }
    let mut report = |span: &Range<usize>, sink: &PathBuf, who: String| {
        if let Some(tap) = sources.get(sink) {
            let what = format!("{who} writes to `{}`, which port `{tap}` reads: a loop", sink.display());
            run_problems.push(reader.problem(span, what).label("what is sent here is received again"));
        }
    };
    for (table, port) in port_tables.iter().zip(ports).filter(|(_, port)| port.role == Role::Egress) {
        let Some(device) = table.quiet_string("device") else { continue };
        for sink in value::endpoints(&port.device, SENDS) {
            report(&device.span, &sink, format!("port `{}`", port.name));
        }
    }
    for (table, probe) in probe_tables.iter().zip(probes) {
        let (Target::File(path) | Target::Memif(path)) = &probe.to else { continue };
        let Some(to) = table.quiet_string("to") else { continue };
        report(&to.span, &value::same_path(path), format!("probe `{}`", probe.name));
    }
}

fn missing(
    reader: &Reader,
    port_tables: &[Fields<'_, '_>],
    probe_tables: &[Fields<'_, '_>],
    has_lcores: bool,
    run_problems: &mut Vec<Problem>,
) {
    let mut need = |is_there: bool, what: &str, help: &str| {
        if !is_there {
            run_problems.push(Problem::of_the_file(&reader.source, what).help(help));
        }
    };
    need(
        !port_tables.is_empty(),
        "`run` needs a port to receive from",
        "add `[[port]]` with `name` and `device`; dpdk-config/ has examples",
    );
    need(!probe_tables.is_empty(), "`run` needs a probe to send to", "add `[[probe]]` with `name` and `to`");
    need(
        has_lcores,
        "`run` needs cores to run on",
        "add `[lcores]` with `control = 0`, `rx = [0]`, `workers = [0]`; roles may share a core",
    );
}
