//! Expressions: from words to a checked tree.
//!
//! ```text
//! or      = and { ("or" | "||") and }
//! and     = not { ("and" | "&&") not }
//! not     = ("not" | "!") not | "(" or ")" | compare
//! compare = field [ sign value | "in" set | "contains" text | "matches" text ]
//! set     = "{" item { "," item } "}" | item | "@" list          item = value | value ".." value
//! ```

use core::fmt;
use core::net::IpAddr;
use core::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::field::{Field, Kind};
use crate::file::ListId;
use crate::lex::{Fault, Spanned, Token, lex, nearest};
use crate::value::{Network, Value};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// All of them hold.
    And(Vec<Self>),
    /// One of them holds.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// Something about one field.
    Compare(Comparison),
}

/// Something about the values of a field. A field without a value makes it false, whatever the relation; where
/// it has several (VLAN tags, both ports), one that fits is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The field.
    pub field: Field,
    /// What is asked of it.
    pub relation: Relation,
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It has a value; one of [`Kind::Truth`] is true.
    Present,
    /// A value is in the set: `==`, `<`, `in` and their like.
    In(Set),
    /// It has a value, and none is in the set: `!=`.
    NotIn(Set),
    /// A value has these bytes in it.
    Contains(Vec<u8>),
    /// The pattern is found in a value, whatever the case of letters.
    Matches(Pattern),
}

/// Values that are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// Numbers, from and to.
    Numbers(Vec<(u64, u64)>),
    /// Addresses, from and to, of one family each.
    Addresses(Vec<(IpAddr, IpAddr)>),
    /// Texts, whole.
    Texts(Vec<Vec<u8>>),
    /// Truth.
    Truth(bool),
    /// What a list has.
    List(ListId),
}

/// A regular expression, as the crate `regex` has them: no look-around, and time linear in what is searched.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Bytes that a pattern may need when it is compiled.
    const BYTES_MAX: usize = 1 << 20;

    fn new(text: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(text).case_insensitive(true).size_limit(Self::BYTES_MAX).build();
        regex.map(Self)
    }

    /// Whether it is found in these bytes.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Expression {
    /// Calls `each` with every comparison in it.
    pub fn comparisons<'a>(&'a self, each: &mut impl FnMut(&'a Comparison)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.comparisons(each)),
            Self::Not(part) => part.comparisons(each),
            Self::Compare(comparison) => each(comparison),
        }
    }
}

impl Set {
    /// Whether a value is in it. `list` is asked where it is a list.
    #[must_use]
    pub fn has(&self, value: &Value, list: &dyn Fn(ListId, &Value) -> bool) -> bool {
        match (self, value) {
            (Self::List(id), value) => list(*id, value),
            (Self::Numbers(ranges), Value::Number(number)) => {
                ranges.iter().any(|(from, to)| (from..=to).contains(&number))
            }
            (Self::Addresses(ranges), Value::Address(address)) => ranges
                .iter()
                .any(|(from, to)| from.is_ipv4() == address.is_ipv4() && (from..=to).contains(&address)),
            (Self::Texts(texts), Value::Bytes(bytes)) => texts.contains(bytes),
            (Self::Truth(wanted), Value::Truth(truth)) => wanted == truth,
            _ => false,
        }
    }
}

/// Levels of `not` and parentheses in each other.
const DEPTH_MAX: usize = 64;
/// Bytes of an expression.
const BYTES_MAX: usize = 1 << 20;

/// Reads an expression. `list` finds a list by its name and checks that it has values of a kind; its error
/// completes the message.
pub(crate) fn parse(
    text: &str,
    list: &dyn Fn(&str, Kind) -> Result<ListId, Fault>,
) -> Result<Expression, Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault::new(0..0, "an expression has at most a megabyte; long sets are lists in files"));
    }
    let words = lex(text)?;
    let mut parser = Parser { words: &words, at: 0, end: text.len(), depth: 0, list };
    if words.is_empty() {
        return Err(
            Fault::new(0..text.len(), "there is no condition").help("a rule for everything: pkt.len >= 0")
        );
    }
    let expression = parser.or()?;
    match parser.next() {
        None => Ok(expression),
        Some(word) => Err(parser.unexpected(word, "`and`, `or` or the end")),
    }
}

