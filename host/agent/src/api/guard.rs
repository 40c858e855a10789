//! Who may speak to the agent over TCP: whoever shows the token, under a name that is this machine's.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use super::answer::Refused;

/// The secret a TCP client must show. `Debug` does not.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token; none when it is too short to be a secret (fewer than 16 bytes).
    pub fn new(secret: &str) -> Option<Self> {
        (secret.len() >= 16).then(|| Self(secret.into()))
    }

    fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What TCP requests are checked against.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) token: Token,
    /// The machine's own name.
    pub(super) hostname: Arc<str>,
}

/// Lets a request through, or answers 403.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refuse(request.headers()) {
        Some(text) => Refused { status: StatusCode::FORBIDDEN, text: text.into() }.into_response(),
        None => next.run(request).await,
    }
}

impl Guard {
    fn refuse(&self, headers: &HeaderMap) -> Option<&'static str> {
        if !self.is_own_name(headers) {
            // A page of some other site, whose name was made to point here (DNS rebinding).
            return Some("Permission denied: the Host header names another machine; use an address or localhost");
        }
        let shown = shown_token(headers);
        if shown.is_some_and(|shown| self.token.matches(shown)) { None } else { Some("Permission denied") }
    }

    fn is_own_name(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else { return false };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.hostname)
    }
}

fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(token) = headers.get("X-Nomad-Token") {
        return Some(token.as_bytes());
    }
    let authorization = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_under_an_own_name_opens() {
        let guard = Guard { token: Token::new("0123456789abcdef").unwrap(), hostname: "box".into() };
        let good = ("x-nomad-token", "0123456789abcdef");
        type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], bool);
        let table: &[Row] = &[
            ("127.0.0.1:4646", &[], false),
            ("127.0.0.1:4646", &[("x-nomad-token", "")], false),
            ("127.0.0.1:4646", &[("x-nomad-token", "0123456789abcde")], false),
            ("127.0.0.1:4646", &[("x-nomad-token", "0123456789abcdeF")], false),
            ("127.0.0.1:4646", &[("x-nomad-token", "0123456789abcdef0")], false),
            ("127.0.0.1:4646", &[("authorization", "0123456789abcdef")], false),
            ("127.0.0.1:4646", &[("authorization", "Basic 0123456789abcdef")], false),
            ("127.0.0.1:4646", &[("authorization", "Bearer")], false),
            ("evil.example:4646", &[good], false),
            ("127.0.0.1.evil.example", &[good], false),
            ("", &[good], false),
            ("127.0.0.1:4646", &[good], true),
            ("[::1]:4646", &[good], true),
            ("localhost:4646", &[good], true),
            ("BOX:4646", &[good], true),
            ("127.0.0.1:4646", &[("authorization", "Bearer 0123456789abcdef")], true),
            ("127.0.0.1:4646", &[("authorization", "bearer 0123456789abcdef")], true),
        ];
        for (host, shown, opens) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            for (name, value) in *shown {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(guard.refuse(&headers).is_none(), *opens, "{host} {shown:?}");
        }
    }

    #[test]
    fn short_secrets_are_no_tokens_and_none_is_printed() {
        assert!(Token::new("0123456789abcde").is_none());
        assert!(!format!("{:?}", Token::new("0123456789abcdef").unwrap()).contains('0'));
    }
}
