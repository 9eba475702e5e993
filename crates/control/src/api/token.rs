//! What a client over TCP must present.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

/// What is shorter can be guessed.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 4096;

/// What is wrong with a token file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read")]
    Read(#[from] io::Error),
    /// Everybody can read it.
    #[error("every user of this machine can read it: chmod o-r")]
    Public,
    /// It is too short, too long, or has a space or what cannot be seen in it.
    #[error("must be one line of {BYTES_MIN} to {BYTES_MAX} visible ASCII characters")]
    Form,
}

/// A token, kept as its digest.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token([u8; 32]);

impl Token {
    /// Reads it from its file; a line break at the end does not belong to it.
    pub(super) fn read(path: &Path) -> Result<Self, TokenError> {
        let file = File::open(path)?;
        if file.metadata()?.permissions().mode() & 0o004 != 0 {
            return Err(TokenError::Public);
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
        let token = bytes.trim_ascii_end();
        let well_formed = token.iter().all(u8::is_ascii_graphic);
        if !well_formed || !(BYTES_MIN..=BYTES_MAX).contains(&token.len()) {
            return Err(TokenError::Form);
        }
        Ok(Self::of(token))
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether a request presents it, as in RFC 6750 2.1. Digests are compared, so that the time that
    /// takes says nothing about the token.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && Self::of(token.trim_ascii()) == *self
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(content: &str, mode: u32) -> Result<Token, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Token::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_is_one_long_line_that_not_everybody_reads() {
        let token = read("0123456789abcdef\n", 0o640).unwrap();
        assert!(token == Token::of(b"0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(
            read("0123456789abcdef", 0o644),
            Err("every user of this machine can read it: chmod o-r".into())
        );
        let form = Err("must be one line of 16 to 4096 visible ASCII characters".to_owned());
        for wrong in
            ["", "\n", "0123456789abcde", "0123456789 abcdef", "0123456789\nabcdef", "0123456789abcdéf"]
        {
            assert_eq!(read(wrong, 0o600), form, "{wrong:?}");
        }
        assert!(read(&"x".repeat(4096), 0o600).is_ok());
        assert_eq!(read(&"x".repeat(4097), 0o600), form);
        assert_eq!(Token::read(Path::new("/nonexistent/token")).unwrap_err().to_string(), "cannot read");
    }

    #[test]
    fn it_is_presented_as_a_bearer() {
        let token = Token::of(b"0123456789abcdef");
        let presents = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            token.is_in(&headers)
        };
        assert!(presents("Bearer 0123456789abcdef"));
        assert!(presents("bearer  0123456789abcdef"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeg", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!presents(wrong), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
