//! `[archive]`: where closed days go, and how a store that speaks S3 is reached. Only `inspectd archive` reads it.

use std::env::VarError;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use ureq::http::Uri;
use ureq::tls::Certificate;

use crate::outbox;

/// Begins the address of a store.
const S3: &str = "s3://";
/// Before the path of a file that holds a secret.
const FILE: &str = "file:";
/// Stores that know no regions ask for this one.
const REGION: &str = "us-east-1";

/// `[archive]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveSection {
    /// A folder, or `s3://BUCKET/PREFIX`; absent: `inspectd archive` is told.
    pub to: Option<String>,
    /// The store's address, as `https://minio.plant.example:9000`; absent: AWS's own of the region.
    pub endpoint: Option<String>,
    /// The region; a store inside the plant usually has none.
    pub region: Option<String>,
    /// Whether pictures and records may travel without encryption. Keys never travel.
    pub allow_http: bool,
    /// Certificates (PEM) of the plant's own authority; absent: those that everybody trusts.
    pub ca_file: Option<PathBuf>,
    /// The access key's name, or `file:PATH` of it.
    pub key_id: Option<String>,
    /// `file:PATH` of the secret key; absent, as `key_id`: systemd's credentials, then the environment.
    pub secret_key: Option<String>,
}

/// Where days go.
#[derive(Debug, Clone)]
pub enum Target {
    /// A folder.
    Folder(PathBuf),
    /// A store that speaks S3.
    S3(Box<S3Target>),
}

/// How a store is reached.
#[derive(Clone)]
pub struct S3Target {
    pub(super) bucket: String,
    /// Without `/` at its ends; may be empty.
    pub(super) prefix: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    pub(super) roots: Option<Vec<Certificate<'static>>>,
    pub(super) keys: Keys,
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    /// Of keys that end.
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for S3Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{S3}{}/{} at {:?}", self.bucket, self.prefix, self.endpoint)
    }
}

