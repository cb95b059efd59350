//! `inspectd top`: the line that runs, live in a terminal, for whoever came over ssh.

mod ask;
mod draw;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::SUCCESS;
use super::line::LineArgs;
use ask::Asker;
use view::View;

/// The screen is drawn anew so often, whether something came or not: times on it go on.
const REFRESH: Duration = Duration::from_millis(250);

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Keys: q, Esc or Ctrl-C ends it, p holds the picture still, ? explains it. \
                        NO_COLOR in the environment: no colours. Exit code 0: it was ended by a key or a signal.")]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
}

/// Until a key or a signal ends it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!(
            "`inspectd top` draws into a terminal and reads keys, and here is none: `inspectd status` says it once, \
             `inspectd status --json` says it to programs"
        );
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, ended.clone()).context("signals cannot be listened to")?;
    }
    // As https://no-color.org has it: set and not empty.
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let asker = Asker::start(args.line.clone())?;
    let mut screen = Screen::open()?;
    watch(&mut screen.terminal, &asker, colour, &ended)?;
    Ok(ExitCode::from(SUCCESS))
}

/// The terminal while it is ours. It is given back however this ends: by `Drop`, and on a panic by the hook that ratatui sets.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn open() -> anyhow::Result<Screen> {
        let opened = ratatui::try_init();
        if opened.is_err() {
            // It may be half ours; the first error is the one to tell.
            let _ = ratatui::try_restore();
        }
        Ok(Screen { terminal: opened.context("the terminal cannot be drawn into")? })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing given back.
        let _ = ratatui::try_restore();
        let _ = self.terminal.show_cursor();
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    End,
    Pause,
    Help,
    Nothing,
}

impl Wish {
    fn of(key: KeyEvent, help: bool) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
            // Esc leaves what was opened last.
            KeyCode::Esc if help => Wish::Help,
            KeyCode::Char('q') | KeyCode::Esc => Wish::End,
            KeyCode::Char('p') => Wish::Pause,
            KeyCode::Char('?' | 'h') => Wish::Help,
            _ => Wish::Nothing,
        }
    }
}

fn watch(terminal: &mut DefaultTerminal, asker: &Asker, colour: bool, ended: &AtomicBool) -> anyhow::Result<()> {
    let (mut help, mut paused): (bool, Option<View>) = (false, None);
    while !ended.load(Ordering::Relaxed) {
        if asker.ended() {
            bail!("the thread that asks the line has ended: what it says stands above");
        }
        let mut view = paused.clone().unwrap_or_else(|| asker.view(colour));
        view.help = help;
        terminal.draw(|frame| draw::draw(frame, &view)).context("the terminal cannot be drawn into any more")?;
        // A signal ends the wait early, with nothing to read.
        let came = match event::poll(REFRESH) {
            Ok(came) => came,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => return Err(error).context("the terminal's keys cannot be read any more"),
        };
        if !came {
            continue;
        }
        // A change of size needs nothing but the next drawing.
        let Event::Key(key) = event::read().context("the terminal's keys cannot be read any more")? else { continue };
        match Wish::of(key, help) {
            Wish::End => break,
            Wish::Help => help = !help,
            Wish::Pause => {
                paused = match paused {
                    Some(_) => None,
                    None => Some(View { paused: true, ..view }),
                };
            }
            Wish::Nothing => {}
        }
    }
    Ok(())
}
