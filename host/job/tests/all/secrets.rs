//! `rsadecrypt`, with keys of `openssl genrsa -traditional` and a text of `openssl pkeyutl -encrypt`.

use serde_json::{Value, json};

use crate::expression;

const SECRET: &str = include_str!("../keys/secret.b64");
const KEY: &str = include_str!("../keys/pkcs1.pem");

fn decrypted(cipher: &str, key: &str) -> Result<Value, String> {
    expression(&format!("rsadecrypt({}, {})", json!(cipher), json!(key)))
}

#[test]
fn the_key_opens_what_was_locked_for_it() {
    assert_eq!(decrypted(SECRET, KEY), Ok(json!("swordfish")));
}

#[test]
fn lines_may_be_broken_and_text_may_surround_the_key() {
    let (first, second) = SECRET.split_at(76);
    let broken = format!("{first}\n{second}\r\n");
    let surrounded = format!("The key:\n{}\nno more\n", KEY.replace('\n', "\r\n"));
    assert_eq!(decrypted(&broken, &surrounded), Ok(json!("swordfish")));
}

#[test]
fn what_does_not_fit_is_told() {
    let broken = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for (cipher, key, expected) in [
        (SECRET, include_str!("../keys/other.pem"), "failed: decryption error"),
        ("AAAA", KEY, "failed: decryption error"),
        ("", KEY, "failed: decryption error"),
        ("no base64!", KEY, "failed to decode input \"no base64!\": cipher text must be base64-encoded"),
        (SECRET, "no key", "failed to parse key: no key found"),
        (SECRET, include_str!("../keys/locked.pem"), "password protected keys are not supported"),
        (SECRET, include_str!("../keys/pkcs8.pem"), "`openssl rsa -traditional` changes that"),
        (SECRET, include_str!("../keys/public.pem"), "\"PUBLIC KEY\" is not an RSA private key"),
        (SECRET, include_str!("../keys/short.pem"), "512-bit keys are insecure"),
        (SECRET, broken, "\"RSA PRIVATE KEY\" is not an RSA private key"),
    ] {
        let told = decrypted(cipher, key).unwrap_err();
        assert!(told.contains(expected), "{told} instead of {expected}");
    }
}