impl ArchiveSection {
    /// Keys and what is wrong with them.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, text: String| problems.push((format!("archive.{key}"), text));
        if let Some(text) = self.to.as_deref().and_then(|to| wrong_place(to).or_else(|| self.wrong_region(to))) {
            wrong("to", text);
        }
        if let Some(text) = self.endpoint.as_deref().and_then(|url| self.wrong_endpoint(url)) {
            wrong("endpoint", text);
        }
        if self.secret_key.as_deref().is_some_and(|key| !key.starts_with(FILE)) {
            // The key itself is not repeated.
            wrong(
                "secret_key",
                "is the key itself, which would stand in every copy of this file: write it into a file of its own, and `file:PATH` here".to_owned(),
            );
        }
        match (&self.key_id, &self.secret_key) {
            (Some(_), None) => wrong("key_id", "is given without `secret_key`: give both, or neither".to_owned()),
            (None, Some(_)) => wrong("secret_key", "is given without `key_id`: give both, or neither".to_owned()),
            _ => {}
        }
        problems
    }

    fn wrong_region(&self, to: &str) -> Option<String> {
        let nowhere = to.starts_with(S3) && self.endpoint.is_none() && self.region.is_none();
        nowhere.then(|| {
            "is a store without `endpoint` and `region`: give the address of the plant's own, or the region of AWS's"
                .to_owned()
        })
    }

    fn wrong_endpoint(&self, url: &str) -> Option<String> {
        let example = "https://minio.plant.example:9000";
        let Ok(uri) = url.parse::<Uri>() else { return Some(format!("is `{url}`, which is no URL; as {example}")) };
        let whole = uri.host().is_some_and(|host| !host.is_empty());
        match uri.scheme_str() {
            _ if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                Some("has a user name in it: leave it out, and use `key_id` and `secret_key`".to_owned())
            }
            scheme if !whole || scheme.is_none() => Some(format!("is `{url}`: give a whole URL, as {example}")),
            _ if !matches!(uri.path(), "" | "/") || uri.query().is_some() => {
                Some(format!("is `{url}`: bucket and prefix stand in `to`, only the store's address here, as {example}"))
            }
            Some("http") if !self.allow_http => Some(
                "is not encrypted, and pictures would be read on the way: use https, or write `allow_http = true` if it is inside the plant"
                    .to_owned(),
            ),
            Some("https" | "http") => None,
            other => Some(format!("has the scheme `{}`: S3 over https or http is spoken", other.unwrap_or_default())),
        }
    }

    /// Paths become relative to the configuration's folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        self.ca_file = self.ca_file.take().map(|path| folder.join(path));
        self.to = self.to.take().map(|to| match to.starts_with(S3) {
            true => to,
            false => folder.join(to).display().to_string(),
        });
    }

    /// Where days go: to `dest`, else to what the section says.
    ///
    /// # Errors
    /// Nothing is said, what is said is no place, or a key cannot be read.
    pub fn target(&self, dest: Option<&str>) -> anyhow::Result<Target> {
        let Some(to) = dest.or(self.to.as_deref()) else {
            anyhow::bail!(
                "nobody says where to: give a folder or `s3://BUCKET/PREFIX`, or write `archive.to` into the configuration"
            )
        };
        if let Some(text) = wrong_place(to).or_else(|| self.wrong_region(to)) {
            anyhow::bail!("the archive's place {text}");
        }
        let Some(rest) = to.strip_prefix(S3) else { return Ok(Target::Folder(to.into())) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let roots = self.ca_file.as_deref().map(outbox::own_roots).transpose();
        Ok(Target::S3(Box::new(S3Target {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_end_matches('/').to_owned(),
            endpoint: self.endpoint.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
            region: self.region.clone().unwrap_or_else(|| REGION.to_owned()),
            roots: roots.map_err(|why| anyhow::anyhow!("`archive.ca_file`: {why}"))?,
            keys: self.keys(&|name| std::env::var(name))?,
        })))
    }

    /// The configuration's, else systemd's credentials, else the environment's.
    fn keys(&self, env: &dyn Fn(&str) -> Result<String, VarError>) -> anyhow::Result<Keys> {
        let given = |key: &str, text: &str| {
            outbox::secret_of(text).map_err(|why| anyhow::anyhow!("`archive.{key}`: {why}")).and_then(|text| {
                anyhow::ensure!(!text.is_empty(), "`archive.{key}` is empty: its file holds the key alone");
                Ok(text)
            })
        };
        if let (Some(id), Some(secret)) = (&self.key_id, &self.secret_key) {
            return Ok(Keys { id: given("key_id", id)?, secret: given("secret_key", secret)?, token: None });
        }
        let credential = |name: &str| {
            let path = Path::new(&env("CREDENTIALS_DIRECTORY").ok()?).join(name);
            path.is_file().then(|| format!("{FILE}{}", path.display()))
        };
        if let (Some(id), Some(secret)) = (credential("archive.key_id"), credential("archive.secret_key")) {
            return Ok(Keys { id: given("key_id", &id)?, secret: given("secret_key", &secret)?, token: None });
        }
        let set = |name: &str| env(name).ok().filter(|value| !value.is_empty());
        match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => Ok(Keys { id, secret, token: set("AWS_SESSION_TOKEN") }),
            _ => anyhow::bail!(
                "the store wants a key, and there is none: give `archive.key_id` and `archive.secret_key` (`file:PATH`), systemd's credentials `archive.key_id` and \
                 `archive.secret_key`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
        }
    }
}

