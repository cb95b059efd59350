//! Passwords: argon2id with OWASP's least settings (19 MiB, two passes). Sources: RFC 9106; OWASP Password Storage Cheat Sheet.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::error::AccessError;
use super::secret::random;

/// Memory of one computation, KiB. Only one runs at a time.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Shorter ones are guessed. Source: NIST SP 800-63B asks for 8 at least; there is no second factor here.
const MIN_CHARS: usize = 10;
/// Longer ones only cost time.
const MAX_BYTES: usize = 256;

fn argon() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Whether a new password will do for this user.
pub(super) fn check(name: &str, password: &str) -> Result<(), AccessError> {
    let refuse = |why: &str| Err(AccessError::Password(why.to_owned()));
    if password.chars().count() < MIN_CHARS {
        return refuse("is too short: use 10 characters or more, a few words for example");
    }
    if password.len() > MAX_BYTES {
        return refuse("is too long: use 256 bytes at most");
    }
    let lower = password.to_lowercase();
    let mut letters = lower.chars();
    let first = letters.next();
    if lower.contains(name) && lower.len() < name.len() + 6 {
        return refuse("is little more than the name: use another");
    }
    if letters.all(|letter| Some(letter) == first) {
        return refuse("is one character again and again: use another");
    }
    Ok(())
}

/// What is kept of a password: PHC string format.
pub(super) fn hash(password: &str) -> Result<String, AccessError> {
    let salt = random::<SALT_BYTES>().map_err(AccessError::Random)?;
    let salt = SaltString::encode_b64(&salt).expect("16 bytes make a salt");
    let hash = argon().hash_password(password.as_bytes(), &salt).expect("a password within the limits can be hashed");
    Ok(hash.to_string())
}

/// Whether this is the password that was hashed. Without a hash the same time is spent, so that names cannot be probed.
pub(super) fn matches(password: &str, kept: Option<&str>) -> bool {
    /// Of a password that nobody knows.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    if password.len() > MAX_BYTES {
        return false;
    }
    let known = kept.and_then(|kept| PasswordHash::new(kept).ok());
    let is_known = known.is_some();
    let Some(hash) = known.or_else(|| PasswordHash::new(NOBODY).ok()) else { return false };
    argon().verify_password(password.as_bytes(), &hash).is_ok() && is_known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_matches() {
        let kept = hash("four words of mine").expect("hashed");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(matches("four words of mine", Some(&kept)));
        assert!(!matches("four words of mina", Some(&kept)));
        assert!(!matches("", Some(&kept)) && !matches("four words of mine", None));
        assert!(!matches("x", Some("not a hash")));
        assert_ne!(kept, hash("four words of mine").expect("hashed"), "each has a salt of its own");
    }

    #[test]
    fn weak_passwords_are_refused() {
        for weak in ["", "short", "aaaaaaaaaaaaaaaa", "katharina1", &"x".repeat(300)] {
            assert!(check("katharina", weak).is_err(), "{weak}");
        }
        assert!(check("katharina", "blue kettle on monday").is_ok());
    }
}
