//! Rule files as a user has them: read, checked, and told what is wrong with them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use comfy_table::{CellAlignment, Table};
use rules::{Class, Field, RuleSet, SourceFile};
use serde::Serialize;

use crate::message::{ConfigError, Problem, Source};
use crate::stats::{si_bytes, thousands};

/// Rule files and lists longer than this are none.
const FILE_BYTES_MAX: u64 = 256 << 20;

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let why = format!("longer than {} MiB", FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// Reads rule files, and the files of their lists; relative paths are from the working directory.
///
/// # Errors
/// A file cannot be read, or what is in them is wrong: then all that is wrong.
pub fn load_rules<P: AsRef<Path>>(paths: &[P]) -> Result<RuleSet, ConfigError> {
    let mut texts = Vec::new();
    for path in paths {
        let name = path.as_ref().display().to_string();
        match read(path.as_ref()) {
            Ok(text) => texts.push((name, text)),
            Err(why) => return Err(ConfigError::Read { file: name, why }),
        }
    }
    let files: Vec<_> = texts.iter().map(|(name, text)| SourceFile::new(name, text)).collect();
    let lists = |path: &str| read(Path::new(path)).map_err(|why| why.to_string());
    RuleSet::parse(&files, lists).map_err(|problems| {
        let sources: Vec<Arc<Source>> = texts.iter().map(|(name, text)| Source::new(name, text)).collect();
        ConfigError::Invalid(problems.into_iter().filter_map(|problem| shown(&sources, problem)).collect())
    })
}

fn shown(sources: &[Arc<Source>], problem: rules::Problem) -> Option<Problem> {
    let source = sources.get(problem.file)?;
    let shown = Problem::error(source, problem.span, problem.what).label(problem.label);
    Some(match problem.help {
        Some(help) => shown.help(help),
        None => shown,
    })
}

/// What a rule set is made of, and what it will cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCost {
    /// Rules that apply.
    pub rules: usize,
    /// Rules that are switched off.
    pub disabled: usize,
    /// Rules about the session alone: they cost a packet nothing.
    pub session: Vec<String>,
    /// Rules that look at headers of packets.
    pub header: Vec<String>,
    /// Rules that look at what packets carry for an application.
    pub payload: Vec<String>,
    /// Lists, with the number of their entries.
    pub lists: Vec<ListCost>,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListCost {
    /// Its name.
    pub name: String,
    /// How many entries it begins with.
    pub entries: usize,
    /// Bytes of their texts.
    pub bytes: usize,
}

impl RuleCost {
    /// Of a rule set.
    #[must_use]
    pub fn of(set: &RuleSet) -> Self {
        let of = |class: Class| {
            let rules = set.rules.iter().filter(|rule| rule.enabled && rule.class() == class);
            rules.map(|rule| rule.name.clone()).collect()
        };
        let list = |list: &rules::List| ListCost {
            name: list.name.clone(),
            entries: list.entries.len(),
            bytes: list.entries.iter().map(String::len).sum(),
        };
        let enabled = set.rules.iter().filter(|rule| rule.enabled).count();
        Self {
            rules: enabled,
            disabled: set.rules.len() - enabled,
            session: of(Class::Session),
            header: of(Class::Header),
            payload: of(Class::Payload),
            lists: set.lists.iter().map(list).collect(),
        }
    }

    /// For people.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = plain(&["looks at", "rules", "names"]);
        for (what, rules) in
            [("the session", &self.session), ("headers", &self.header), ("payload", &self.payload)]
        {
            table.add_row([what.to_owned(), thousands(rules.len() as u64), few(rules)]);
        }
        right(&mut table, &[1]);
        let rules = if self.rules == 1 { "rule" } else { "rules" };
        let mut text = format!("{} {rules}", thousands(self.rules as u64));
        if self.disabled > 0 {
            text += &format!(", and {} that are switched off", thousands(self.disabled as u64));
        }
        text += &format!("\n\n{}\n", tidy(&table));
        if !self.lists.is_empty() {
            let mut table = plain(&["list", "entries", "bytes"]);
            for list in &self.lists {
                table.add_row([
                    list.name.clone(),
                    thousands(list.entries as u64),
                    si_bytes(list.bytes as u64),
                ]);
            }
            right(&mut table, &[1, 2]);
            text += &format!("\n{}\n", tidy(&table));
        }
        text
    }
}

/// The fields of rules, for people.
#[must_use]
pub fn rule_fields() -> String {
    let mut table = plain(&["field", "is", "of the", "what"]);
    for field in Field::ALL {
        let class = match field.class() {
            Class::Session => "session",
            Class::Header => "headers",
            Class::Payload => "payload",
        };
        table.add_row([field.name(), field.kind().name(), class, field.meaning()]);
    }
    tidy(&table) + "\n"
}

/// Names, as many as fit a line.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {} more", shown.join(", "), thousands(more as u64))
    }
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(comfy_table::TableComponent::HeaderLines, '─');
    table.set_style(comfy_table::TableComponent::MiddleHeaderIntersections, '─');
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((u16::from(index > 0), 1));
    }
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for &index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn tidy(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::message::Look;

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let text = "[[rule]]\nname = \"vip\"\nwhen = 'session.imsi in @vop and sesion.apn == \"ims\"'\nthen = [\"forwad:x\"]\n[lists]\nvip = []\n";
        fs::write(&path, text).unwrap();
        let error = load_rules(&[&path]).unwrap_err().render(Look::PLAIN);
        insta::assert_snapshot!(error.replace(folder.path().to_str().unwrap(), ""));
        let missing = load_rules(&[folder.path().join("nowhere.toml")]).unwrap_err().to_string();
        assert!(missing.contains("nowhere.toml: cannot read"), "{missing}");
    }

    #[test]
    fn what_a_set_costs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let list = folder.path().join("vip.csv");
        fs::write(&list, (0..100_000).map(|n| format!("{n:015}\n")).collect::<String>()).unwrap();
        let mut text = format!("[lists]\nvip = {{ file = \"{}\" }}\n", list.display());
        for (n, when) in
            ["session.imsi in @vip", "vlan.id == 5", "dns.qname == \"x\"", "gtp.teid"].iter().enumerate()
        {
            text += &format!(
                "[[rule]]\nname = \"rule-{n}\"\nwhen = '{when}'\nthen = [\"count\"]\nenabled = {}\n",
                n < 3
            );
        }
        fs::write(&path, text).unwrap();
        let cost = RuleCost::of(&load_rules(&[&path]).unwrap());
        insta::assert_snapshot!(cost.to_table());
    }

    #[test]
    fn fields_for_people() {
        insta::assert_snapshot!(rule_fields());
    }
}
