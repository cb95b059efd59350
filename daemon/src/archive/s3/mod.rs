//! Days in a store that speaks S3. There is no renaming there: pictures and the table are put first, each as one request that is there whole or not at all, and the
//! manifest last. Whatever is there already, by size and SHA-256, is not sent again, so an upload that broke off goes on where it was.

mod client;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::manifest::{self, Manifest, hex};
use super::shelf::{Read, Shelf};
use super::{ArchiveError, S3Target};
use crate::background::yield_to_the_line;
use client::Connector;

/// Files on their way at once, each in memory.
const AT_ONCE: usize = 4;
/// A request is tried again so often, over half a minute or so; then the run ends, and the next goes on.
const RETRIES: usize = 7;
const RETRY_FOR: Duration = Duration::from_secs(120);
/// The SHA-256 of a file that this program put there.
const SUM: &str = "inspectd-sha256";

/// An archive in a bucket.
pub(super) struct Bucket {
    store: Arc<AmazonS3>,
    runtime: Runtime,
    /// As messages call it.
    url: String,
    prefix: String,
    day: Begun,
    sending: JoinSet<Result<(), ArchiveError>>,
}

/// The day that began.
#[derive(Default)]
struct Begun {
    folder: String,
    /// What is there of it: sizes by name.
    there: HashMap<String, u64>,
    /// It is this line's, as its manifest said.
    known: bool,
}

