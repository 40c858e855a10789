//! Where the agent is.

use std::{path::PathBuf, str::FromStr};

/// A Unix socket or a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The default: a socket only its owner may open.
    Unix(PathBuf),
    /// `host:port`; needs a token.
    Tcp(String),
}

/// Text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no address; write unix:///path/to/api.sock, /path/to/api.sock or http://host:port")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.into());
        if let Some(path) = text.strip_prefix("unix://").or(text.starts_with('/').then_some(text)) {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(bad()) };
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let parsed = authority.parse::<http::uri::Authority>().map_err(|_| bad())?;
        match parsed.port_u16() {
            Some(_) if !authority.contains('@') => Ok(Self::Tcp(authority.into())),
            _ => Err(bad()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        let table = [
            ("unix:///run/a.sock", Some(Address::Unix("/run/a.sock".into()))),
            ("/run/a.sock", Some(Address::Unix("/run/a.sock".into()))),
            ("unix://run/a.sock", None),
            ("http://127.0.0.1:4646", Some(Address::Tcp("127.0.0.1:4646".into()))),
            ("http://127.0.0.1:4646/", Some(Address::Tcp("127.0.0.1:4646".into()))),
            ("[::1]:4646", Some(Address::Tcp("[::1]:4646".into()))),
            ("localhost:4646", Some(Address::Tcp("localhost:4646".into()))),
            ("localhost", None),
            ("https://localhost:4646", None),
            ("user@localhost:4646", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
