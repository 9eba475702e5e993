//! Rule files: TOML with lists and rules in it.

use core::ops::Range;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::action::{Action, duration};
use crate::expression::{Expression, network, number, parse};
use crate::field::{Class, Field, Kind};
use crate::lex::{Fault, nearest};

/// A text and the name it is known by.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// Normally the path as the user typed it.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

impl<'a> SourceFile<'a> {
    /// A text of this name.
    #[must_use]
    pub const fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }
}

/// Something that is wrong, or looks so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which of the files: its place.
    pub file: usize,
    /// Bytes of its text.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// The words at the marker.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
}

/// A list: its place in [`RuleSet::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(pub u32);

/// A named list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name, without `@`.
    pub name: String,
    /// What it begins with.
    pub entries: Vec<String>,
    /// The file that they came from.
    pub file: Option<String>,
}

/// How far a match reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The packet that matches.
    #[default]
    Packet,
    /// The rest of its inner flow, too.
    Flow,
}

/// How often something has to match, and within what time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// It fires at so many matches; of different values more than so many, where [`Self::distinct`] is set.
    pub count: u64,
    /// Different values of this field are counted.
    pub distinct: Option<Field>,
    /// Each value of this field counts by itself.
    pub per: Option<Field>,
    /// The length of a window, which begins at its first match.
    pub within: Duration,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name: one rule has it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its condition.
    pub when: Expression,
    /// What it does.
    pub then: Vec<Action>,
    /// How far a match reaches.
    pub scope: Scope,
    /// How often it has to match.
    pub threshold: Option<Threshold>,
    /// Higher ones first.
    pub priority: i64,
    /// Whether it applies.
    pub enabled: bool,
    /// One alert in so long.
    pub every: Duration,
    /// Files that its captures may write.
    pub capture_max_files: Option<u64>,
    /// Bytes that its captures may write.
    pub capture_max_bytes: Option<u64>,
    /// Which of the files it is in, and where.
    pub place: (usize, Range<usize>),
}

impl Rule {
    /// The most costly thing that has to be looked at for it.
    #[must_use]
    pub fn class(&self) -> Class {
        let mut class = Class::Session;
        self.when.comparisons(&mut |comparison| class = class.max(comparison.field.class()));
        class
    }
}

/// All rules and lists of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// By priority, then in the order of the files.
    pub rules: Vec<Rule>,
    /// By name.
    pub lists: Vec<List>,
}

const RULE_KEYS: [&str; 11] = [
    "name",
    "when",
    "then",
    "scope",
    "threshold",
    "priority",
    "enabled",
    "description",
    "every",
    "capture_max_files",
    "capture_max_bytes",
];
const THRESHOLD_KEYS: [&str; 5] = ["count", "distinct", "over", "per", "within"];
/// Problems that are kept.
const PROBLEMS_MAX: usize = 1_000;

type Table<'t> = DeTable<'t>;
type Item<'t> = Spanned<DeValue<'t>>;

impl RuleSet {
    /// Reads files in their order. `read` gives the text of a file that a list names.
    ///
    /// # Errors
    /// Everything that is wrong, by file and place; never empty.
    pub fn parse(
        files: &[SourceFile<'_>],
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let problems = RefCell::new(Vec::new());
        let mut texts = Vec::new();
        for (place, file) in files.iter().enumerate() {
            let reader = Reader { problems: &problems, file: place, text: file.text };
            match DeTable::parse(file.text) {
                Ok(table) => texts.push((reader, table.into_inner())),
                Err(error) => {
                    let span = error.span().unwrap_or(0..0);
                    reader.report(Fault::new(span, format!("not TOML: {}", error.message())));
                }
            }
        }
        let mut lists = BTreeMap::new();
        for (reader, table) in &texts {
            reader.top(table);
            reader.lists(table, &read, &mut lists);
        }
        for (reader, table) in &texts {
            reader.lists_of_actions(table, &mut lists);
        }
        let lists: Vec<List> = lists.into_values().collect();
        let mut names = HashSet::new();
        let mut rules = Vec::new();
        for (reader, table) in &texts {
            rules.extend(reader.rules(table, &lists, &mut names));
        }
        let mut problems = problems.into_inner();
        if problems.is_empty() {
            // Stable: of one priority in the order of the files.
            rules.sort_by_key(|rule| core::cmp::Reverse(rule.priority));
            return Ok(Self { rules, lists });
        }
        problems.sort_by_key(|problem: &Problem| (problem.file, problem.span.start));
        Err(problems)
    }

    /// The list of this name.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<ListId> {
        find_list(&self.lists, name)
    }
}

