//! Words of an expression.

use core::ops::Range;

/// What is wrong with an expression, and where: bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Range<usize>,
    pub(crate) what: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { span, what: what.into(), label: "here".to_owned(), help: None }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The candidate that is nearest to what was typed, if it is near.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(typed, candidate), candidate));
    let near = scored.filter(|(score, _)| *score >= 0.83).max_by(|a, b| a.0.total_cmp(&b.0));
    near.map(|(_, candidate)| candidate)
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A field, a keyword, a number, an address or a prefix: what it is shows where it stands.
    Word(String),
    /// Text in quotes, with its escapes replaced.
    Text(Vec<u8>),
    /// `@name`
    List(String),
    /// `..`
    Range,
    /// Anything else.
    Sign(&'static str),
}

/// A word and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) span: Range<usize>,
}

/// The longer ones first.
const SIGNS: [&str; 16] =
    ["==", "!=", "<=", ">=", "&&", "||", "..", "<", ">", "!", "(", ")", "{", "}", ",", "="];

/// What words consist of: names, numbers, addresses, prefixes, bytes with colons.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-')
}

/// Splits an expression.
pub(crate) fn lex(text: &str) -> Result<Vec<Spanned>, Fault> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (token, length) = if byte == b'"' {
            quoted(text, at)?
        } else if byte == b'@' {
            let length = 1 + rest.iter().skip(1).take_while(|&&b| is_word(b) && b != b'.').count();
            if length == 1 {
                return Err(Fault::new(at..at + 1, "`@` is followed by no name of a list")
                    .help("write @name, and give the list in [lists]"));
            }
            (Token::List(text.get(at + 1..at + length).unwrap_or_default().to_owned()), length)
        } else if let Some(&sign) = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
            if sign == "=" {
                return Err(Fault::new(at..at + 1, "`=` compares nothing").help("write `==`"));
            }
            (if sign == ".." { Token::Range } else { Token::Sign(sign) }, sign.len())
        } else if is_word(byte) {
            let length = word(rest);
            (Token::Word(text.get(at..at + length).unwrap_or_default().to_owned()), length)
        } else {
            let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('?');
            let span = at..at + character.len_utf8();
            let fault = Fault::new(span, format!("`{character}` means nothing in an expression"));
            return Err(if character == '\'' {
                fault.help("text stands in double quotes: \"…\"")
            } else {
                fault
            });
        };
        found.push(Spanned { token, span: at..at + length });
        at += length;
    }
    Ok(found)
}

/// How long a word is. Two dots end it: they are a range.
fn word(rest: &[u8]) -> usize {
    let mut length = 0;
    while rest.get(length).is_some_and(|&byte| is_word(byte)) {
        if rest.get(length..).is_some_and(|rest| rest.starts_with(b"..")) {
            break;
        }
        length += 1;
    }
    length
}

/// Text in quotes: its bytes, and how long it is with the quotes.
fn quoted(text: &str, start: usize) -> Result<(Token, usize), Fault> {
    let rest = text.get(start + 1..).unwrap_or_default();
    let mut value = Vec::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Token::Text(value), at + 2)),
            '\\' => {
                let from = start + 1 + at;
                let wrong = |length: usize| {
                    Fault::new(from..from + length, "an escape that does not exist")
                        .help(r#"there are \" \\ \n \r \t and \xHH"#)
                };
                let (_, escaped) = characters.next().ok_or_else(|| wrong(1))?;
                value.push(match escaped {
                    '"' | '\\' => escaped as u8,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'x' => {
                        let digits: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                        let byte = u8::from_str_radix(&digits, 16);
                        byte.ok().filter(|_| digits.len() == 2).ok_or_else(|| wrong(2))?
                    }
                    _ => return Err(wrong(1 + escaped.len_utf8())),
                });
            }
            other => {
                let mut utf8 = [0; 4];
                value.extend_from_slice(other.encode_utf8(&mut utf8).as_bytes());
            }
        }
    }
    Err(Fault::new(start..text.len(), "text without its closing quote").label("begins here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token> {
        lex(text).unwrap().into_iter().map(|word| word.token).collect()
    }

    #[test]
    fn words_and_signs() {
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(
            words("inner.udp.dstport in {53, 1000..2000}and not x==@vip"),
            [
                word("inner.udp.dstport"),
                word("in"),
                Token::Sign("{"),
                word("53"),
                Token::Sign(","),
                word("1000"),
                Token::Range,
                word("2000"),
                Token::Sign("}"),
                word("and"),
                word("not"),
                word("x"),
                Token::Sign("=="),
                Token::List("vip".to_owned()),
            ]
        );
        assert_eq!(words("10.0.0.0/8 2001:db8::/32"), [word("10.0.0.0/8"), word("2001:db8::/32")]);
        assert_eq!(words("10.0.0.1..10.0.0.9"), [word("10.0.0.1"), Token::Range, word("10.0.0.9")]);
    }

    #[test]
    fn text_and_its_escapes() {
        assert_eq!(words(r#""a\"\\\n\x00é""#), [Token::Text("a\"\\\n\0é".as_bytes().to_vec())]);
        let fault = |text: &str| lex(text).unwrap_err();
        assert_eq!(fault(r#"x == "abc"#).span, 5..9);
        assert_eq!(fault(r#""\q""#).span, 1..3);
        assert_eq!(fault(r#""\x4""#).what, "an escape that does not exist");
        assert_eq!(fault("a = 1").help.as_deref(), Some("write `==`"));
        assert_eq!(fault("a == 'x'").help.as_deref(), Some("text stands in double quotes: \"…\""));
        assert_eq!(fault("ä").span, 0..2);
        assert_eq!(fault("@ x").span, 0..1);
    }
}
