//! Takes secrets out of texts that leave the house: of a configuration by its keys and values, of a log by what secrets look like.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use toml::Value;

/// Stands where something was.
pub(super) const GONE: &str = "[removed]";

/// Keys whose values are secrets, or lead to them, wherever they stand.
const KEYS: [&str; 10] =
    ["bearer", "key_id", "secret", "password", "passwd", "token", "credential", "api_key", "private", "authorization"];

/// What secrets look like in running text, each with what is put in its place.
static LOOKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let all = [
        // Tokens of this program, its first-run token among them, and signing keys of webhooks.
        (r"\binspectd_[A-Za-z0-9_\-]{12,}", GONE),
        (r"\bwhsec_[A-Za-z0-9+/=_\-]+", GONE),
        (r"(?i)(first-run token[^\n]*?: +)[^\n]+", "${1}[removed]"),
        (r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=\-]{8,}", "$1 [removed]"),
        (
            r#"(?i)\b((?:pass(?:word|wd|phrase)?|secret|token|api[_\-]?key|authorization)["']?\s*[:=]\s*["']?)[^\s"',;]+"#,
            "${1}[removed]",
        ),
        // A name and password before the host, and what stands behind it: of a webhook, that is the secret.
        (r"\b([a-z][a-z0-9+.\-]*://)[^\s/@]+@", "${1}[removed]@"),
        (r"\b(https?://[^\s/?#]+)[/?#][^\s)>,;]*", "$1/[removed]"),
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", GONE),
    ];
    // Fixed patterns: a test compiles them.
    all.into_iter().filter_map(|(look, to)| Some((Regex::new(look).ok()?, to))).collect()
});

/// A text without what looks like a secret.
pub(super) fn text(text: &str) -> String {
    LOOKS.iter().fold(text.to_owned(), |text, (look, to)| {
        look.replace_all(&text, |found: &Captures<'_>| {
            let mut into = String::new();
            found.expand(to, &mut into);
            into
        })
        .into_owned()
    })
}

/// A configuration without its secrets, written anew: comments, which may hold anything, are gone. What is no TOML is left out.
pub(super) fn config(text: &str) -> String {
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let mut value = Value::Table(table);
            clean("", &mut value);
            toml::to_string(&value).unwrap_or_else(|error| format!("# left out: it cannot be written anew: {error}\n"))
        }
        Err(_) => "# left out: it is no TOML\n".to_owned(),
    }
}

fn clean(key: &str, value: &mut Value) {
    let key = key.to_ascii_lowercase();
    let secret = KEYS.iter().any(|it| key.contains(it));
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(name, value)| {
            // Below a secret everything is.
            clean(if secret { &key } else { name }, value);
        }),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(&key, item)),
        // Whether something is required is no secret.
        Value::Boolean(_) => {}
        Value::String(words) if !secret => *words = text(words),
        Value::Integer(_) | Value::Float(_) | Value::Datetime(_) if !secret => {}
        other => *other = Value::String(GONE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_is_a_pattern() {
        assert_eq!(LOOKS.len(), 8);
    }

    #[test]
    fn a_log_keeps_its_words_and_loses_its_secrets() {
        for (with, without) in [
            ("There are no users yet. First-run token for http://127.0.0.1:8787/: abc-DEF-123", &["abc-DEF-123"][..]),
            ("token inspectd_0123456789abcdefXYZ was used", &["0123456789abcdefXYZ"]),
            ("authorization: Bearer eyJhbGciOi.J9-x_y", &["eyJhbGciOi"]),
            ("posting to https://hooks.slack.example/services/T00/B00/XXXSECRET failed", &["XXXSECRET", "T00"]),
            ("rtsp://admin:hunter2@10.0.0.7/stream refused", &["hunter2", "admin"]),
            ("password=hunter2, then more", &["hunter2"]),
            ("{\"password\": \"hunter2\"}", &["hunter2"]),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &["MfKQ9r8G"]),
            ("-----BEGIN PRIVATE KEY-----\nMIIB\nAAA\n-----END PRIVATE KEY-----\nrest", &["MIIB", "AAA"]),
            ("-----BEGIN EC PRIVATE KEY-----\nMIIB", &["MIIB"]),
        ] {
            let said = text(with);
            for secret in without {
                assert!(!said.contains(secret), "{with}: {said}");
            }
            assert!(said.contains("[removed]"), "{said}");
        }
        let plain = "part 812: fail scratch 0.93, camera `top` lost; retrying in 2 s";
        assert_eq!(text(plain), plain);
    }

    #[test]
    fn a_configuration_keeps_its_shape_and_loses_its_secrets() {
        let with = "# the old password was hunter1\nformat = 1\n[line]\nname = \"press-3\"\n[alerts.destinations.mes]\nkind = \"webhook\"\nurl = \"https://mes.plant:8443/hook/S3CRET\"\n\
                    secrets = [\"file:/etc/x\", \"whsec_AAAA\"]\n[source]\nkind = \"stream\"\nurl = \"rtsp://admin:hunter2@cam/1\"\n[traces]\nbearer = \"hunter3\"\n[mail.password]\nvalue = 17\n[models]\nrequire_signature = true\n";
        let said = config(with);
        for secret in ["hunter", "S3CRET", "whsec_", "AAAA", "/etc/x", "17", "admin"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
        for word in ["press-3", "mes.plant:8443", "webhook", "require_signature = true", "format = 1"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(config("a = = 1 hunter2").starts_with("# left out"));
    }
}
