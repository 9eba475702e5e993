//! Taking typed values out of a parsed TOML table, each with its place in the file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value;
use crate::message::{Problem, Source, Warning};

/// Problems kept of one file.
const PROBLEMS_MAX: usize = 1000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    fn of<U>(spanned: &Spanned<U>, value: T) -> Self {
        Self { value, span: spanned.span() }
    }
}

/// Gathers what is wrong with one file.
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
    pub(super) problems: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Warning>>,
}

impl Reader {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self { source, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn problem(&self, span: &Range<usize>, what: impl Into<String>) -> Problem {
        Problem::error(&self.source, span.clone(), what)
    }

    /// The line that an offset is on, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.problem(&(offset..offset), "").position().0
    }

    pub(super) fn report(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(problem);
        }
    }

    pub(super) fn warn(&self, problem: Problem, run_only: bool) {
        self.warnings.borrow_mut().push(Warning::new(problem, run_only));
    }

    /// A key that is accepted and checked, and does nothing yet.
    pub(super) fn not_built(&self, span: &Range<usize>, key: &str, instead: &str, run_only: bool) {
        let problem =
            self.problem(span, format!("`{key}` is not built yet: {instead}")).label("has no effect yet");
        self.warn(problem, run_only);
    }
}

/// The keys that exist, by table: for "did you mean", and to say where a misplaced key belongs.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("", &["cluster_key", "subscriber_ids", "stop_when_idle"]),
    ("[eal]", &["args"]),
    ("[[port]]", &["name", "device", "clock", "decap", "ip", "gateway"]),
    ("[[probe]]", &["name", "to", "weight", "via", "vlan", "rotate_bytes", "rotate_secs", "disk_max"]),
    ("[[group]]", &["name", "probes", "mode", "max_imbalance", "return"]),
    ("[lcores]", &["control", "rx", "workers"]),
    (
        "[tracker]",
        &[
            "control",
            "broadcast_also",
            "hold_ms",
            "hold_bytes",
            "unknown",
            "sessions_max",
            "tunnels_max",
            "idle_secs",
            "unknown_idle_secs",
            "home_plmns",
        ],
    ),
    ("[tdb]", &["bytes", "look_back", "all", "snap"]),
    ("[rules]", &["files"]),
    ("[state]", &["dir"]),
    ("[api]", &["socket", "group", "listen", "token_file"]),
];

/// The name inside the brackets.
pub(super) fn bare(table: &str) -> &str {
    table.trim_matches(['[', ']'])
}

/// The candidate that is nearest to what was typed, if it is near.
pub(super) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One table of the file. Every getter reports what is wrong by itself and gives `None` then.
pub(super) struct Fields<'r, 't> {
    pub(super) reader: &'r Reader,
    /// As the user writes it: `[tdb]`, `[[port]]`.
    pub(super) place: &'static str,
    pub(super) span: Range<usize>,
    table: &'t DeTable<'t>,
}

