//! Sessions for people.

use std::net::Ipv4Addr;

use comfy_table::{CellAlignment, ColumnConstraint, Table, TableComponent, Width};
use serde::Deserialize;

use crate::stats::{si_bytes, thousands};

const HEADER: [&str; 11] =
    ["IMSI", "MSISDN", "APN", "RAT", "UE address", "state", "probe", "up", "down", "bytes", "created"];
/// Columns of numbers.
const NUMBERS: [usize; 3] = [7, 8, 9];
/// Characters of a name that are shown.
const NAME: usize = 24;
/// Rows that are aligned with each other. What comes later widens a column, never narrows it.
const ROWS: usize = 1_000;

/// A table that grows by one session after the other, and needs the memory of a thousand.
///
/// ```
/// let mut table = control::SessionTable::default();
/// let line = r#"{"imsi":"001010000000001","msisdn":null,"apn":"internet","rat":"EUTRAN","ue_ipv4":"10.0.1.0",
///     "ue_ipv6":null,"state":"active","probe":"probe-1","packets_ul":3,"packets_dl":4,"bytes_ul":300,
///     "bytes_dl":4000,"created":"2023-11-14T22:13:20.008Z"}"#;
/// assert_eq!(table.push(line.as_bytes())?, None);
/// let text = table.finish();
/// assert!(text.starts_with("IMSI             MSISDN  APN       RAT     UE address  state   probe"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct SessionTable {
    rows: Vec<[String; HEADER.len()]>,
    widths: [u16; HEADER.len()],
    printed: bool,
    count: u64,
}

/// What the table shows of a line in `sessions.jsonl`.
#[derive(Deserialize)]
struct Shown {
    imsi: Option<String>,
    msisdn: Option<String>,
    apn: Option<String>,
    rat: Option<String>,
    ue_ipv4: Option<Ipv4Addr>,
    ue_ipv6: Option<String>,
    state: String,
    probe: Option<String>,
    packets_ul: u64,
    packets_dl: u64,
    bytes_ul: u64,
    bytes_dl: u64,
    created: String,
}

impl SessionTable {
    /// Takes one line of `sessions.jsonl`; returns text where a part of the table is full.
    ///
    /// # Errors
    /// The line is none of `sessions.jsonl`.
    pub fn push(&mut self, line: &[u8]) -> Result<Option<String>, serde_json::Error> {
        let shown: Shown = serde_json::from_slice(line)?;
        self.rows.push(shown.cells());
        self.count = self.count.saturating_add(1);
        Ok((self.rows.len() >= ROWS).then(|| self.render()))
    }

    /// The rest of the table, and how many sessions there were.
    #[must_use]
    pub fn finish(mut self) -> String {
        let rest = self.render();
        let count = match self.count {
            0 => return "no session\n".to_owned(),
            1 => "1 session".to_owned(),
            count => format!("{} sessions", thousands(count)),
        };
        format!("{rest}\n{count}\n")
    }

    fn render(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        for cells in &rows {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(u16::try_from(cell.chars().count()).unwrap_or(u16::MAX));
            }
        }
        if rows.is_empty() {
            return String::new();
        }
        let mut table = Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_style(TableComponent::HeaderLines, '─');
        table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
        table.set_header(HEADER);
        table.add_rows(rows);
        for (index, (column, width)) in table.column_iter_mut().zip(self.widths).enumerate() {
            let gap = u16::from(index > 0);
            column.set_padding((gap, 0));
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(gap))));
            if NUMBERS.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let header = if self.printed { 2 } else { 0 };
        self.printed = true;
        let lines: Vec<String> = table.lines().skip(header).map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }
}