/// What is wrong with a place, if something is.
fn wrong_place(to: &str) -> Option<String> {
    if to.is_empty() {
        return Some("is empty: give a folder, or `s3://BUCKET/PREFIX`".to_owned());
    }
    let Some(rest) = to.strip_prefix(S3) else {
        let (scheme, _) = to.split_once("://")?;
        return Some(format!("is `{scheme}://...`: give a folder, or `s3://BUCKET/PREFIX`"));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) || !bucket.as_bytes()[0].is_ascii_alphanumeric()
    {
        return Some(format!(
            "has the bucket `{bucket}`: 3 to 63 letters, digits, `-`, `.` and `_`, as `s3://inspection/line-3`"
        ));
    }
    let whole = |step: &str| {
        !matches!(step, "" | "." | "..") && !step.contains(|c: char| c.is_control() || "\\?#%*".contains(c))
    };
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    (!prefix.is_empty() && !prefix.split('/').all(whole))
        .then(|| format!("has the prefix `{prefix}`: names with `/` between, without `?`, `#`, `%`, `*` and `\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> ArchiveSection {
        ArchiveSection {
            to: Some("s3://inspection/line-3".to_owned()),
            endpoint: Some("https://minio.plant:9000".to_owned()),
            ..ArchiveSection::default()
        }
    }

    fn said(section: &ArchiveSection) -> String {
        section.problems().into_iter().map(|(key, text)| format!("{key} {text}")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_cannot_be_archived_into_is_refused_in_words() {
        for good in ["/mnt/archive", "relative", "s3://inspection", "s3://inspection/", "s3://a.b-c_d/e/f=g/Straße"] {
            assert_eq!(said(&ArchiveSection { to: Some(good.into()), ..section() }), "", "{good}");
        }
        for (bad, words) in [
            ("", "is empty"),
            ("gs://inspection/x", "`gs://...`"),
            ("s3://", "the bucket ``"),
            ("s3://ab", "the bucket `ab`"),
            ("s3://in spection/x", "the bucket"),
            ("s3://../x", "the bucket"),
            ("s3://me:you@inspection/x", "the bucket"),
            ("s3://inspection//x", "the prefix"),
            ("s3://inspection/a/../b", "the prefix"),
            ("s3://inspection/a?b", "the prefix"),
        ] {
            let problems = said(&ArchiveSection { to: Some(bad.into()), ..section() });
            assert!(problems.starts_with("archive.to ") && problems.contains(words), "{bad}: {problems}");
        }
        for (bad, words) in [
            ("minio.plant:9000", "whole URL"),
            ("http://minio.plant:9000", "`allow_http = true`"),
            ("ftp://minio.plant", "scheme `ftp`"),
            ("https://me:you@minio.plant", "user name"),
            ("https://minio.plant/inspection", "stand in `to`"),
        ] {
            let problems = said(&ArchiveSection { endpoint: Some(bad.into()), ..section() });
            assert!(problems.starts_with("archive.endpoint ") && problems.contains(words), "{bad}: {problems}");
        }
        let open = ArchiveSection { endpoint: Some("http://minio:9000".into()), allow_http: true, ..section() };
        assert_eq!(said(&open), "");
        assert!(said(&ArchiveSection { endpoint: None, ..section() }).contains("without `endpoint` and `region`"));
        assert_eq!(said(&ArchiveSection { endpoint: None, region: Some("eu-central-1".into()), ..section() }), "");
    }

    #[test]
    fn a_secret_stands_in_a_file_of_its_own() {
        let keys = |id: Option<&str>, secret: Option<&str>| ArchiveSection {
            key_id: id.map(str::to_owned),
            secret_key: secret.map(str::to_owned),
            ..section()
        };
        let problems = said(&keys(Some("line-3"), Some("hunter2")));
        assert!(problems.contains("`file:PATH`") && !problems.contains("hunter2"), "{problems}");
        assert!(said(&keys(Some("line-3"), None)).contains("without `secret_key`"));
        assert!(said(&keys(None, Some("file:/x"))).contains("without `key_id`"));

        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let path = |name: &str| format!("file:{}", folder.path().join(name).display());
        let none = |_: &str| Err(VarError::NotPresent);
        file("secret", "hunter2\n");
        let found = keys(Some("line-3"), Some(&path("secret"))).keys(&none).expect("there");
        assert_eq!((found.id.as_str(), found.secret.as_str()), ("line-3", "hunter2"));
        for (secret, words) in [("nowhere", "nowhere"), ("empty", "is empty")] {
            file("empty", " \n");
            let Err(why) = keys(Some("line-3"), Some(&path(secret))).keys(&none) else { panic!("{secret}") };
            assert!(why.to_string().contains(words), "{why}");
        }
        // systemd's, then the environment's.
        let dir = folder.path().display().to_string();
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Ok(dir.clone()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Ok(name.to_ascii_lowercase()),
            _ => Err(VarError::NotPresent),
        };
        assert_eq!(section().keys(&env).expect("the environment's").secret, "aws_secret_access_key");
        file("archive.key_id", "line-3");
        file("archive.secret_key", "hunter3");
        assert_eq!(section().keys(&env).expect("systemd's").secret, "hunter3");
        let Err(why) = section().keys(&none) else { panic!("there is none") };
        assert!(why.to_string().contains("AWS_ACCESS_KEY_ID"), "{why}");
        let shown = format!("{:?}", keys(Some("line-3"), Some(&path("secret"))).target(None).expect("a target"));
        assert!(shown.contains("inspection") && !shown.contains("hunter2"), "{shown}");
    }
}
