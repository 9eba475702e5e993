//! `snipe events`

use std::fmt::Write as _;
use std::io::{self, Write as _};

use control::{Client, ClientError};
use serde_json::Value;

use crate::cli::Events as Args;
use crate::failure::Failure;
use crate::signals;

/// Prints events as they come, each at once.
pub(crate) fn events(args: &Args) -> Result<(), Failure> {
    let stop = signals::stop_flag()?;
    let client = Client::new(&args.instance.socket).map_err(|error| Failure::client(&error))?;
    let mut out = io::stdout().lock();
    let followed = client.events(&stop, |json| {
        let line = if args.json { format!("{json}\n") } else { row(json) };
        out.write_all(line.as_bytes()).and_then(|()| out.flush())
    });
    match followed {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(Failure::work(format_args!("{}: the instance has stopped", args.instance.socket.display())))
        }
        // A reader that has gone away (`| head`) is no failure.
        Err(ClientError::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ClientError::Sink(error)) => Err(Failure::work(format_args!("cannot write to stdout: {error}"))),
        Err(error) => Err(Failure::client(&error)),
    }
}

/// An event as a line for people: time, name, and what there is to say of it. Of a newer instance's events
/// the fields as they are.
fn row(json: &str) -> String {
    let Ok(event) = serde_json::from_str::<Value>(json) else { return format!("{json}\n") };
    let text = |field: &str| match event.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let name = text("event");
    let mut row = format!("{:<24}  {name:<20}  ", text("time"));
    let change = |what: String| format!("{what:<36}  {} \u{2192} {}", text("probe_before"), text("probe"));
    let detail = match name.as_str() {
        "session-learned" => change(format!("{} \u{2192} {}", text("from"), text("correlation_id"))),
        "session-moved" => change(text("correlation_id")),
        "tunnel-relearned" => {
            let ids = format!("{} \u{2192} {}", text("from"), text("correlation_id"));
            format!("{ids:<36}  {} TEID {}", text("receiver"), text("teid"))
        }
        "path-restart" => format!("{} by {}", text("peer"), text("protocol")),
        "association-released" => {
            let peers = event.get("peers").and_then(Value::as_array).into_iter().flatten();
            peers.filter_map(Value::as_str).collect::<Vec<_>>().join(" \u{2194} ")
        }
        "state" if event.get("ok") == Some(&Value::Bool(true)) => "sessions are kept again".to_owned(),
        "state" => format!("sessions are not kept: {}", text("message")),
        "lost" => format!("{} events", text("count")),
        _ => json.to_owned(),
    };
    row.push_str(&detail);
    if let Some(imsi) = event.get("imsi").and_then(Value::as_str) {
        let _ = write!(row, "  imsi {imsi}");
    }
    row.push('\n');
    row
}
