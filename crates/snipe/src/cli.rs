//! The command line.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are help texts, and name tables of a file and parts of a path"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// GTP-aware packet broker and live-traffic sniper for mobile networks
#[derive(Debug, Parser)]
#[command(
    name = "snipe",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "\
Examples:
  snipe replay trace.pcap --probes 4 --out out
  snipe run --config dpdk-config/demo.toml
  snipe sessions list --imsi 001010000000001
  snipe stats --watch 1s
  snipe events
  snipe gen -o big.pcap --subscribers 10000 --seconds 10 --pps 100000

Exit status: 0 done, 1 the work failed, 2 the command line or a file given was wrong."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Replay(Replay),
    Run(Run),
    Rules(Rules),
    Sessions(Sessions),
    Stats(Stats),
    Events(Events),
    Identities(Identities),
    Gen(Gen),
    Completions(Completions),
}

/// Run the whole dataplane over capture files: no root, no hugepages, no NIC
///
/// Reads pcap and pcapng, also compressed by gzip or zstd, merges them by time and writes what each
/// probe would have been sent, with the accounting in stats.json and a line for each subscriber session
/// in sessions.jsonl. Time is the captures' own; the same input gives the same output, byte for byte,
/// for any number of workers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe replay trace.pcapng --probes 4 --out out
  snipe replay s1u.pcap.gz s11.pcap.zst --probes 8 --out out --force --json
  snipe replay core.pcap --probes 4 --control follow --out out
  snipe replay --config snipe.toml --decap vxlan --out out mirror.pcap")]
pub(crate) struct Replay {
    /// Capture files, merged by time; - is the standard input
    #[arg(required = true, value_name = "CAPTURE")]
    pub(crate) captures: Vec<PathBuf>,
    /// Where to write: <probe>.pcap, sessions.jsonl, stats.json; alerts.jsonl (empty: not built yet)
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Take probes and groups from this file; [eal], [[port]], [lcores], [state] and [api] are ignored
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Rule files, in addition to those of the configuration (checked; not applied yet)
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Vec<PathBuf>,
    /// Make N probes, probe-1 … probe-N, in one group "default"
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) probes: Option<u8>,
    /// Where GTP-C and PFCP messages go: to all probes, or to those of the sessions they concern
    /// [default: the configuration's, else broadcast]
    #[arg(long, value_name = "MODE")]
    pub(crate) control: Option<Control>,
    /// Working threads; the output is the same for any number
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
    /// Unpack packets of a tunnelled tap first; several, separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) decap: Vec<Encapsulation>,
    /// How fast: max, real (as captured), or a factor of that, such as 2.5
    #[arg(long, value_name = "SPEED", default_value = "max", value_parser = parse_speed)]
    pub(crate) speed: Speed,
    /// Write into a directory that is not empty: what an earlier run left there is removed, other files
    /// of the same names are written over
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print the accounting as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Control {
    Broadcast,
    Follow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encapsulation {
    Vxlan,
    Gre,
    Erspan,
}

/// How fast packets are taken from captures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// As fast as they can be handled.
    Max,
    /// So many times as fast as they were captured.
    Factor(f64),
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed::Max),
        "real" => Ok(Speed::Factor(1.0)),
        _ => match text.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Factor(factor)),
            _ => Err("give max, real, or a number greater than 0".to_owned()),
        },
    }
}

/// Run the dataplane on live DPDK ports, in the foreground
///
/// Ends on SIGINT or SIGTERM, or, with stop_when_idle, when its capture files are read; then prints
/// the accounting.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe run --config dpdk-config/demo.toml
  snipe run --config /etc/snipe/snipe.toml --json > accounting.json")]
pub(crate) struct Run {
    /// What to run
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the accounting as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a running instance is asked.
#[derive(Debug, Args)]
pub(crate) struct Instance {
    /// The control socket of the running instance: `socket` of [api] in its configuration
    #[arg(
        long,
        value_name = "PATH",
        env = "SNIPE_SOCKET",
        hide_env_values = true,
        default_value = "/run/snipe/snipe.sock"
    )]
    pub(crate) socket: PathBuf,
}

