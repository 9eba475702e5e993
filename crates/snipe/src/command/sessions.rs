//! `snipe sessions`

use std::io::{self, BufWriter, Write};

use control::{Client, ClientError, SessionQuery, SessionTable};

use crate::cli::SessionsList;
use crate::failure::Failure;

/// Prints sessions as they come: a million of them need no more memory than a thousand.
pub(crate) fn list(args: &SessionsList) -> Result<(), Failure> {
    let &SessionsList { imsi, ue_ip, teid, limit, json, .. } = args;
    let query = SessionQuery { imsi, ue_ip, teid, limit };
    let client = Client::new(&args.instance.socket).map_err(|error| Failure::client(&error))?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let listed = if json {
        client.sessions(&query, |line| out.write_all(line))
    } else {
        as_table(&client, &query, &mut out)
    };
    // What came before a failure is shown too.
    let flushed = out.flush().map_err(ClientError::Sink);
    match listed.and(flushed) {
        // A reader that has gone away (`| head`) is no failure.
        Err(ClientError::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(ClientError::Sink(error)) => Err(Failure::work(format_args!("cannot write to stdout: {error}"))),
        ended => ended.map_err(|error| Failure::client(&error)),
    }
}

fn as_table(client: &Client, query: &SessionQuery, out: &mut impl Write) -> Result<(), ClientError> {
    let mut table = SessionTable::default();
    client.sessions(query, |line| {
        let part = table.push(line)?;
        part.map_or(Ok(()), |part| out.write_all(part.as_bytes()))
    })?;
    out.write_all(table.finish().as_bytes()).map_err(ClientError::Sink)
}
