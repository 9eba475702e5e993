//! What is said when a file is wrong: where, which line, what to do.

use std::fmt;
use std::io::{self, IsTerminal};
use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    Severity, SourceCode, SourceSpan, SpanContents,
};

/// Problems that are shown of one file; a file that is not ours at all would fill the terminal.
const SHOWN_MAX: usize = 20;
/// A line longer than this is not shown.
const LINE_BYTES_MAX: usize = 400;

/// A text and the name it is known by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    /// `name` is what messages say, normally the path as the user typed it.
    pub(crate) fn new(name: &str, text: &str) -> Arc<Self> {
        // A terminal must not obey what a file says, and a carriage return would garble the snippet.
        // One space for each byte keeps every offset true.
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' | '\t' => shown.push(c),
                c if c.is_control() => shown.extend(repeat_n(' ', c.len_utf8())),
                c => shown.push(c),
            }
        }
        let name = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Arc::new(Self { name, text: shown })
    }

    /// Line and column, both from 1; the column counts characters, as editors do.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        (line, column)
    }

    /// Whether the line at `offset` and its neighbours are short enough to be shown.
    fn can_be_shown(&self, offset: usize) -> bool {
        let (line, _) = self.position(offset);
        self.text.split('\n').skip(line.saturating_sub(2)).take(3).all(|line| line.len() <= LINE_BYTES_MAX)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        // miette counts the bytes of a column.
        let (_, column) = self.position(found.span().offset());
        let (data, at, lines) = (found.data(), *found.span(), found.line_count());
        Ok(Box::new(MietteSpanContents::new(data, at, found.line(), column - 1, lines)))
    }
}

/// How messages may look: colours, and lines drawn in Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// ANSI colours.
    pub colour: bool,
    /// Box-drawing characters; else ASCII.
    pub unicode: bool,
}

impl Look {
    /// No colours, Unicode: for logs and tests.
    pub const PLAIN: Self = Self { colour: false, unicode: true };

    /// What stderr takes: colours on a terminal unless `NO_COLOR` is set (<https://no-color.org>),
    /// Unicode where the locale says UTF-8.
    #[must_use]
    pub fn of_stderr() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        Self {
            colour: io::stderr().is_terminal()
                && set("NO_COLOR").is_none()
                && set("TERM").is_some_and(|term| term != "dumb"),
            unicode: locale.to_ascii_lowercase().replace('-', "").contains("utf8"),
        }
    }

    fn theme(self) -> GraphicalTheme {
        let mut theme = self.lines();
        // As compilers say it, so that tools find it.
        theme.characters.error = "error:".to_owned();
        theme.characters.warning = "warning:".to_owned();
        theme
    }

    fn lines(self) -> GraphicalTheme {
        match (self.unicode, self.colour) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, colour) => {
                let styles = if colour { miette::ThemeStyles::ansi() } else { miette::ThemeStyles::none() };
                GraphicalTheme { characters: miette::ThemeCharacters::ascii(), styles }
            }
        }
    }
}

/// One thing that is wrong, and its place in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    source: Arc<Source>,
    span: Range<usize>,
    what: String,
    label: String,
    help: Option<String>,
    severity: Severity,
    has_line: bool,
}

impl Problem {
    pub(crate) fn error(source: &Arc<Source>, span: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            source: Arc::clone(source),
            span,
            what: what.into(),
            label: "here".to_owned(),
            help: None,
            severity: Severity::Error,
            has_line: true,
        }
    }

    /// Something that is missing from the whole file, so that there is no line to show.
    pub(crate) fn of_the_file(source: &Arc<Source>, what: impl Into<String>) -> Self {
        Self { has_line: false, ..Self::error(source, 0..0, what) }
    }

    /// The words at the marker under the line.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub(crate) fn offset(&self) -> usize {
        self.span.start
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// Line and column, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// The message with the line it is about, a marker below it, and what to do. Its first line is
    /// `error: file:line:column: what` (or `warning:`).
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let handler = GraphicalReportHandler::new_themed(look.theme())
            .with_links(false)
            .without_syntax_highlighting()
            .with_wrap_lines(false)
            .tab_width(4);
        let mut out = String::new();
        if handler.render_report(&mut out, self).is_err() {
            out = self.to_string();
        }
        let mut tidy: String = out.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        tidy.truncate(tidy.trim_end().len());
        // The first line begins where the line begins.
        tidy.trim_start().to_owned()
    }
}

/// `file:line:column: what is wrong`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}: {}", self.source.name, self.what)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| -> Box<dyn fmt::Display> { Box::new(help) })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let shown = self.has_line && self.source.can_be_shown(self.span.start);
        shown.then_some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        // A span of several lines (a table, an array) is marked at its first line only.
        let start = self.span.start.min(self.source.text.len());
        let end = self.span.end.clamp(start, self.source.text.len());
        let text = self.source.text.get(start..end).unwrap_or_default();
        let bytes = text.lines().next().map_or(0, str::len);
        let label = LabeledSpan::new(Some(self.label.clone()), start, bytes);
        Some(Box::new(std::iter::once(label)))
    }
}

/// A key that is right, and does not do yet what it says, or something that looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    problem: Problem,
    run_only: bool,
}

impl Warning {
    pub(crate) fn new(problem: Problem, run_only: bool) -> Self {
        Self { problem: problem.warning(), run_only }
    }

    /// Whether it is about something that `snipe replay` ignores anyway.
    #[must_use]
    pub fn run_only(&self) -> bool {
        self.run_only
    }

    /// The place and the words.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// As [`Problem::render`].
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        self.problem.render(look)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("{file}: cannot read: {why}")]
    Read {
        /// The path as it was given.
        file: String,
        /// What the system says.
        #[source]
        why: io::Error,
    },
    /// The file is far longer than any configuration.
    #[error("{file}: longer than {} KiB: not a configuration file", max_bytes / 1024)]
    TooLong {
        /// The path as it was given.
        file: String,
        /// The longest that is read.
        max_bytes: u64,
    },
    /// What is in it is wrong: every problem found, by their place; never empty.
    #[error("{}", one_line_each(.0))]
    Invalid(Vec<Problem>),
}

fn one_line_each(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    lines.join("\n") + &and_more(problems)
}

fn and_more(problems: &[Problem]) -> String {
    match problems.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!("\n… and {more} more"),
    }
}

impl ConfigError {
    pub(crate) fn invalid(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::offset);
        Self::Invalid(problems)
    }

    /// Everything for the person at the terminal: each problem with its line, a marker and what to
    /// do. `to_string()` is the same without the lines.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        match self {
            Self::Invalid(problems) => {
                let shown: Vec<String> = problems.iter().take(SHOWN_MAX).map(|p| p.render(look)).collect();
                shown.join("\n\n") + &and_more(problems)
            }
            Self::Read { .. } | Self::TooLong { .. } => format!("error: {self}"),
        }
    }
}
