//! `inspectd models keygen`, `sign` and `verify`: who made a model. Keys and signatures are minisign's, to the byte.

use std::fs::OpenOptions;
use std::io::{Cursor, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use models::bundle::{Signer, Trust, TrustedKey, signature_beside};

use crate::cli::{SUCCESS, out};
use crate::supervise::{open_trusted, read_bundle};

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    /// Where the keys go: `NAME.key`, the secret one, and `NAME.pub`.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
    #[command(flatten)]
    password: Password,
}

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// The model to sign.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The secret key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: Password,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The model; its signature lies beside it.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// A public key: its text, or the `.pub` file. Several are alternatives.
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
}

/// How the secret key is locked.
#[derive(Debug, clap::Args)]
struct Password {
    /// The secret key has no password: whoever gets the file can sign.
    #[arg(long)]
    no_password: bool,
    /// The password is the first line of this file; default: it is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
}

impl Password {
    /// The password, or nothing where it is to be asked for.
    fn text(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).with_context(|| format!("password file `{}`", path.display()))?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Some(line.to_owned())),
            _ => {
                bail!("the first line of `{}` is empty: write the password there, or use --no-password", path.display())
            }
        }
    }
}

/// Exit code 0 when both keys are written. Keys that are there already are never replaced.
pub(super) fn keygen(args: &Keygen) -> anyhow::Result<ExitCode> {
    let with = |ending: &str| {
        let mut name = args.out.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (secret_path, public_path) = (with(".key"), with(".pub"));
    for path in [&secret_path, &public_path] {
        if path.exists() {
            bail!("`{}` is there already, and models may be signed with it: choose another --out", path.display());
        }
    }
    let pair = match args.password.no_password {
        true => KeyPair::generate_unencrypted_keypair(),
        false => KeyPair::generate_encrypted_keypair(args.password.text()?),
    }
    .context("no keys were made")?;
    let secret = pair.sk.to_box(Some("inspectd secret key"))?.into_string();
    let public = pair.pk.to_box()?.into_string();
    create(&secret_path, 0o600, &secret)?;
    create(&public_path, 0o644, &public)?;
    out::line(format_args!("secret key  {}  (keep it off the line's machines)", secret_path.display()))?;
    out::line(format_args!("public key  {}", public_path.display()))?;
    out::line(format_args!("\n[models]\ntrusted_keys = [\"{}\"]\nrequire_signature = true", pair.pk.to_base64()))?;
    Ok(ExitCode::from(SUCCESS))
}

/// Writes a new file of this mode; one that is there is left alone.
fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let words = || format!("`{}` cannot be written", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(words)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(words)
}

/// Exit code 0 when the signature is written and has been verified once.
pub(super) fn sign(args: &Sign) -> anyhow::Result<ExitCode> {
    // A signature says that somebody stands by a model: so it should at least be one.
    let (bytes, bundle) = read_bundle(&args.bundle)?;
    let secret = secret_key(args)?;
    let public = PublicKey::from_secret_key(&secret).context("the secret key gives no public one")?;
    let file = args.bundle.file_name().unwrap_or_default().to_string_lossy();
    // One line, whatever the model is called: the comment is covered by the signature and shown when it is verified.
    let model = bundle.manifest.name.replace(char::is_control, " ");
    let comment = format!("model:{model}\tfile:{file}\ttime:{}", jiff::Timestamp::now());
    let signature =
        minisign::sign(Some(&public), &secret, Cursor::new(&bytes), Some(&comment), Some("signature by inspectd"))
            .context("the model was not signed")?;
    let path = signature_beside(&args.bundle);
    std::fs::write(&path, signature.into_string()).with_context(|| format!("`{}`", path.display()))?;
    let trust = Trust { keys: vec![public.to_base64().parse()?], required: true };
    trust.check(&args.bundle, &bytes)?;
    out::line(format_args!("signed: {}  (key {})", path.display(), public.to_base64()))?;
    Ok(ExitCode::from(SUCCESS))
}

fn secret_key(args: &Sign) -> anyhow::Result<SecretKey> {
    let words = || format!("secret key `{}`", args.key.display());
    let text = std::fs::read_to_string(&args.key).with_context(words)?;
    let sealed = SecretKeyBox::from_string(&text).with_context(words)?;
    match args.password.no_password {
        true => sealed.into_unencrypted_secret_key(),
        false => sealed.into_secret_key(args.password.text()?),
    }
    .with_context(words)
}

/// Exit code 0 when the signature is by one of the keys and fits.
pub(super) fn verify(args: &Verify) -> anyhow::Result<ExitCode> {
    let keys = args.key.iter().map(|key| public_key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let (bundle, signer) = open_trusted(&args.bundle, &Trust { keys, required: true })?;
    let Signer { key, comment } =
        signer.context("a signature that is demanded was not looked at: a fault of the program")?;
    out::line(format_args!("model `{}` is signed by {key}", bundle.manifest.name))?;
    out::line(comment)?;
    Ok(ExitCode::from(SUCCESS))
}

/// A key's text, or the second line of its file.
fn public_key(given: &str) -> anyhow::Result<TrustedKey> {
    let path = Path::new(given);
    if !path.is_file() {
        return Ok(given.parse()?);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("public key `{given}`"))?;
    let line = text.lines().nth(1).unwrap_or_default();
    line.parse().with_context(|| format!("public key `{given}`"))
}