/// Check rule files
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  snipe rules check rules/*.toml
  snipe rules fields"
)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    Check(RulesCheck),
    /// List the fields that conditions can name
    Fields,
}

/// Check rule files, and say what each rule looks at
///
/// Everything that is wrong is shown with its line. Files are checked together, as one rule set: names are
/// unique, and a list of one file can be used in another. Rules are not applied to packets yet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe rules check vip.toml
  snipe rules check rules/*.toml --json | jq .payload")]
pub(crate) struct RulesCheck {
    /// Rule files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ask a running instance for subscriber sessions
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  snipe sessions list
  snipe sessions list --imsi 001010000000001 --json"
)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    pub(crate) command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    List(SessionsList),
}

/// List the sessions that are known now
///
/// Of several conditions all must hold. Sessions come in no particular order.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe sessions list
  snipe sessions list --imsi 001010000000001
  snipe sessions list --ue-ip 2001:db8:1::/64 --json | jq .fteids
  snipe sessions list --teid 0x1f00 --socket /tmp/snipe.sock")]
pub(crate) struct SessionsList {
    /// Of this subscriber: 6 to 15 digits, or the pseudonym that records have
    #[arg(long, value_name = "IMSI", value_parser = control::parse_imsi)]
    pub(crate) imsi: Option<control::Subscriber>,
    /// With this UE address; IPv6 by its prefix of 64 bits
    #[arg(long, value_name = "IP", value_parser = control::parse_ue_ip)]
    pub(crate) ue_ip: Option<IpAddr>,
    /// With this TEID at any receiver, now or before: decimal, or hex with 0x
    #[arg(long, value_name = "TEID", value_parser = control::parse_teid)]
    pub(crate) teid: Option<types::Teid>,
    /// So many at most
    #[arg(long, value_name = "N", value_parser = control::parse_limit)]
    pub(crate) limit: Option<usize>,
    /// Print one JSON object a line, as in sessions.jsonl, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

/// Ask a running instance for its packet accounting
///
/// The table that replay and run print at their end, and what happens in a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe stats
  snipe stats --watch 1s
  snipe stats --json | jq .probes
  snipe stats --json --watch 10s >> accounting.jsonl")]
pub(crate) struct Stats {
    /// Ask again and again, this often, until SIGINT; with --json one object a line
    #[arg(long, value_name = "INTERVAL", value_parser = parse_interval)]
    pub(crate) watch: Option<Duration>,
    /// Print the accounting as JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = control::parse_duration(text)?;
    if interval < Duration::from_millis(100) {
        return Err("give 100ms or more".to_owned());
    }
    Ok(interval)
}

/// Follow what happens in a running instance
///
/// Sessions that become known or go to another probe, tunnels that are another session's, nodes that start
/// anew, PFCP associations that are released, and whether sessions are kept on disk. Begins now, and ends
/// by SIGINT, or when the instance stops (exit status 1).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe events
  snipe events --json | jq 'select(.event == \"session-moved\")'
  snipe events --json >> events.jsonl")]
pub(crate) struct Events {
    /// Print one JSON object a line, as in GET /events, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

/// Tell a running instance whose UE addresses are
///
/// For sessions whose signalling names no subscriber, as N4 often does: those with the address, now or
/// as long as the entry holds, get what it says, and go to the probe of the IMSI. What signalling
/// has told is never overwritten. A newer entry of the same address and network instance takes the
/// place of the older.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  snipe identities add --ue-ip 10.0.1.0 --imsi 001010000000001 --ttl 10m
  snipe identities load feed.json"
)]
pub(crate) struct Identities {
    #[command(subcommand)]
    pub(crate) command: IdentitiesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentitiesCommand {
    Add(IdentitiesAdd),
    Load(IdentitiesLoad),
}

/// Tell whose one UE address is
///
/// At least one of --imsi, --msisdn and --imei is to be given.
#[derive(Debug, Args)]
#[command(
    group(clap::ArgGroup::new("identity").required(true).multiple(true).args(["imsi", "msisdn", "imei"])),
    after_help = "\
Examples:
  snipe identities add --ue-ip 10.0.1.0 --imsi 001010000000001
  snipe identities add --ue-ip 2001:db8:1::/64 --network-instance internet --imsi 001010000000001 --ttl 10m"
)]
pub(crate) struct IdentitiesAdd {
    /// The UE's address; IPv6 by its prefix of 64 bits
    #[arg(long, value_name = "IP", value_parser = control::parse_ue_ip)]
    pub(crate) ue_ip: IpAddr,
    /// Only in sessions of this network instance or APN
    #[arg(long, value_name = "NAME", value_parser = parse_network)]
    pub(crate) network_instance: Option<types::Apn>,
    /// Subscriber: 6 to 15 digits
    #[arg(long, value_name = "IMSI", value_parser = |text: &str| control::parse_digits(text, 6, 15))]
    pub(crate) imsi: Option<types::Digits>,
    /// Subscriber's number: 3 to 15 digits
    #[arg(long, value_name = "MSISDN", value_parser = |text: &str| control::parse_digits(text, 3, 15))]
    pub(crate) msisdn: Option<types::Digits>,
    /// Equipment: 14 to 16 digits
    #[arg(long, value_name = "IMEI", value_parser = |text: &str| control::parse_digits(text, 14, 16))]
    pub(crate) imei: Option<types::Digits>,
    /// How long it holds; a session that has got it keeps it
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_ttl)]
    pub(crate) ttl: Duration,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

/// Tell what a file says: a list as POST /identities takes it
///
/// [{ "ue_ip": "10.0.1.0", "network_instance": "internet", "imsi": "001010000000001", "msisdn": "46700000001",
/// "imei": "35000000000000", "ttl": "10m" }]; ue_ip and one of imsi, msisdn and imei must be there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe identities load feed.json
  radius-to-json | snipe identities load -")]
pub(crate) struct IdentitiesLoad {
    /// The file; - is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

fn parse_network(text: &str) -> Result<types::Apn, &'static str> {
    types::Apn::from_text(text.as_bytes()).ok_or("give 1 to 100 visible ASCII characters, like internet")
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    control::check_ttl(control::parse_duration(text)?)
}

/// Write a synthetic mobile-core capture, and its ground truth as JSON beside it
///
/// Subscribers attach, get PDN connections, move, go idle, come back and detach: GTPv2-C on S11 and
/// S5/S8, GTPv1-C on Gn, PFCP on N4. Their IPv4 and IPv6 flows are in GTP-U on S1-U and S5-U, Gn and N3,
/// both directions, with packet sizes of a mobile network. TEIDs and addresses are used again by later
/// subscribers. The truth says which session every user packet belongs to, and everything that
/// sessions.jsonl says of a session; with --loss, --reorder or --dup it stays what happened in the
/// network. The same options give the same file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe gen -o small.pcap
  snipe gen -o big.pcap --subscribers 10000 --seconds 12 --pps 100000 --seed 7
  snipe gen -o bad-tap.pcap --loss 0.01 --reorder 0.01 --dup 0.01
  snipe gen -o 5g.pcap --nr 1 --umts 0 --ipv6 0.5 --vlan 100")]
pub(crate) struct Gen {
    /// The capture to write; the ground truth gets the same name with .json
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Subscribers; those that attach late or for whom there is no time have no session
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) subscribers: u32,
    /// Length of the capture in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Packets a second, signalling and users together
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) pps: u64,
    /// Another seed gives other traffic of the same kind
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of the sessions with IPv6, 0 to 1; some of these have IPv4 too
    #[arg(long, value_name = "SHARE", default_value_t = 0.3)]
    pub(crate) ipv6: f64,
    /// Share of the subscribers in 5G, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.3)]
    pub(crate) nr: f64,
    /// Share of the subscribers in 2G and 3G, 0 to 1; those in neither are in 4G
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub(crate) umts: f64,
    /// Put this VLAN tag on every frame
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub(crate) vlan: Option<u16>,
    /// Share of the user packets whose outer IP packet is fragmented, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.002)]
    pub(crate) fragments: f64,
    /// Share of the GTP-C and PFCP messages that the tap does not see, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) loss: f64,
    /// Share of the GTP-C and PFCP messages that the tap sees 1 to 20 ms late, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) reorder: f64,
    /// Share of the GTP-C and PFCP messages that the tap sees twice, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) dup: f64,
    /// Only the user plane, of sessions that are up from the beginning: nothing tells whose they are
    #[arg(long)]
    pub(crate) no_signalling: bool,
    /// Overwrite existing files
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a completion script for your shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  snipe completions bash > /etc/bash_completion.d/snipe
  snipe completions zsh > ~/.zfunc/_snipe
  snipe completions fish > ~/.config/fish/completions/snipe.fish")]
pub(crate) struct Completions {
    /// bash, zsh or fish
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals() {
        assert_eq!(parse_interval("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(parse_interval("99ms"), Err("give 100ms or more".to_owned()));
        let said = parse_interval("1").unwrap_err();
        assert_eq!(said, "give a duration with its unit: \"1s\", \"1ms\"");
    }

    #[test]
    fn speeds() {
        assert_eq!(parse_speed("max"), Ok(Speed::Max));
        assert_eq!(parse_speed("real"), Ok(Speed::Factor(1.0)));
        assert_eq!(parse_speed("2.5"), Ok(Speed::Factor(2.5)));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }
}
