//! Finds the captures of other people and the golden files made from them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde_json::Value;

/// The folder of the captures: `$SNIPE_CORPUS`, else `../shared/captures` beside the project. A test
/// that gets `None` prints "skipped" and passes.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let folder = match env::var_os("SNIPE_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
    };
    folder.is_dir().then_some(folder)
}

/// The captures in [`corpus`], sorted by name; empty where there is none.
#[must_use]
pub fn captures() -> Vec<PathBuf> {
    let Some(entries) = corpus().and_then(|folder| fs::read_dir(folder).ok()) else { return Vec::new() };
    let is_capture = |path: &PathBuf| {
        path.extension().is_some_and(|ext| ["pcap", "pcapng", "cap"].iter().any(|known| ext == *known))
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_capture).collect();
    paths.sort();
    paths
}

/// A table with named columns from `crates/testkit/corpus`.
#[derive(Clone, Debug)]
pub struct Golden {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One line of a [`Golden`] table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a [String],
    values: &'a [String],
}

/// Reads the golden file of this name, without its `.tsv`.
///
/// # Errors
/// If there is no such file, or a line has more or fewer values than there are columns.
pub fn golden(name: &str) -> io::Result<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name).with_extension("tsv");
    Golden::parse(&fs::read_to_string(path)?)
}

/// Reads the golden sessions: objects as in `sessions.jsonl` of `snipe replay`, with the capture of each
/// as `file`.
///
/// # Errors
/// If there is no such file, or a line is no JSON.
pub fn golden_sessions() -> io::Result<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sessions.jsonl");
    fs::read_to_string(path)?.lines().map(|line| serde_json::from_str(line).map_err(Into::into)).collect()
}

impl Golden {
    /// Lines that begin with `#` are comments; the first other line names the columns.
    fn parse(text: &str) -> io::Result<Self> {
        let split = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(split);
        let columns = lines.next().unwrap_or_default();
        let rows: Vec<_> = lines.collect();
        match rows.iter().find(|row| row.len() != columns.len()) {
            Some(row) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} values for {} columns: {row:?}", row.len(), columns.len()),
            )),
            None => Ok(Self { columns, rows }),
        }
    }

    /// The lines in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { columns: &self.columns, values })
    }

    /// The lines about one capture, by its file name.
    pub fn of_capture<'a>(&'a self, capture: &'a str) -> impl Iterator<Item = Row<'a>> {
        self.rows().filter(move |row| row.text("capture") == capture)
    }
}

impl<'a> Row<'a> {
    /// The value in a column; empty where there is no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> &'a str {
        let index = self.columns.iter().position(|name| name == column);
        index.and_then(|index| self.values.get(index)).map_or("", String::as_str)
    }

    /// The value in a column as a number, if it is one.
    #[must_use]
    pub fn number(&self, column: &str) -> Option<u64> {
        self.text(column).parse().ok()
    }
}

/// The numbers in `1-3,7`; what is not a number is left out.
pub fn frame_numbers(text: &str) -> impl Iterator<Item = u64> {
    let range = |run: &str| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_tables_have_named_columns() {
        let table = Golden::parse("# made by\ncapture\tgtp_u\nx.pcap\t3\ny.pcap\t-\n").unwrap();
        let row = table.of_capture("x.pcap").next().unwrap();
        assert_eq!((row.number("gtp_u"), row.text("nothing")), (Some(3), ""));
        assert_eq!(table.rows().nth(1).unwrap().number("gtp_u"), None);
        assert!(Golden::parse("a\tb\nonly\n").is_err());
    }

    #[test]
    fn frame_numbers_of_runs() {
        assert_eq!(frame_numbers("1-3,7,9-10").collect::<Vec<_>>(), [1, 2, 3, 7, 9, 10]);
        assert_eq!(frame_numbers("").count(), 0);
    }

    #[test]
    fn every_frame_of_a_user_has_its_session() {
        let (sessions, ue, counts) =
            (golden_sessions().unwrap(), golden("ue").unwrap(), golden("times").unwrap());
        assert!(sessions.len() >= 50 && ue.rows().count() >= 30);
        for row in ue.rows() {
            let (capture, session) = (row.text("capture"), row.number("session").unwrap() as usize);
            let of_capture = sessions.iter().filter(|session| session["file"] == capture);
            assert!(of_capture.clone().count() > session, "{capture}: {session}");
            assert!(["tunnel", "address", "outside"].contains(&row.text("how")), "{capture}");
            let packets = counts.of_capture(capture).next().unwrap().number("packets").unwrap();
            let frames: Vec<_> = frame_numbers(row.text("frames")).collect();
            assert_eq!(frames.len() as u64, row.number("count").unwrap(), "{capture}");
            assert!(frames.is_sorted() && frames[0] >= 1 && frames[frames.len() - 1] <= packets, "{capture}");
        }
    }

    #[test]
    fn every_capture_has_its_golden_lines() {
        let (classes, counts) = (golden("classes").unwrap(), golden("times").unwrap());
        let (names, pairs) = (["gtp_u", "gtp_c", "pfcp", "gtp_prime", "other"], golden("pairs").unwrap());
        for row in classes.rows() {
            let capture = row.text("capture");
            let packets = counts.of_capture(capture).next().unwrap().number("packets").unwrap();
            assert_eq!(names.iter().map(|name| row.number(name).unwrap()).sum::<u64>(), packets, "{capture}");
            let inside: u64 = pairs.of_capture(capture).map(|row| row.number("count").unwrap()).sum();
            assert!(inside <= row.number("gtp_u").unwrap(), "{capture}");
        }
        for row in pairs.rows() {
            assert_eq!(frame_numbers(row.text("frames")).count() as u64, row.number("count").unwrap());
        }

        let captures = captures();
        if captures.is_empty() {
            println!("skipped: no captures");
            return;
        }
        for capture in captures {
            let name = capture.file_name().unwrap().to_str().unwrap();
            assert_eq!(classes.of_capture(name).count(), 1, "{name}: run scripts/golden");
        }
    }
}
