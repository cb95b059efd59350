//! The documents, and what of them is code, configuration or a link. Of Markdown only as much as they use.

use std::fs;
use std::path::{Path, PathBuf};

/// One document.
pub(super) struct Page {
    /// From the workspace's folder.
    pub(super) name: String,
    pub(super) text: String,
}

/// A code span, or a line of a block.
#[derive(Debug)]
pub(super) struct Code {
    /// From 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// Of a block: to be typed as it stands.
    pub(super) whole: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every document for people.
pub(super) fn all() -> Vec<Page> {
    let mut names: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned).into();
    for entry in fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    let read = |name: String| Page { text: fs::read_to_string(root().join(&name)).expect(&name), name };
    names.into_iter().map(read).collect()
}

impl Page {
    pub(super) fn path(&self) -> PathBuf {
        root().join(&self.name)
    }

    /// Every code span, and every line of a block.
    pub(super) fn code(&self) -> Vec<Code> {
        let mut found = Vec::new();
        let mut paragraph = String::new();
        let mut begins = 1;
        for (line, text, language) in lines(&self.text) {
            if language.is_none() && !text.trim().is_empty() {
                if paragraph.is_empty() {
                    begins = line;
                }
                paragraph.push_str(text);
                paragraph.push('\n');
                continue;
            }
            spans(&std::mem::take(&mut paragraph), begins, &mut found);
            if language.is_some() {
                found.push(Code { line, text: text.trim().to_owned(), whole: true });
            }
        }
        spans(&paragraph, begins, &mut found);
        found
    }

    /// Every block of TOML: fenced and called so, or indented and beginning like one.
    pub(super) fn toml(&self) -> Vec<Code> {
        let mut found: Vec<Code> = Vec::new();
        let mut last = 0;
        for (line, text, language) in lines(&self.text) {
            let inside = last + 1 == line;
            let begins = match language {
                Some("toml") => true,
                Some("") => inside || begins_like_toml(text),
                _ => false,
            };
            if !begins {
                continue;
            }
            match found.last_mut().filter(|_| inside) {
                Some(block) => block.text.extend([text, "\n"]),
                None => found.push(Code { line, text: format!("{text}\n"), whole: true }),
            }
            last = line;
        }
        found
    }
}

fn begins_like_toml(text: &str) -> bool {
    let key = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    let text = text.trim();
    let code = text.split('#').next().unwrap_or_default().trim();
    let section = code.starts_with('[') && code.ends_with(']') && key(code.trim_matches(['[', ']']));
    section || text.split_once(" = ").is_some_and(|(word, _)| key(word))
}

/// Each line with its number and, in a block, the block's language: empty for an indented one, which ends at the next line that is not.
fn lines(text: &str) -> Vec<(usize, &str, Option<&str>)> {
    let mut found = Vec::new();
    let (mut fence, mut in_list, mut indented) = (None, false, false);
    let mut before = "";
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if let Some(language) = line.trim().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            before = line;
            continue;
        }
        let item =
            |line: &str| line.starts_with("- ") || line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
        if fence.is_none() && !line.starts_with(' ') && !line.trim().is_empty() {
            in_list = item(line);
        }
        // Inside of an item, what goes on is indented, and code is so twice.
        let depth = if in_list { 6 } else { 4 };
        let deep = line.len() - line.trim_start().len() >= depth && !line.trim().is_empty();
        let bridged = indented && line.trim().is_empty();
        indented = fence.is_none() && (bridged || (deep && (indented || before.trim().is_empty())));
        // A blank line stays in a block, so that a block of several parts stays one.
        let language = fence.or((indented).then_some(""));
        found.push((number, line, language));
        before = line;
    }
    found
}

/// Code spans of a paragraph.
fn spans(paragraph: &str, begins: usize, found: &mut Vec<Code>) {
    let mut line = begins;
    for (at, piece) in paragraph.split('`').enumerate() {
        if at % 2 == 1 {
            found.push(Code { line, text: piece.split_whitespace().collect::<Vec<_>>().join(" "), whole: false });
        }
        line += piece.matches('\n').count();
    }
}

/// Targets of links, each with its line; those inside of code are none.
pub(super) fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, words, _) in lines(text).into_iter().filter(|(_, _, language)| language.is_none()) {
        let plain: String = words.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let targets = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(|target| (line, target.to_owned())));
    }
    found
}

/// What a link may point at in a page: its headings, as forges and mdBook name them.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let headings = lines(text).into_iter().filter(|(_, line, language)| language.is_none() && line.starts_with('#'));
    let name = |(_, line, _): (usize, &str, Option<&str>)| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(name).collect()
}
