//! Handles: what a driver needs to find its task again, as bytes the host stores.

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// A handle that holds `value`. JSON, so that the next version of a driver can add fields
/// (`#[serde(default)]`) and still read the handles of this one.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::other(format!("cannot write handle: {error}")))
}

/// The value in a handle made by [`encode`].
pub fn decode<T: DeserializeOwned>(handle: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(handle).map_err(|error| Error::invalid(format!("not a handle of this driver: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let handle = encode(&("id", 7)).unwrap();
        assert_eq!(decode::<(String, u8)>(&handle).unwrap(), ("id".into(), 7));
        assert!(matches!(decode::<u8>(b"\xff"), Err(Error::Invalid(_))));
    }
}