fn find_list(lists: &[List], name: &str) -> Option<ListId> {
    let place = lists.iter().position(|list| list.name == name)?;
    u32::try_from(place).ok().map(ListId)
}

/// Whether a text is a value of this kind.
fn fits(text: &str, kind: Kind) -> bool {
    match kind {
        Kind::Number | Kind::Seconds => number(text, kind).is_some(),
        Kind::Address => network(text).is_some(),
        Kind::Text | Kind::Bytes => true,
        Kind::Truth => false,
    }
}

/// Reads one file, and gathers what is wrong with it.
struct Reader<'a> {
    problems: &'a RefCell<Vec<Problem>>,
    file: usize,
    text: &'a str,
}

impl Reader<'_> {
    fn report(&self, fault: Fault) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            let Fault { span, what, label, help } = fault;
            problems.push(Problem { file: self.file, span, what, label, help });
        }
    }

    /// Reports keys that do not exist.
    fn known(&self, table: &Table<'_>, keys: &[&str], place: &str) {
        for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            let fault = Fault::new(key.span(), format!("unknown key `{}` in {place}", key.get_ref()));
            self.report(match nearest(key.get_ref(), keys.iter().copied()) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help(format!("there are {}", keys.join(", "))),
            });
        }
    }

    fn top(&self, table: &Table<'_>) {
        self.known(table, &["lists", "rule"], "a rule file");
    }

    fn wrong(&self, key: &str, value: &Item<'_>, wanted: &str) {
        self.report(Fault::new(value.span(), format!("`{key}` must be {wanted}")));
    }

    fn string<'t>(&self, table: &'t Table<'_>, key: &str) -> Option<(&'t str, Range<usize>)> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(key, value, "text");
        }
        text.map(|text| (text, value.span()))
    }

    fn need<T>(&self, table: &Table<'_>, span: &Range<usize>, key: &str, found: Option<T>) -> Option<T> {
        if found.is_none() && !table.contains_key(key) {
            let fault = Fault::new(span.clone(), format!("`{key}` is missing")).label("in this rule");
            self.report(fault);
        }
        found
    }

    fn whole(&self, table: &Table<'_>, key: &str, least: i64) -> Option<i64> {
        let value = table.get(key)?;
        let integer = value.get_ref().as_integer();
        let number = integer.and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        let number = number.filter(|number| *number >= least);
        if number.is_none() {
            self.wrong(key, value, &format!("a whole number from {least} on"));
        }
        number
    }

    fn duration(&self, table: &Table<'_>, key: &str) -> Option<Duration> {
        let value = table.get(key)?;
        let found = value.get_ref().as_str().and_then(duration);
        if found.is_none() {
            self.wrong(key, value, "a time with its unit, such as \"1s\" or \"10m\"");
        }
        found
    }

    fn field(&self, table: &Table<'_>, key: &str) -> Option<Field> {
        let (name, span) = self.string(table, key)?;
        let field = Field::named(name);
        if field.is_none() {
            self.report(Fault::new(span, format!("`{key}`: there is no field `{name}`")));
        }
        field
    }

    fn lists(
        &self,
        table: &Table<'_>,
        read: &impl Fn(&str) -> Result<String, String>,
        lists: &mut BTreeMap<String, List>,
    ) {
        let Some(value) = table.get("lists") else { return };
        let DeValue::Table(named) = value.get_ref() else {
            self.wrong("lists", value, "a table: [lists]");
            return;
        };
        for (key, value) in named.iter() {
            let name = key.get_ref().to_string();
            if lists.contains_key(&name) {
                self.report(Fault::new(key.span(), format!("there are two lists `{name}`")));
                continue;
            }
            let (entries, file) = match value.get_ref() {
                DeValue::Array(entries) => (self.inline(&name, entries), None),
                DeValue::Table(table) => {
                    self.known(table, &["file"], "a list");
                    let Some((path, span)) = self.string(table, "file") else {
                        if !table.contains_key("file") {
                            self.wrong(&name, value, "[\"…\"] or { file = \"…\" }");
                        }
                        continue;
                    };
                    match read(path) {
                        Ok(text) => (lines(&text), Some(path.to_owned())),
                        Err(why) => {
                            self.report(Fault::new(span, format!("list `{name}`: {path}: {why}")));
                            continue;
                        }
                    }
                }
                _ => {
                    self.wrong(&name, value, "[\"…\"] or { file = \"…\" }");
                    continue;
                }
            };
            lists.insert(name.clone(), List { name, entries, file });
        }
    }

    fn inline(&self, name: &str, entries: &[Item<'_>]) -> Vec<String> {
        let text = |entry: &Item<'_>| match entry.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => {
                self.wrong(name, entry, "a list of texts or numbers");
                None
            }
        };
        entries.iter().filter_map(text).collect()
    }

    /// A list that only `list-add` names exists, and is empty.
    fn lists_of_actions(&self, table: &Table<'_>, lists: &mut BTreeMap<String, List>) {
        let Some(DeValue::Array(rules)) = table.get("rule").map(Spanned::get_ref) else { return };
        for rule in rules.iter() {
            let then = rule.get_ref().as_table().and_then(|rule| rule.get("then"));
            let Some(DeValue::Array(actions)) = then.map(Spanned::get_ref) else { continue };
            for action in actions.iter().filter_map(|action| action.get_ref().as_str()) {
                if let Ok(Action::ListAdd(name, ..)) = Action::parse(action) {
                    let empty = List { name: name.clone(), entries: Vec::new(), file: None };
                    lists.entry(name).or_insert(empty);
                }
            }
        }
    }

    fn rules(&self, table: &Table<'_>, lists: &[List], names: &mut HashSet<String>) -> Vec<Rule> {
        let Some(value) = table.get("rule") else { return Vec::new() };
        let DeValue::Array(rules) = value.get_ref() else {
            self.wrong("rule", value, "one or more tables: [[rule]]");
            return Vec::new();
        };
        let read = |rule: &Item<'_>| match rule.get_ref() {
            DeValue::Table(table) => self.rule(table, &rule.span(), lists, names),
            _ => {
                self.wrong("rule", rule, "one or more tables: [[rule]]");
                None
            }
        };
        let rules: Vec<Option<Rule>> = rules.iter().map(read).collect();
        rules.into_iter().flatten().collect()
    }

    fn rule(
        &self,
        table: &Table<'_>,
        span: &Range<usize>,
        lists: &[List],
        names: &mut HashSet<String>,
    ) -> Option<Rule> {
        self.known(table, &RULE_KEYS, "a rule");
        let name = self.need(table, span, "name", self.string(table, "name"));
        let name = name.and_then(|(name, at)| self.name(name, &at, names));
        let when = self.need(table, span, "when", self.string(table, "when"));
        let when = when.and_then(|(text, at)| self.condition(text, &at, lists));
        let then = self.need(table, span, "then", table.get("then")).and_then(|then| self.actions(then));
        let scope = self.string(table, "scope").map(|(scope, at)| match scope {
            "packet" => Some(Scope::Packet),
            "flow" => Some(Scope::Flow),
            other => {
                let fault = Fault::new(at, format!("there is no scope `{other}`"));
                self.report(fault.help("there are \"packet\" and \"flow\""));
                None
            }
        });
        let threshold = table.get("threshold").map(|value| self.threshold(value));
        let enabled = table.get("enabled").map(|value| {
            let found = value.get_ref().as_bool();
            if found.is_none() {
                self.wrong("enabled", value, "true or false");
            }
            found
        });
        let priority = self.whole(table, "priority", i64::MIN);
        let number = |key| self.whole(table, key, 1).and_then(|number| u64::try_from(number).ok());
        let rule = Rule {
            name: name?,
            description: self.string(table, "description").map(|(text, _)| text.to_owned()),
            when: when?,
            then: then?,
            scope: scope.unwrap_or(Some(Scope::Packet))?,
            threshold: threshold.map_or(Some(None), |found| found.map(Some))?,
            priority: priority.unwrap_or(0),
            enabled: enabled.unwrap_or(Some(true))?,
            every: self.duration(table, "every").unwrap_or(Duration::from_secs(1)),
            capture_max_files: number("capture_max_files"),
            capture_max_bytes: number("capture_max_bytes"),
            place: (self.file, span.clone()),
        };
        self.fits_together(&rule, span);
        Some(rule)
    }

    /// What each part allows, and the parts together do not.
    fn fits_together(&self, rule: &Rule, span: &Range<usize>) {
        let deciding = rule.then.iter().filter(|action| action.decides()).count();
        if deciding > 1 {
            let what =
                format!("rule `{}` has {deciding} actions that decide the primary delivery", rule.name);
            self.report(
                Fault::new(span.clone(), what).help("keep one `forward` or `drop`; `copy` adds deliveries"),
            );
        }
        if rule.scope == Scope::Flow && rule.class() == Class::Session {
            let what = format!("rule `{}` is about the session alone: it has no flow", rule.name);
            self.report(Fault::new(span.clone(), what).help("leave out scope = \"flow\""));
        }
    }

    fn name(&self, name: &str, span: &Range<usize>, names: &mut HashSet<String>) -> Option<String> {
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            self.report(Fault::new(
                span.clone(),
                "a name has 1 to 128 characters, none of them a control character",
            ));
            return None;
        }
        if !names.insert(name.to_owned()) {
            self.report(
                Fault::new(span.clone(), format!("there are two rules `{name}`")).label("the second one"),
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn condition(&self, text: &str, span: &Range<usize>, lists: &[List]) -> Option<Expression> {
        let list = |name: &str, kind: Kind| {
            let Some(id) = find_list(lists, name) else {
                let fault = Fault::new(0..0, format!("there is no list `{name}`"));
                return Err(match nearest(name, lists.iter().map(|list| list.name.as_str())) {
                    Some(near) => fault.help(format!("did you mean `@{near}`?")),
                    None => fault.help(format!("add to [lists]: {name} = [\"…\"]")),
                });
            };
            let entries = lists.get(id.0 as usize).map_or(&[][..], |list| &list.entries);
            match entries.iter().find(|entry| !fits(entry, kind)) {
                Some(entry) => {
                    let what = format!("list `{name}` has an entry that is not {}: `{entry}`", kind.name());
                    Err(Fault::new(0..0, what))
                }
                None => Ok(id),
            }
        };
        match parse(text, &list) {
            Ok(expression) => Some(expression),
            Err(fault) => {
                let span = self.place_of(&fault.span, text, span);
                self.report(Fault { span, ..fault });
                None
            }
        }
    }

    /// Where a part of a string stands in the file: where the string has no escapes, at the part itself, else at
    /// the string.
    fn place_of(&self, part: &Range<usize>, value: &str, string: &Range<usize>) -> Range<usize> {
        let raw = self.text.get(string.clone()).unwrap_or_default();
        match raw.find(value) {
            Some(before) => {
                let start = string.start + before;
                start + part.start..start + part.end
            }
            None => string.clone(),
        }
    }

    fn actions(&self, then: &Item<'_>) -> Option<Vec<Action>> {
        let DeValue::Array(items) = then.get_ref() else {
            self.wrong("then", then, "a list of actions, such as [\"forward:voice\", \"alert:high\"]");
            return None;
        };
        if items.is_empty() {
            self.report(
                Fault::new(then.span(), "`then` is empty: the rule does nothing")
                    .help("to count matches: \"count\""),
            );
            return None;
        }
        let mut actions = Vec::new();
        for item in items.iter() {
            let Some(text) = item.get_ref().as_str() else {
                self.wrong("then", item, "a list of texts");
                continue;
            };
            match Action::parse(text) {
                Ok(action) => actions.push(action),
                Err((what, help)) => self.report(Fault::new(item.span(), what).help(help)),
            }
        }
        (actions.len() == items.len()).then_some(actions)
    }

    fn threshold(&self, value: &Item<'_>) -> Option<Threshold> {
        const FORM: &str = "{ count = N, per = \"FIELD\", within = \"1s\" }";
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong("threshold", value, FORM);
            return None;
        };
        self.known(table, &THRESHOLD_KEYS, "a threshold");
        let distinct = table.get("distinct").map(|_| self.field(table, "distinct"));
        let (key, other) = if distinct.is_some() { ("over", "count") } else { ("count", "over") };
        let count = self.whole(table, key, 1).and_then(|count| u64::try_from(count).ok());
        if !table.contains_key(key) || table.contains_key(other) {
            let fault = Fault::new(value.span(), "a threshold has `count`, or `distinct` and `over`");
            self.report(
                fault.help(format!("write {FORM} or {{ distinct = \"FIELD\", over = N, per, within }}")),
            );
            return None;
        }
        let per = table.get("per").map(|_| self.field(table, "per"));
        let within = self.duration(table, "within");
        if !table.contains_key("within") {
            self.report(
                Fault::new(value.span(), "`within` is missing in a threshold").help(format!("write {FORM}")),
            );
        }
        Some(Threshold {
            count: count?,
            distinct: distinct.map_or(Some(None), |field| field.map(Some))?,
            per: per.map_or(Some(None), |field| field.map(Some))?,
            within: within?,
        })
    }
}

/// One value a line; empty lines and those that begin with `#` are none.
fn lines(text: &str) -> Vec<String> {
    let values = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    values.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