impl Bucket {
    /// Reaches the store once, so that a wrong key is said before anything is read.
    pub(super) fn open(target: &S3Target) -> Result<Bucket, ArchiveError> {
        let url = match target.prefix.as_str() {
            "" => format!("s3://{}", target.bucket),
            prefix => format!("s3://{}/{prefix}", target.bucket),
        };
        let runtime = Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(AT_ONCE)
            .on_thread_start(yield_to_the_line)
            .build()
            .map_err(ArchiveError::io("reach", url.as_ref()))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&target.bucket)
            .with_region(&target.region)
            .with_access_key_id(&target.keys.id)
            .with_secret_access_key(&target.keys.secret)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_http_connector(Connector::new(target.roots.as_deref()))
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES,
                retry_timeout: RETRY_FOR,
            })
            .with_disable_bulk_delete(true);
        if let Some(token) = &target.keys.token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &target.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|error| words::of("reach", &url, &error))?;
        let bucket = Bucket {
            store: Arc::new(store),
            runtime,
            url,
            prefix: target.prefix.clone(),
            day: Begun::default(),
            sending: JoinSet::new(),
        };
        bucket.folders("", "date=")?;
        Ok(bucket)
    }

    /// The object of a path below the archive's root.
    fn object(&self, path: &str) -> Result<Path, ArchiveError> {
        let whole = [self.prefix.as_str(), path].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("/");
        Path::parse(whole).map_err(|error| words::plain("name", &self.named(path), &error.to_string()))
    }

    /// Folders directly below one that begin so; their paths.
    fn folders(&self, below: &str, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        let at = self.object(below)?;
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&at)));
        let listed = listed.map_err(|error| words::of("list", &self.named(below), &error))?;
        let mut names: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.as_ref().rsplit('/').next())
            .filter(|name| name.starts_with(prefix))
            .map(|name| if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Waits until so many files or fewer are on their way.
    fn wait(&mut self, most: usize) -> Result<(), ArchiveError> {
        while self.sending.len() > most {
            if let Some(sent) = self.runtime.block_on(self.sending.join_next()) {
                sent.map_err(|error| words::plain("send to", &self.url, &error.to_string()))??;
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Result<File, ArchiveError> {
        let path = format!("{}/{name}", self.day.folder);
        Ok(File { store: Arc::clone(&self.store), object: self.object(&path)?, place: self.named(&path) })
    }
}

impl Shelf for Bucket {
    fn named(&self, path: &str) -> String {
        if path.is_empty() { self.url.clone() } else { format!("{}/{path}", self.url) }
    }

    fn read(&mut self, path: &str) -> Result<Read, ArchiveError> {
        let file = File { store: Arc::clone(&self.store), object: self.object(path)?, place: self.named(path) };
        Ok(self.runtime.block_on(file.get())?.map_or(Read::Missing, Read::Bytes))
    }

    fn days(&mut self) -> Result<Vec<String>, ArchiveError> {
        let mut days = Vec::new();
        for date in self.folders("", "date=")? {
            days.extend(self.folders(&date, "line=")?);
        }
        Ok(days)
    }

    fn begin(&mut self, day: &str, known: bool) -> Result<(), ArchiveError> {
        let at = self.object(day)?;
        // A day of another line that failed is not waited for any more.
        self.sending = JoinSet::new();
        let there = self.runtime.block_on(async {
            let mut listed = self.store.list(Some(&at));
            let mut there = HashMap::new();
            while let Some(meta) = listed.next().await.transpose()? {
                let name = meta.location.as_ref().strip_prefix(at.as_ref()).unwrap_or_default();
                there.insert(name.trim_start_matches('/').to_owned(), meta.size);
            }
            Ok(there)
        });
        let there = there.map_err(|error| words::of("list", &self.named(day), &error))?;
        self.day = Begun { folder: day.to_owned(), there, known };
        if self.day.there.contains_key(manifest::NAME) {
            // From here on the day is not whole until its new manifest is there.
            let file = self.file(manifest::NAME)?;
            self.runtime.block_on(file.remove())?;
        }
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>, sum: &str, grows: bool) -> Result<(), ArchiveError> {
        // What may replace something goes when everything else was found to be this line's.
        self.wait(if grows { 0 } else { AT_ONCE - 1 })?;
        let (file, sum, there) = (self.file(name)?, sum.to_owned(), self.day.there.get(name).copied());
        let replace = if grows { Some(self.day.known) } else { None };
        let sending = async move {
            if let Some(size) = there
                && file.is_there(size, (bytes.len() as u64, &sum), replace).await?
            {
                return Ok(());
            }
            file.put(bytes, &sum).await
        };
        self.sending.spawn_on(sending, self.runtime.handle());
        Ok(())
    }

    fn keep(&mut self, name: &str) -> Result<Option<String>, ArchiveError> {
        if !self.day.there.contains_key(name) {
            return Ok(None);
        }
        let file = self.file(name)?;
        self.runtime.block_on(file.sum())
    }

    fn settle(&mut self, manifest: &Manifest) -> Result<(), ArchiveError> {
        self.wait(0)?;
        let file = self.file(manifest::NAME)?;
        let bytes = manifest.bytes()?;
        let sum = hex(&bytes);
        self.runtime.block_on(async {
            if file.get().await?.is_some() {
                let place = &file.place;
                let words = format!("`{place}` was put there by somebody else meanwhile: left as it is; is there a second line of this name?");
                return Err(ArchiveError::Refused(words));
            }
            file.put(bytes, &sum).await
        })
    }
}

/// One object.
struct File {
    store: Arc<AmazonS3>,
    object: Path,
    /// As messages call it.
    place: String,
}

impl File {
    /// All of it; none: it is not there.
    async fn get(&self) -> Result<Option<Vec<u8>>, ArchiveError> {
        let got = async { self.store.get(&self.object).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if words::is_missing(&error) => Ok(None),
            Err(error) => Err(words::of("read", &self.place, &error)),
        }
    }

    /// Its SHA-256: as it was noted when it was put there; where somebody else put it there, of what it holds.
    async fn sum(&self) -> Result<Option<String>, ArchiveError> {
        match self.noted().await? {
            Some(sum) => Ok(Some(sum)),
            None => Ok(self.get().await?.map(|bytes| hex(&bytes))),
        }
    }

    /// What this program noted when it put it there.
    async fn noted(&self) -> Result<Option<String>, ArchiveError> {
        match self.store.get_opts(&self.object, GetOptions::new().with_head(true)).await {
            Ok(head) => Ok(head.attributes.get(&Attribute::Metadata(SUM.into())).map(|sum| sum.as_ref().to_owned())),
            Err(error) if words::is_missing(&error) => Ok(None),
            Err(error) => Err(words::of("look at", &self.place, &error)),
        }
    }

    /// Whether it is there with this size and sum. What holds something else is refused, but for `replace`: it may be written anew where this program put it there, or
    /// (true) the whole day is known to be this line's.
    async fn is_there(&self, size: u64, new: (u64, &str), replace: Option<bool>) -> Result<bool, ArchiveError> {
        if size == new.0 && self.sum().await?.is_some_and(|sum| sum == *new.1) {
            return Ok(true);
        }
        let ours = match replace {
            None => false,
            Some(known) => known || self.noted().await?.is_some(),
        };
        if ours {
            return Ok(false);
        }
        let place = &self.place;
        Err(ArchiveError::Refused(format!(
            "`{place}` is there and holds something else than this line's: left as it is; is there a second line of this name? Give each its own name or prefix, or move \
             that day elsewhere"
        )))
    }

    async fn put(&self, bytes: Vec<u8>, sum: &str) -> Result<(), ArchiveError> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata(SUM.into()), sum.to_owned().into());
        if let Some(kind) = mime_guess::from_path(self.object.as_ref()).first_raw() {
            attributes.insert(Attribute::ContentType, kind.into());
        }
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&self.object, PutPayload::from(bytes), options).await;
        put.map(drop).map_err(|error| words::of("write", &self.place, &error))
    }

    async fn remove(&self) -> Result<(), ArchiveError> {
        match self.store.delete(&self.object).await {
            Err(error) if !words::is_missing(&error) => Err(words::of("remove", &self.place, &error)),
            _ => Ok(()),
        }
    }
}