struct Parser<'a> {
    words: &'a [Spanned],
    at: usize,
    /// Bytes of the text.
    end: usize,
    depth: usize,
    list: &'a dyn Fn(&str, Kind) -> Result<ListId, Fault>,
}

/// One item of a set, as it was written: a value, or from and to.
type Item<T> = (T, Option<T>, Range<usize>);

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Spanned> {
        self.words.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Spanned> {
        let word = self.peek();
        self.at += usize::from(word.is_some());
        word
    }

    /// Takes the next word where it is one of these.
    fn take(&mut self, word: &str, sign: &str) -> bool {
        let found = self.peek().is_some_and(|next| match &next.token {
            Token::Word(text) => text == word,
            Token::Sign(text) => *text == sign,
            _ => false,
        });
        self.at += usize::from(found);
        found
    }

    fn missing(&self, wanted: &str) -> Fault {
        Fault::new(self.end..self.end, format!("the expression ends where {wanted} should be"))
            .label("ends here")
    }

    fn unexpected(&self, word: &Spanned, wanted: &str) -> Fault {
        Fault::new(word.span.clone(), format!("there should be {wanted}"))
    }

    fn deeper(&mut self, span: &Range<usize>) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} levels of parentheses and `not`");
            return Err(Fault::new(span.clone(), what));
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Expression, Fault> {
        let mut parts = vec![self.and()?];
        while self.take("or", "||") {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn and(&mut self) -> Result<Expression, Fault> {
        let mut parts = vec![self.not()?];
        while self.take("and", "&&") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn not(&mut self) -> Result<Expression, Fault> {
        let Some(first) = self.peek() else { return Err(self.missing("a condition")) };
        if self.take("not", "!") {
            self.deeper(&first.span)?;
            let part = self.not()?;
            self.depth -= 1;
            return Ok(Expression::Not(Box::new(part)));
        }
        if self.take("", "(") {
            self.deeper(&first.span)?;
            let part = self.or()?;
            self.depth -= 1;
            return match self.next() {
                Some(Spanned { token: Token::Sign(")"), .. }) => Ok(part),
                Some(word) => Err(self.unexpected(word, "`)`")),
                None => Err(self.missing("`)`")),
            };
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expression, Fault> {
        let Some(word) = self.next() else { return Err(self.missing("a field")) };
        let Token::Word(name) = &word.token else { return Err(self.unexpected(word, "a field")) };
        let Some(field) = Field::named(name) else { return Err(no_field(name, &word.span)) };
        let relation = self.relation(field)?;
        Ok(Expression::Compare(Comparison { field, relation }))
    }

    fn relation(&mut self, field: Field) -> Result<Relation, Fault> {
        let Some(word) = self.peek() else { return Ok(Relation::Present) };
        let sign = match &word.token {
            Token::Sign(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => *sign,
            Token::Word(sign) if matches!(sign.as_str(), "in" | "contains" | "matches") => sign,
            _ => return Ok(Relation::Present),
        };
        self.at += 1;
        let kind = field.kind();
        match sign {
            "==" => Ok(Relation::In(self.items(kind, false)?)),
            "!=" => Ok(Relation::NotIn(self.items(kind, false)?)),
            "in" => Ok(Relation::In(self.items(kind, true)?)),
            "contains" | "matches" => {
                if !matches!(kind, Kind::Text | Kind::Bytes) {
                    let what = format!("`{sign}` is for text, and `{}` is {}", field.name(), kind.name());
                    return Err(Fault::new(word.span.clone(), what));
                }
                let (bytes, span) = self.text(kind)?;
                if bytes.is_empty() {
                    return Err(Fault::new(span, "an empty text is in every other"));
                }
                if sign == "contains" {
                    return Ok(Relation::Contains(bytes));
                }
                let pattern = String::from_utf8(bytes)
                    .map_err(|_| Fault::new(span.clone(), "a pattern is UTF-8; write bytes as \\\\xHH"))?;
                let pattern = Pattern::new(&pattern).map_err(|why| {
                    let why = why.to_string();
                    let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    Fault::new(span, format!("not a regular expression: {last}"))
                })?;
                Ok(Relation::Matches(pattern))
            }
            _ => self.order(field, sign, &word.span),
        }
    }

    /// `<` and its like.
    fn order(&mut self, field: Field, sign: &str, span: &Range<usize>) -> Result<Relation, Fault> {
        let kind = field.kind();
        if !matches!(kind, Kind::Number | Kind::Seconds) {
            let what = format!("`{sign}` is for numbers, and `{}` is {}", field.name(), kind.name());
            return Err(Fault::new(span.clone(), what));
        }
        let (number, span) = self.number(kind)?;
        let none = || Fault::new(span.clone(), format!("nothing is {sign} {number}"));
        let range = match sign {
            "<" => (0, number.checked_sub(1).ok_or_else(none)?),
            "<=" => (0, number),
            ">" => (number.checked_add(1).ok_or_else(none)?, u64::MAX),
            _ => (number, u64::MAX),
        };
        Ok(Relation::In(Set::Numbers(vec![range])))
    }

    /// What stands behind `==` or `in`.
    fn items(&mut self, kind: Kind, many: bool) -> Result<Set, Fault> {
        if let Some(Spanned { token: Token::List(name), span }) = self.peek() {
            self.at += 1;
            if !many {
                return Err(Fault::new(span.clone(), "a list is no value").help(format!("write: in @{name}")));
            }
            let found = (self.list)(name, kind);
            return found.map(Set::List).map_err(|fault| Fault { span: span.clone(), ..fault });
        }
        let opening = self.peek();
        let braces = many && self.take("", "{");
        if !many && opening.is_some_and(|word| word.token == Token::Sign("{")) {
            let span = opening.map_or(0..0, |word| word.span.clone());
            return Err(Fault::new(span, "a set is no value").help("write: in {…}"));
        }
        let mut set = match kind {
            Kind::Number | Kind::Seconds => Set::Numbers(Vec::new()),
            Kind::Address => Set::Addresses(Vec::new()),
            Kind::Text | Kind::Bytes => Set::Texts(Vec::new()),
            Kind::Truth => Set::Truth(false),
        };
        loop {
            self.item(kind, &mut set)?;
            if !braces {
                return Ok(set);
            }
            match self.next() {
                Some(Spanned { token: Token::Sign(","), .. }) => {}
                Some(Spanned { token: Token::Sign("}"), .. }) => return Ok(set),
                Some(word) => return Err(self.unexpected(word, "`,` or `}`")),
                None => return Err(self.missing("`}`")),
            }
        }
    }

    fn item(&mut self, kind: Kind, set: &mut Set) -> Result<(), Fault> {
        match set {
            Set::Numbers(ranges) => {
                let (from, to, span) = self.range(|parser| parser.number(kind))?;
                let to = to.unwrap_or(from);
                if from > to {
                    return Err(Fault::new(span, "a range that ends before it begins"));
                }
                ranges.push((from, to));
            }
            Set::Addresses(ranges) => {
                let (from, to, span) = self.range(Self::network)?;
                let (first, last) = match to {
                    None => (from.address(), last_of(from)),
                    Some(to) => (from.address(), last_of(to)),
                };
                if first.is_ipv4() != last.is_ipv4() || first > last {
                    return Err(Fault::new(span, "a range that ends before it begins"));
                }
                ranges.push((first, last));
            }
            Set::Texts(texts) => texts.push(self.text(kind)?.0),
            Set::Truth(truth) => {
                *truth = match self.next() {
                    Some(Spanned { token: Token::Word(word), .. }) if word == "true" => true,
                    Some(Spanned { token: Token::Word(word), .. }) if word == "false" => false,
                    Some(word) => return Err(self.unexpected(word, "true or false")),
                    None => return Err(self.missing("true or false")),
                };
            }
            Set::List(_) => {}
        }
        Ok(())
    }

    fn range<T>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<(T, Range<usize>), Fault>,
    ) -> Result<Item<T>, Fault> {
        let (from, span) = value(self)?;
        if self.peek().is_none_or(|word| word.token != Token::Range) {
            return Ok((from, None, span));
        }
        self.at += 1;
        let (to, end) = value(self)?;
        Ok((from, Some(to), span.start..end.end))
    }

    fn word(&mut self, wanted: &str) -> Result<(&'a str, Range<usize>), Fault> {
        match self.next() {
            Some(Spanned { token: Token::Word(word), span }) => Ok((word, span.clone())),
            Some(word) => Err(self.unexpected(word, wanted)),
            None => Err(self.missing(wanted)),
        }
    }

    fn number(&mut self, kind: Kind) -> Result<(u64, Range<usize>), Fault> {
        let (word, span) = self.word(kind.name())?;
        number(word, kind).map(|number| (number, span.clone())).ok_or_else(|| {
            let fault = Fault::new(span, format!("`{word}` is not {}", kind.name()));
            if kind == Kind::Seconds { fault.help("write 90, 90s, 10m, 1h or 1d") } else { fault }
        })
    }

    fn network(&mut self) -> Result<(Network, Range<usize>), Fault> {
        let (word, span) = self.word("an address")?;
        network(word).map(|network| (network, span.clone())).ok_or_else(|| {
            Fault::new(span, format!("`{word}` is neither an address nor a prefix"))
                .help("such as 10.0.0.1, 10.0.0.0/8, 2001:db8::1 or 2001:db8::/32")
        })
    }

    fn text(&mut self, kind: Kind) -> Result<(Vec<u8>, Range<usize>), Fault> {
        match self.next() {
            Some(Spanned { token: Token::Text(text), span }) => Ok((text.clone(), span.clone())),
            Some(Spanned { token: Token::Word(word), span }) => {
                if let Some(bytes) = hex(word).filter(|_| kind == Kind::Bytes) {
                    return Ok((bytes, span.clone()));
                }
                Err(Fault::new(span.clone(), "text stands in quotes").help(format!("write: \"{word}\"")))
            }
            Some(word) => Err(self.unexpected(word, "text in quotes")),
            None => Err(self.missing("text in quotes")),
        }
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn no_field(name: &str, span: &Range<usize>) -> Fault {
    let fault = Fault::new(span.clone(), format!("there is no field `{name}`"));
    match nearest(name, Field::ALL.iter().map(|field| field.name())) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault.help("`snipe rules fields` lists them"),
    }
}

/// The last address of a network.
fn last_of(network: Network) -> IpAddr {
    match network.address() {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(u32::from(network.bits())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() | host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(u32::from(network.bits())).unwrap_or(0);
            IpAddr::V6((v6.to_bits() | host).into())
        }
    }
}

/// A whole number, decimal or `0x…`; of seconds also with a unit.
pub(crate) fn number(text: &str, kind: Kind) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    }
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let unit = units.iter().filter(|_| kind == Kind::Seconds).find_map(|(unit, seconds)| {
        let digits = text.strip_suffix(unit)?;
        Some((digits, *seconds))
    });
    let (digits, seconds) = unit.unwrap_or((text, 1));
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse::<u64>().ok()?.checked_mul(seconds) } else { None }
}

/// An address or a prefix.
pub(crate) fn network(text: &str) -> Option<Network> {
    let Some((address, bits)) = text.split_once('/') else {
        let address: IpAddr = text.parse().ok()?;
        return Network::new(address, if address.is_ipv4() { 32 } else { 128 });
    };
    let plain = !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit());
    Network::new(address.parse().ok()?, bits.parse().ok().filter(|_| plain)?)
}

/// `de:ad:be:ef`
fn hex(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expression, Fault> {
        parse(text, &|name, _| match name {
            "vip" => Ok(ListId(0)),
            _ => Err(Fault::new(0..0, format!("there is no list `{name}`"))),
        })
    }

    fn compare(field: Field, relation: Relation) -> Expression {
        Expression::Compare(Comparison { field, relation })
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_both() {
        let present = |field| compare(field, Relation::Present);
        let (a, b, c) = (present(Field::VlanId), present(Field::GtpTeid), present(Field::DnsQname));
        let not = |part: &Expression| Expression::Not(Box::new(part.clone()));
        let expected = Expression::Or(vec![a.clone(), Expression::And(vec![not(&b), c.clone()])]);
        assert_eq!(read("vlan.id or not gtp.teid and dns.qname"), Ok(expected.clone()));
        assert_eq!(read("vlan.id||!gtp.teid&&dns.qname"), Ok(expected));
        let expected = Expression::And(vec![Expression::Or(vec![a, b]), c]);
        assert_eq!(read("(vlan.id or gtp.teid) and dns.qname"), Ok(expected));
    }

    #[test]
    fn every_relation() {
        let numbers = |ranges: &[(u64, u64)]| Relation::In(Set::Numbers(ranges.to_vec()));
        let cases = [
            ("pkt.len < 100", compare(Field::PktLen, numbers(&[(0, 99)]))),
            ("pkt.len >= 0x40", compare(Field::PktLen, numbers(&[(64, u64::MAX)]))),
            ("session.age > 10m", compare(Field::SessionAge, numbers(&[(601, u64::MAX)]))),
            ("gtp.type in {1, 254..255}", compare(Field::GtpType, numbers(&[(1, 1), (254, 255)]))),
            ("udp.port in 1000..2000", compare(Field::UdpPort, numbers(&[(1000, 2000)]))),
            (
                "ip.src == 10.1.0.0/16",
                compare(
                    Field::IpSrc,
                    Relation::In(Set::Addresses(vec![([10, 1, 0, 0].into(), [10, 1, 255, 255].into())])),
                ),
            ),
            (
                "session.apn != \"ims\"",
                compare(Field::SessionApn, Relation::NotIn(Set::Texts(vec![b"ims".to_vec()]))),
            ),
            ("session.imsi in @vip", compare(Field::SessionImsi, Relation::In(Set::List(ListId(0))))),
            ("session.roaming == false", compare(Field::SessionRoaming, Relation::In(Set::Truth(false)))),
            ("payload contains de:ad", compare(Field::Payload, Relation::Contains(vec![0xde, 0xad]))),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        let Ok(Expression::Compare(Comparison { relation: Relation::Matches(pattern), .. })) =
            read(r#"http.uri matches "^/API/\\d+""#)
        else {
            panic!("no pattern");
        };
        assert!(pattern.is_in(b"/api/17") && !pattern.is_in(b"/api/x"));
    }

    #[test]
    fn what_is_wrong_is_marked() {
        for (text, span, what) in [
            ("", 0..0, "there is no condition"),
            ("vlan.id and", 11..11, "the expression ends where a condition should be"),
            ("vlan.id vlan.id", 8..15, "there should be `and`, `or` or the end"),
            ("(vlan.id", 8..8, "the expression ends where `)` should be"),
            ("sesion.imsi == \"1\"", 0..11, "there is no field `sesion.imsi`"),
            ("pkt.len == ten", 11..14, "`ten` is not a number"),
            ("pkt.len == -1", 11..13, "`-1` is not a number"),
            ("pkt.len < 0", 10..11, "nothing is < 0"),
            ("session.mcc == 001", 15..18, "text stands in quotes"),
            ("ip.src == 10.0.0", 10..16, "`10.0.0` is neither an address nor a prefix"),
            ("ip.src in 10.0.0.0/33", 10..21, "`10.0.0.0/33` is neither an address nor a prefix"),
            ("ip.src < 10.0.0.1", 7..8, "`<` is for numbers, and `ip.src` is an address"),
            ("pkt.len contains \"a\"", 8..16, "`contains` is for text, and `pkt.len` is a number"),
            ("udp.port in {5..3}", 13..17, "a range that ends before it begins"),
            ("udp.port == {5}", 12..13, "a set is no value"),
            ("session.imsi == @vip", 16..20, "a list is no value"),
            ("session.imsi in @vop", 16..20, "there is no list `vop`"),
            ("http.uri matches \"(\"", 17..20, "not a regular expression: unclosed group"),
            ("http.uri contains \"\"", 18..20, "an empty text is in every other"),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!((fault.span, fault.what.as_str()), (span, what), "{text}");
        }
    }

    #[test]
    fn no_depth_breaks_the_stack() {
        let deep = format!("{}vlan.id{}", "(".repeat(64), ")".repeat(64));
        assert!(read(&deep).is_ok());
        let fault = read(&"!".repeat(100_000)).unwrap_err();
        assert_eq!(fault.span, 64..65);
    }
}
