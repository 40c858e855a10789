//! Text to other texts and back: base64, JSON, URLs, digests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::Digest;

use super::Parameter::{Any, Text};
use super::{Call, Function, function};

/// What a query string may hold as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

pub(super) static FUNCTIONS: &[Function] = &[
    function("base64decode", &[Text], base64decode),
    function("base64encode", &[Text], |c| Ok(STANDARD.encode(c.text(0)).into())),
    function("jsondecode", &[Text], |c| serde_json::from_str(c.text(0)).map_err(|error| error.to_string())),
    function("jsonencode", &[Any], |c| Ok(sorted(c.value(0)).to_string().into())),
    function("urlencode", &[Text], |c| Ok(utf8_percent_encode(c.text(0), QUERY).to_string().replace(' ', "+").into())),
    function("md5", &[Text], |c| Ok(hex(&md5::Md5::digest(c.text(0))))),
    function("sha1", &[Text], |c| Ok(hex(&sha1::Sha1::digest(c.text(0))))),
    function("sha256", &[Text], |c| Ok(hex(&sha2::Sha256::digest(c.text(0))))),
    function("sha512", &[Text], |c| Ok(hex(&sha2::Sha512::digest(c.text(0))))),
];

fn base64decode(c: &Call) -> Result<Value, String> {
    let bytes = STANDARD.decode(c.text(0)).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| "the result of decoding the provided string is not valid UTF-8".into())
}

/// Keys in order, as HCL writes JSON.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            Value::Object(fields.into_iter().map(|(key, v)| (key.clone(), sorted(v))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn hex(digest: &[u8]) -> Value {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
