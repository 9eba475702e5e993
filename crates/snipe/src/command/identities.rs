//! `snipe identities`

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use control::{Client, ClientError, Fed, FeedEntry};
use types::{Imei, Imsi, Msisdn};

use crate::cli::{IdentitiesAdd, IdentitiesLoad, Instance};
use crate::failure::Failure;
use crate::output;

/// Entries in a request: less than the body of one may have.
const ENTRIES: usize = 1_000;

/// Tells one entry.
pub(crate) fn add(args: &IdentitiesAdd) -> Result<(), Failure> {
    let entry = FeedEntry {
        ue_ip: args.ue_ip,
        network_instance: args.network_instance,
        imsi: args.imsi.map(Imsi),
        msisdn: args.msisdn.map(Msisdn),
        imei: args.imei.map(Imei),
        ttl: args.ttl,
    };
    tell(&args.instance, &[entry])
}

/// Tells the entries of a file, which is checked whole before the first one is told.
pub(crate) fn load(args: &IdentitiesLoad) -> Result<(), Failure> {
    let name = args.file.display();
    let text =
        read(&args.file).map_err(|error| Failure::input(format_args!("{name}: cannot read: {error}")))?;
    let entries =
        FeedEntry::parse_list(&text).map_err(|error| Failure::input(format_args!("{name}: {error}")))?;
    tell(&args.instance, &entries)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return fs::read(file);
    }
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn tell(instance: &Instance, entries: &[FeedEntry]) -> Result<(), Failure> {
    let client = Client::new(&instance.socket).map_err(|error| Failure::client(&error))?;
    let mut all = Fed::default();
    for part in entries.chunks(ENTRIES) {
        let fed = client.identify(part).map_err(|error| match error {
            ClientError::Refused { .. } if all.accepted > 0 => {
                Failure::client(&error).about(format_args!("after {} entries that were taken", all.accepted))
            }
            error => Failure::client(&error),
        })?;
        all.accepted += fed.accepted;
        all.sessions += fed.sessions;
    }
    let entries = counted(all.accepted as u64, "entry", "entries");
    let sessions = counted(all.sessions, "session", "sessions");
    output::print(&format!("{entries} taken; {sessions} named by them\n"))
}
