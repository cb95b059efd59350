//! `inspectd manual`: the manual pages, one a command, made of the command line itself; and one for each file that a line is configured by.

mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, SUCCESS, out};

/// At the foot of every page.
const SOURCE: &str = concat!("inspectd ", env!("CARGO_PKG_VERSION"));
/// At its head.
const MANUAL: &str = "inspectd";

/// Arguments of `manual`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The package has them: man inspectd, man inspectd-run, man inspectd.toml. Without it: man -l DIR/inspectd.1"
)]
pub struct Args {
    /// Where they are written: inspectd.1, one page for each command, inspectd.toml.5, inspectd-recipe.toml.5. What is there is replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes them, and says where.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = &args.out;
    fs::create_dir_all(folder).with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
    // `help` as a command of its own would have a page for each command once more.
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut pages = 0;
    of_commands(&whole, folder, &mut pages)?;
    for (name, text) in files::pages()? {
        write(folder, &name, &text)?;
        pages += 1;
    }
    out::line(format!("{pages} pages in {}", folder.display()))?;
    Ok(ExitCode::from(SUCCESS))
}

/// A command's page and those of the commands below it, without what is hidden from people.
fn of_commands(command: &Command, folder: &Path, pages: &mut usize) -> anyhow::Result<()> {
    let page = Man::new(command.clone()).source(SOURCE).manual(MANUAL);
    let mut text = Vec::new();
    page.render(&mut text)?;
    write(folder, &page.get_filename(), &text)?;
    *pages += 1;
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| of_commands(below, folder, pages))
}

fn write(folder: &Path, name: &str, text: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}
