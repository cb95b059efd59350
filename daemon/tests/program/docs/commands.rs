//! A command line as documents write it, tried on the program's own.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use inspectd::cli::Cli;

use super::pages::Code;

/// What stands for a value that is not for everybody, in the forms that values have.
const SAMPLES: [&str; 5] = [
    "1",
    "2026-11-24T06:00:00Z",
    "127.0.0.1:1502",
    "scratch=0.4",
    // Number and hash of an entry of the audit trail.
    "1:0000000000000000000000000000000000000000000000000000000000000000",
];

/// Whether a piece of code is a command line of the program.
pub(super) fn is_one(text: &str) -> bool {
    arguments(text).is_some()
}

/// Why the program would refuse it; none: it would not, or it is no command line of the program.
pub(super) fn refused(code: &Code) -> Option<String> {
    let arguments = arguments(&code.text)?;
    // `...` stands for what is left out.
    let whole = code.whole && !arguments.contains(" ...") && !arguments.starts_with("...");
    alternatives(&arguments).into_iter().find_map(|words| {
        let mut words: Vec<String> = words.into_iter().filter(|word| word != "...").collect();
        words.insert(0, "inspectd".to_owned());
        let why = attempt(words, whole)?;
        Some(format!("`{}`: {}", code.text, why.lines().next().unwrap_or_default()))
    })
}

/// What stands behind `inspectd` where a line begins with it, alone or as another user.
fn arguments(text: &str) -> Option<String> {
    let text = text.trim_start_matches("$ ");
    let before = |word: &str| word.starts_with('-') || word == "sudo" || word == "env" || word.contains('=');
    let mut rest = text;
    let mut user = false;
    loop {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        if word == "inspectd" && !user {
            return (!behind.is_empty()).then(|| command_alone(behind));
        }
        // `sudo -u inspectd`: that one is a user.
        if behind.is_empty() || !(user || before(word)) {
            return None;
        }
        user = word == "-u";
        rest = behind.trim_start();
    }
}

/// Without what a shell does with it, and without what a document says of it.
fn command_alone(text: &str) -> String {
    let (mut quoted, mut depth, mut spaces, mut out) = (false, 0_i32, 0, String::new());
    for c in text.chars() {
        quoted ^= c == '"' || c == '\'';
        depth += i32::from(c == '[') - i32::from(c == ']');
        spaces = if c == ' ' { spaces + 1 } else { 0 };
        let remark = (c == '#' || (c == '|' && depth == 0)) && out.ends_with(' ');
        if !quoted && (spaces > 2 || remark || ";>&".contains(c)) {
            break;
        }
        out.push(c);
    }
    out.trim().trim_end_matches(',').to_owned()
}

/// Each command line that a line with `a|b` and `[...]` stands for, as words.
fn alternatives(text: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    for word in words(&text.replace(" | ", "|")) {
        let word = word.trim_end_matches("...").to_owned() + if word == "..." { "..." } else { "" };
        let choices: Vec<&str> = word.split('|').collect();
        // Of `[ID|--to NAME]` the one or the other.
        all = all
            .into_iter()
            .flat_map(|line| choices.iter().map(move |choice| [line.clone(), vec![(*choice).to_owned()]].concat()))
            .collect();
    }
    all
}

/// Words as a shell cuts them; brackets around what may be left out are taken off.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == ' ' => all.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            // `Gain[GainSelector=All]` keeps its own.
            None if c == '[' && word.is_empty() => {}
            None if c == ']' && !word.contains('[') => {}
            None => word.push(c),
        }
    }
    all.extend(Some(word).filter(|word| !word.is_empty()));
    all
}

fn attempt(mut words: Vec<String>, whole: bool) -> Option<String> {
    loop {
        let error = Cli::command().try_get_matches_from(&words).err()?;
        let invalid = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.clone(),
            _ => String::new(),
        };
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return None,
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                if !whole =>
            {
                return None;
            }
            // An option that is only named.
            ErrorKind::InvalidValue
            | ErrorKind::NoEquals
            | ErrorKind::WrongNumberOfValues
            | ErrorKind::TooFewValues
                if !whole && invalid.is_empty() =>
            {
                return None;
            }
            ErrorKind::ValueValidation | ErrorKind::InvalidValue if stands_for_another(&invalid) => {
                let at = words.iter().position(|word| word.ends_with(&invalid))?;
                let fits = |sample: &&&str| {
                    let mut words = words.clone();
                    words[at] = words[at].replace(&invalid, sample);
                    let next = Cli::command().try_get_matches_from(&words).err();
                    next.is_none_or(|next| {
                        next.get(ContextKind::InvalidValue) != Some(&ContextValue::String((**sample).to_owned()))
                    })
                };
                let Some(sample) = SAMPLES.iter().find(fits) else { return Some(error.to_string()) };
                words[at] = words[at].replace(&invalid, sample);
            }
            _ => return Some(error.to_string()),
        }
    }
}

/// `FILE`, `N`, `MIB`: written in capitals.
fn stands_for_another(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_uppercase() || "_:=".contains(c))
}