impl Shown {
    fn cells(self) -> [String; HEADER.len()] {
        let known = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| short(&text));
        let address = match (self.ue_ipv4, self.ue_ipv6) {
            (Some(v4), Some(v6)) => format!("{v4},{v6}"),
            (Some(v4), None) => v4.to_string(),
            (None, v6) => v6.unwrap_or_else(|| "-".to_owned()),
        };
        // To the second: "2023-11-14T22:13:20Z".
        let created =
            self.created.split_once('.').map_or(self.created.clone(), |(whole, _)| format!("{whole}Z"));
        [
            known(self.imsi),
            known(self.msisdn),
            known(self.apn),
            known(self.rat),
            address,
            self.state,
            known(self.probe),
            thousands(self.packets_ul),
            thousands(self.packets_dl),
            si_bytes(self.bytes_ul.saturating_add(self.bytes_dl)),
            created,
        ]
    }
}

/// What an instance sends is shown as text: nothing in it moves the cursor.
fn short(name: &str) -> String {
    let mut shown: String = name.chars().filter(|c| !c.is_control()).take(NAME + 1).collect();
    if shown.chars().count() > NAME {
        shown.pop();
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use session::Record;
    use types::{Apn, Digits, Imsi};

    use super::*;
    use crate::testing;
    use crate::{Identities, PseudonymKey, SessionJson};

    fn line(record: &Record, identities: &Identities) -> Vec<u8> {
        let mut line = Vec::new();
        SessionJson::new(record, record.probe.map(|_| "probe-1"), identities).write_line(&mut line).unwrap();
        line
    }

    fn rendered(records: &[Record], identities: &Identities) -> String {
        let mut table = SessionTable::default();
        let mut text = String::new();
        for record in records {
            text.extend(table.push(&line(record, identities)).unwrap());
        }
        text + &table.finish()
    }

    fn sessions() -> Vec<Record> {
        let full = testing::full_session();
        let busy = Record {
            apn: Apn::from_text(&[b'a'; 100]),
            packets_ul: 12_345_678,
            packets_dl: u64::MAX,
            bytes_ul: u64::MAX,
            bytes_dl: u64::MAX,
            ue_ipv6: None,
            ..full.clone()
        };
        vec![full, busy, Record::default()]
    }

    #[test]
    fn table_of_sessions() {
        insta::assert_snapshot!(rendered(&sessions(), &Identities::Clear));
    }

    #[test]
    fn table_of_pseudonyms() {
        let hidden = Identities::Pseudonym(PseudonymKey::new("change me"));
        insta::assert_snapshot!(rendered(&sessions()[..1], &hidden));
    }

    #[test]
    fn no_sessions() {
        assert_eq!(rendered(&[], &Identities::Clear), "no session\n");
    }

    #[test]
    fn a_long_list_has_one_header_and_stays_aligned() {
        let record = |n: u64| Record {
            imsi: Digits::from_text(format!("{:015}", 1_010_000_000_000 + n).as_bytes()).map(Imsi),
            packets_ul: 7_777,
            ..Record::default()
        };
        let records: Vec<Record> = (0..2_500).map(record).collect();
        let text = rendered(&records, &Identities::Clear);
        assert_eq!(text.matches("IMSI").count(), 1);
        assert_eq!(text.lines().count(), 2_500 + 2 + 2);
        let ends = |n: usize| {
            let line = text.lines().nth(2 + n).unwrap();
            (line.find("7,777").unwrap(), line.find("1970-").unwrap())
        };
        assert!((0..2_500).all(|n| ends(n) == ends(0)));
        assert!(text.ends_with("\n2,500 sessions\n"));
        // A table that ends where a part of it does.
        let text = rendered(&records[..1_000], &Identities::Clear);
        assert!(text.ends_with("Z\n\n1,000 sessions\n"), "{}", &text[text.len() - 200..]);
    }

    #[test]
    fn what_is_no_session_is_an_error() {
        assert!(SessionTable::default().push(b"{\"imsi\":1}").is_err());
        assert!(SessionTable::default().push(b"").is_err());
    }

    #[test]
    fn nothing_in_a_name_moves_the_cursor() {
        assert_eq!(short("a\x1b[2Jb\n"), "a[2Jb");
        assert_eq!(short(&"x".repeat(24)), "x".repeat(24));
        assert_eq!(short(&"x".repeat(25)), "x".repeat(23) + "…");
    }
}
