//! Signatures by the Standard Webhooks specification 1.0.0 (standardwebhooks.com).
//!
//! What is signed is `id.timestamp.body`, with HMAC-SHA256; the header is `v1,` and base64, and during a change of keys one
//! such signature per key, separated by spaces.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Before the base64 of a key.
const PREFIX: &str = "whsec_";

/// A key that receiver and sender share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// From `whsec_` and the base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// What is wrong with it; the secret itself is not repeated.
    pub fn parse(text: &str) -> Result<Secret, String> {
        let way_out = "make one with `printf whsec_; openssl rand -base64 32`";
        let coded =
            text.trim().strip_prefix(PREFIX).ok_or_else(|| format!("does not begin with `{PREFIX}`: {way_out}"))?;
        let bytes = STANDARD.decode(coded).map_err(|_| format!("is no base64 after `{PREFIX}`: {way_out}"))?;
        match bytes.len() {
            24..=64 => Ok(Secret(bytes)),
            length => Err(format!("has {length} bytes, 24 to 64 are asked for: {way_out}")),
        }
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The header `webhook-signature`: one signature per key. `timestamp`: the attempt's, Unix seconds.
pub fn signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification's own libraries (Go, Python and others test against it).
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_specifications_vector_is_met() {
        let key = Secret::parse(KEY).unwrap();
        assert_eq!(signature(std::slice::from_ref(&key), ID, AT, BODY), SIGNATURE);
        assert_ne!(signature(std::slice::from_ref(&key), ID, AT + 1, BODY), SIGNATURE);
        assert_ne!(signature(&[key], "msg_other", AT, BODY), SIGNATURE);
    }

    #[test]
    fn while_keys_change_both_sign() {
        let new = Secret::parse(&format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
        let both = signature(&[new, Secret::parse(KEY).unwrap()], ID, AT, BODY);
        let parts: Vec<&str> = both.split(' ').collect();
        assert_eq!((parts.len(), parts[1]), (2, SIGNATURE));
        assert_ne!(parts[0], SIGNATURE);
    }

    #[test]
    fn a_secret_is_refused_with_the_reason_and_never_shown() {
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        for (bad, reason) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin"),
            ("whsec_*******", "no base64"),
            ("whsec_c2hvcnQ=", "has 5 bytes"),
            (long.as_str(), "has 65 bytes"),
        ] {
            let words = Secret::parse(bad).unwrap_err();
            assert!(words.contains(reason) && !words.contains(&bad[6..]), "{words}");
        }
        assert!(!format!("{:?}", Secret::parse(KEY).unwrap()).contains("MfKQ"));
    }
}
