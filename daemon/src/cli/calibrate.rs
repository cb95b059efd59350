//! `inspectd calibrate`: a camera's lens and its millimetres per pixel, by pictures of a chessboard.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use models::image;
use serde_json::json;
use stages::prepare::board::{Board, Calibrated, calibrate};

use super::{SUCCESS, out};

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures of the board, 8 or more: files, or folders of files. On the first the board lies where parts lie.
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// Inner corners of the board across: one less than squares.
    #[arg(long, value_name = "N")]
    columns: u32,
    /// Inner corners of the board down.
    #[arg(long, value_name = "N")]
    rows: u32,
    /// Side of a square, measured.
    #[arg(long, value_name = "MM")]
    square_mm: f64,
    /// The picture on which the board lies where parts lie; default: the first.
    #[arg(long, value_name = "PICTURE")]
    plane: Option<PathBuf>,
    /// The calibration to write; a recipe names it as `calibration`.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the calibration is written, whatever it is warned of.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.pictures {
        files.extend(files_of(path)?);
    }
    let plane = match &args.plane {
        None => 0,
        Some(path) => {
            let at = files.iter().position(|file| file == path);
            at.with_context(|| format!("--plane `{}` is not among the pictures", path.display()))?
        }
    };
    let read = |file: &PathBuf| -> anyhow::Result<(String, image::Image)> {
        let words = || format!("picture `{}`", file.display());
        let picture = image::decode(&std::fs::read(file).with_context(words)?).with_context(words)?;
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Ok((name, picture))
    };
    let pictures = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let board = Board { columns: args.columns, rows: args.rows, square_mm: args.square_mm };
    let calibrated = calibrate(&pictures, board, plane)?;
    let text = serde_json::to_string_pretty(&calibrated.calibration)? + "\n";
    std::fs::write(&args.out, text).with_context(|| format!("cannot write `{}`", args.out.display()))?;
    match args.json {
        true => {
            let Calibrated { calibration, pictures, warnings } = &calibrated;
            out::json(&json!({ "calibration": calibration, "pictures": pictures, "warnings": warnings }))?;
        }
        false => tell(&calibrated, &args.out)?,
    }
    Ok(ExitCode::from(SUCCESS))
}

fn tell(Calibrated { calibration, pictures, warnings }: &Calibrated, path: &Path) -> anyhow::Result<()> {
    for (name, error) in pictures {
        match error {
            Some(error) => out::line(format_args!("{error:6.2} px  {name}"))?,
            None => out::line(format_args!("no board   {name}"))?,
        }
    }
    let (quality, plane) = (&calibration.quality, &calibration.plane);
    let [width, height] = calibration.size;
    out::line(format_args!(
        "\nwrote {}: {width} x {height} pixels, {} boards, corners off by {:.2} px, in {:.0} % of the picture's fields\n\
         a pixel is {:.4} mm long on the plane of `{}`",
        path.display(),
        quality.pictures,
        quality.reprojection_px,
        100.0 * quality.coverage,
        plane.mm_per_pixel,
        plane.picture
    ))?;
    warnings.iter().try_for_each(|warning| out::line(format_args!("warning: {warning}")))?;
    Ok(())
}

/// A file as it is; of a folder, its files by name.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let words = || format!("folder `{}` cannot be read", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(words)? {
        let file = entry.with_context(words)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "folder `{}` is empty", path.display());
    files.sort();
    Ok(files)
}