impl<'r, 't> Fields<'r, 't> {
    /// Opens a table and reports every key that does not exist there.
    pub(super) fn open(
        reader: &'r Reader,
        place: &'static str,
        table: &'t DeTable<'t>,
        span: Range<usize>,
    ) -> Self {
        let known = KEYS.iter().find(|(at, _)| *at == place).map_or(&[][..], |(_, keys)| keys);
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            reader.report(unknown_key(reader, place, known, key.get_ref(), key.span()));
        }
        Self { reader, place, span, table }
    }

    /// The keys above the first table; unknown ones are reported with the unknown tables.
    pub(super) fn bare(reader: &'r Reader, table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        Self { reader, place: "", span, table }
    }

    /// A string that is read once more; what is wrong with it was reported the first time.
    pub(super) fn quiet_string(&self, key: &str) -> Option<At<&'t str>> {
        let value = self.table.get(key)?;
        value.get_ref().as_str().map(|text| At::of(value, text))
    }

    fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(
            KEYS.iter().any(|(at, keys)| *at == self.place && keys.contains(&key)),
            "{key} is not in KEYS"
        );
        self.table.get(key)
    }

    /// Where a key stands, if it is set.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Reports a required key that is missing (one that is there and wrong was reported already).
    pub(super) fn need<T>(&self, value: Option<T>, key: &str, example: &str) -> Option<T> {
        if value.is_none() && !self.table.contains_key(key) {
            let what = format!("`{key}` is missing in `{}`", self.place);
            self.reader.report(
                self.reader.problem(&self.span, what).label("in this table").help(format!("add: {example}")),
            );
        }
        value
    }

    /// Warns where a key is set that has no effect yet.
    pub(super) fn not_built(&self, key: &str, instead: &str, run_only: bool) {
        if let Some(span) = self.key_span(key) {
            self.reader.not_built(&span, key, instead, run_only);
        }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = type_name(value.get_ref());
        let what = format!("`{key}` must be {wanted}, not {found}");
        self.reader.report(self.reader.problem(&value.span(), what).label(format!("this is {found}")));
    }

    /// Reports a value that has the right type and is not acceptable.
    pub(super) fn refuse(&self, span: &Range<usize>, key: &str, why: &str) {
        self.reader.report(self.reader.problem(span, format!("`{key}` {why}")));
    }

    fn text(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<At<&'t str>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, value, "a string");
            return None;
        };
        if text.trim().is_empty() {
            self.refuse(&value.span(), key, "is empty");
            return None;
        }
        // They end up in C strings, file names and on terminals.
        if text.chars().any(char::is_control) {
            self.refuse(&value.span(), key, "has a control character in it");
            return None;
        }
        Some(At::of(value, text))
    }

    pub(super) fn string(&self, key: &'static str) -> Option<At<&'t str>> {
        self.text(key, self.get(key)?)
    }

    /// A string that `parse` turns into something; its error completes "`key` must be …".
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let text = self.string(key)?;
        match parse(text.value) {
            Ok(value) => Some(At { value, span: text.span }),
            Err(wanted) => {
                self.refuse(&text.span, key, &format!("must be {wanted}"));
                None
            }
        }
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(key, value, "true or false");
        }
        found
    }

    fn whole(&self, key: &str, value: &Spanned<DeValue<'_>>, range: &RangeInclusive<u64>) -> Option<At<u64>> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong(key, value, &wanted);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let Some(number) = number.filter(|number| range.contains(number)) else {
            self.refuse(&value.span(), key, &format!("must be {wanted}"));
            return None;
        };
        Some(At::of(value, number))
    }

    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.whole(key, self.get(key)?, &range).map(|number| number.value)
    }

    /// An integer of at most 32 bits.
    pub(super) fn small(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(key, u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(number).ok()
    }

    pub(super) fn integers(
        &self,
        key: &'static str,
        range: &RangeInclusive<u64>,
    ) -> Option<At<Vec<At<u64>>>> {
        self.list(key, |value| self.whole(key, value, range))
    }

    /// A number, whole or not, that is finite and in the range.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.get(key)?;
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let digits = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => {
                self.wrong(key, value, &wanted);
                return None;
            }
        };
        // A comparison with NaN is false, so NaN is in no range.
        let number = digits.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(&value.span(), key, &format!("must be {wanted}"));
        }
        number
    }

    /// `"64MiB"`, or a number of bytes.
    pub(super) fn size(&self, key: &'static str, min: u64) -> Option<u64> {
        let value = self.get(key)?;
        if value.get_ref().is_integer() {
            return self.integer(key, min..=1 << 53);
        }
        let size = self.parsed(key, value::size)?;
        if size.value < min {
            self.refuse(&size.span, key, &format!("must be at least {min} bytes"));
            return None;
        }
        Some(size.value)
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?;
        if let DeValue::Integer(number) = value.get_ref() {
            self.refuse(&value.span(), key, &format!("must be a duration with its unit: \"{number}s\""));
            return None;
        }
        self.parsed(key, value::duration).map(|duration| duration.value)
    }

    fn list<T>(
        &self,
        key: &'static str,
        mut element: impl FnMut(&'t Spanned<DeValue<'t>>) -> Option<T>,
    ) -> Option<At<Vec<T>>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, "a list in brackets");
            return None;
        };
        let found: Vec<T> = array.iter().filter_map(&mut element).collect();
        // What is wrong with an element is reported; the rest of the list would only mislead.
        (found.len() == array.len()).then(|| At::of(value, found))
    }

    pub(super) fn strings(&self, key: &'static str) -> Option<At<Vec<At<&'t str>>>> {
        self.list(key, |value| self.text(key, value))
    }

    fn chosen<T: Copy>(&self, key: &str, text: &At<&str>, choices: &[(&str, T)]) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text.value).map(|(_, choice)| *choice);
        if found.is_none() {
            let names = || choices.iter().map(|(name, _)| *name);
            let typed = text.value.escape_debug();
            let what = format!("`{key}` must be {}, not \"{typed}\"", one_of(names()));
            let label = nearest(text.value, names())
                .map_or_else(|| "not one of them".to_owned(), |name| format!("did you mean \"{name}\"?"));
            self.reader.report(self.reader.problem(&text.span, what).label(label));
        }
        found
    }

    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string(key)?;
        self.chosen(key, &text, choices)
    }

    /// A list of different choices.
    pub(super) fn choices<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<At<Vec<T>>> {
        let texts = self.strings(key)?;
        self.no_twins(key, &texts.value);
        let values = texts.value.iter().filter_map(|text| self.chosen(key, text, choices)).collect();
        Some(At { value: values, span: texts.span })
    }

    /// Reports elements that are in a list twice.
    pub(super) fn no_twins<T: Ord + std::fmt::Display>(&self, key: &str, list: &[At<T>]) {
        let mut seen = BTreeSet::new();
        for element in list {
            if !seen.insert(&element.value) {
                let what = format!("`{key}` has `{}` twice", element.value);
                self.reader.report(self.reader.problem(&element.span, what).label("the second"));
            }
        }
    }
}

fn unknown_key(
    reader: &Reader,
    place: &'static str,
    known: &[&str],
    typed: &str,
    span: Range<usize>,
) -> Problem {
    let shown = typed.escape_debug();
    let problem = Problem::error(&reader.source, span, format!("unknown key `{shown}` in `{place}`"));
    // A key spelled right in the wrong table says more than a similar word in this one.
    let home = KEYS.iter().find(|(_, keys)| keys.contains(&typed)).map(|(table, _)| *table);
    let mut names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    names = format!("keys of `{place}`: {names}");
    match (nearest(typed, known.iter().copied()), home) {
        (_, Some("")) => problem
            .label("belongs to the top of the file")
            .help(format!("move `{shown}` above the first line in brackets")),
        (Some(name), _) => problem.label(format!("did you mean `{name}`?")).help(names),
        (None, Some(table)) => problem.label(format!("belongs to `{table}`")).help(names),
        (None, None) => problem.label("not a key of this table").help(names),
    }
}
