//! Text that only the holder of a key can read.

use super::Parameter::Text;
use super::{Call, Function, function};
use crate::hcl::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};

pub(super) static FUNCTIONS: &[Function] = &[function("rsadecrypt", &[Text, Text], rsadecrypt)];

/// Bits of the shortest key that Go's library, and so Nomad, works with.
const SHORTEST: usize = 1024;

/// The library's decryption takes longer for some keys than for others (RUSTSEC-2023-0071). Who could measure it has
/// the key already: it stands in the job file, beside the text, and both are read once, here.
fn rsadecrypt(c: &Call) -> Result<Value, String> {
    let cipher = bytes(c.text(0))
        .ok_or_else(|| format!("failed to decode input {:?}: cipher text must be base64-encoded", c.text(0)))?;
    let key = private_key(c.text(1))?;
    let clear = key.decrypt(Pkcs1v15Encrypt, &cipher).map_err(|_| "decryption error: is it the right key?")?;
    Ok(String::from_utf8_lossy(&clear).into_owned().into())
}

/// Of base64 whose lines may be broken anywhere.
fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace(['\r', '\n'], "")).ok()
}

fn private_key(pem: &str) -> Result<RsaPrivateKey, String> {
    let block = Block::read(pem).ok_or("failed to parse key: no key found")?;
    if block.encrypted {
        return Err("failed to parse key: password protected keys are not supported. \
                    Please decrypt the key prior to use"
            .into());
    }
    let key = RsaPrivateKey::from_pkcs1_der(&block.bytes).map_err(|error| match block.label {
        "PRIVATE KEY" => "failed to parse key: it is in the form PKCS #8, not PKCS #1; \
                          `openssl rsa -traditional` changes that"
            .to_owned(),
        label => format!("failed to parse key: {label:?} is not an RSA private key in the form PKCS #1 ({error})"),
    })?;
    match key.n().bits() {
        bits if bits < SHORTEST => Err(format!("{bits}-bit keys are insecure; {SHORTEST} bits are the least")),
        _ => Ok(key),
    }
}

/// What stands between the first `-----BEGIN …-----` and its end.
struct Block<'t> {
    label: &'t str,
    encrypted: bool,
    bytes: Vec<u8>,
}

impl<'t> Block<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim_end);
        let label = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
        let end = format!("-----END {label}-----");
        let body: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
        let (headers, data): (Vec<&str>, Vec<&str>) = body.into_iter().partition(|line| line.contains(':'));
        let encrypted = headers.contains(&"Proc-Type: 4,ENCRYPTED");
        Some(Self { label, encrypted, bytes: bytes(&data.concat())? })
    }
}
