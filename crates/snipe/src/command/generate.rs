//! `snipe gen`

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use testkit::{GroundTruth, Options};

use crate::cli::Gen;
use crate::failure::Failure;
use crate::output;

pub(crate) fn generate(args: &Gen) -> Result<(), Failure> {
    let truth_path = truth_path(&args.out)?;
    for path in [&args.out, &truth_path] {
        if path.exists() && !args.force {
            return Err(Failure::input(format_args!(
                "{}: exists; choose another name or give --force",
                path.display()
            )));
        }
    }
    let options = Options {
        subscribers: args.subscribers,
        seconds: args.seconds,
        pps: args.pps,
        seed: args.seed,
        ipv6: args.ipv6,
        nr: args.nr,
        umts: args.umts,
        signalling: !args.no_signalling,
        loss: args.loss,
        reorder: args.reorder,
        dup: args.dup,
        vlan: args.vlan,
        fragments: args.fragments,
        ..Options::default()
    };
    options.validate().map_err(Failure::input)?;
    let truth = write(&args.out, |out| testkit::write_capture(options, out))?;
    write(&truth_path, |out| truth.write_json(out))?;
    output::print(&summary(args, &truth_path, &truth)?)
}

/// The capture's name with `.json` at its end.
fn truth_path(capture: &Path) -> Result<PathBuf, Failure> {
    let path = capture.with_extension("json");
    if path == capture || capture.file_name().is_none() {
        return Err(Failure::input(format_args!(
            "{}: give the capture a name that ends in .pcap; the ground truth gets the same name with .json",
            capture.display()
        )));
    }
    Ok(path)
}

fn write<T>(
    path: &Path,
    produce: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<T>,
) -> Result<T, Failure> {
    let failed = |error: std::io::Error| {
        // A part of a capture would be taken for a whole one. A device or a pipe stays.
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
            let _ = fs::remove_file(path);
        }
        Failure::work(format_args!("{}: cannot write: {error}", path.display()))
    };
    let file = File::create(path)
        .map_err(|error| Failure::work(format_args!("{}: cannot create: {error}", path.display())))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let value = produce(&mut out).map_err(failed)?;
    out.flush().map_err(failed)?;
    Ok(value)
}

fn summary(args: &Gen, truth_path: &Path, truth: &GroundTruth) -> Result<String, Failure> {
    let bytes = fs::metadata(&args.out).map_err(Failure::work)?.len();
    let (packets, sessions) = (truth.packets().len(), truth.sessions.len());
    let users = truth.packets().flatten().count();
    let active = truth.sessions.iter().filter(|session| session.ended_ns.is_none()).count();
    if args.json {
        let value = serde_json::json!({
            "capture": args.out, "truth": truth_path, "packets": packets, "user_packets": users, "bytes": bytes,
            "sessions": sessions, "active": active, "deleted": sessions - active,
        });
        return Ok(format!("{value:#}\n"));
    }
    Ok(format!(
        "{}: {packets} packets, {users} of them of users, {:.1} MB\n{}: {sessions} sessions, {active} of them active at the end\n",
        args.out.display(),
        bytes as f64 / 1e6,
        truth_path.display(),
    ))
}
