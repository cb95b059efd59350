//! What the documents say, held against the program: command lines, configuration, links, and the book's table of contents.

mod commands;
mod keys;
mod pages;

use std::collections::BTreeMap;

use pages::{Page, anchors, links};

/// Fails with everything that is wrong, a line each.
fn nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of the documents' claims are wrong:\n  {}", wrong.len(), wrong.join("\n  "));
}

/// What a page says in some way, each with what is wrong with it.
fn wrong(said: impl Fn(&Page) -> Vec<(usize, String)>) -> Vec<String> {
    let pages = pages::all();
    let of = |page: &Page| said(page).into_iter().map(|(line, text)| format!("{}:{line}: {text}", page.name)).collect();
    pages.iter().flat_map(|page| -> Vec<String> { of(page) }).collect()
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let mut seen = 0;
    for page in pages::all() {
        seen += page.code().iter().filter(|code| commands::is_one(&code.text)).count();
    }
    assert!(seen > 150, "only {seen} commands are found: does this test still read the documents?");
    nothing(&wrong(|page| {
        let codes = page.code().into_iter();
        codes.filter_map(|code| commands::refused(&code).map(|why| (code.line, why))).collect()
    }));
}

#[test]
fn a_wrong_command_is_found() {
    let in_a_block = |text: &str| commands::refused(&pages::Code { line: 1, text: text.into(), whole: true });
    let in_words = |text: &str| commands::refused(&pages::Code { line: 1, text: text.into(), whole: false });
    for wrong in [
        "inspectd inspct a.png",
        "inspectd run --confg x.toml",
        "sudo -u x inspectd backup --kep 3 DEST",
        "inspectd queue lits",
    ] {
        assert!(in_a_block(wrong).is_some() && in_words(wrong).is_some(), "{wrong}");
    }
    // Words may leave out what a line to be typed needs.
    assert!(in_words("inspectd inspect").is_none() && in_a_block("inspectd inspect").is_some());
    for right in [
        "inspectd users add|list|passwd|role|remove",
        "inspectd models certify B [--data DIR [--split CSV]] [--original FP32] [--json]",
        "inspectd eval ... --json                                     everything on one line",
        "$ sudo -u inspectd env STATE_DIRECTORY=/var/lib/inspectd inspectd doctor   # what is missing",
        "inspectd golden cancel --reason \"lunch # and coffee\"; true",
        "inspectd records export --state STATE > STATE/records.jsonl",
    ] {
        assert_eq!(in_words(right), None, "{right}");
    }
}

#[test]
fn every_block_of_configuration_is_read() {
    let mut seen = 0;
    for page in pages::all() {
        seen += page.toml().len();
    }
    assert!(seen > 15, "only {seen} blocks of configuration are found: does this test still read the documents?");
    nothing(&wrong(|page| {
        let blocks = page.toml().into_iter();
        blocks.filter_map(|block| keys::refused(&block.text).map(|why| (block.line, why))).collect()
    }));
    assert!(keys::refused("[store]\nreserv_mb = 3\n").is_some(), "a wrong key is not found");
    assert!(keys::refused("[source]\nkind = \"genikam\"\n").is_some(), "a wrong kind of source is not found");
    assert!(keys::refused("[store\n").is_some(), "what is no TOML is not found");
}

#[test]
fn every_key_that_is_named_exists() {
    nothing(&wrong(|page| {
        let codes = page.code().into_iter().filter(|code| !code.whole);
        codes
            .filter_map(|code| keys::unknown(&code.text).map(|key| (code.line, format!("`{key}` is no key"))))
            .collect()
    }));
    for wrong in [
        "store.evidence.least_fre_mb",
        "api.listn = \"x\"",
        "[store.retentoin]",
        "[learning] workr = \"unit\"",
        "golden_samples.sample.nme",
    ] {
        assert!(keys::unknown(wrong).is_some(), "`{wrong}` is not found");
    }
    for right in [
        "store.evidence.least_free_mb",
        "[[regions]]",
        "[trigger] by = \"plc\"",
        "source.views.name",
        "regions.area",
        "inspectd.toml",
    ] {
        assert_eq!(keys::unknown(right), None);
    }
}

#[test]
fn the_book_has_every_page_once() {
    let pages = pages::all();
    let summary = pages.iter().find(|page| page.name == "docs/SUMMARY.md").expect("docs/SUMMARY.md");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, to) in links(&summary.text) {
        *times.entry(format!("docs/{to}")).or_default() += 1;
    }
    let there = pages.iter().filter(|page| page.name.starts_with("docs/") && page.name != summary.name);
    let wrong = there.filter_map(|page| match times.get(&page.name) {
        Some(1) => None,
        times => Some(format!("docs/SUMMARY.md names {} {} times, not once", page.name, times.unwrap_or(&0))),
    });
    nothing(&wrong.collect::<Vec<_>>());
}

#[test]
fn every_link_leads_somewhere() {
    nothing(&wrong(|page| {
        let there = |(line, to): (usize, String)| {
            if to.contains("://") || to.starts_with("mailto:") {
                return None;
            }
            let (file, anchor) = to.split_once('#').unwrap_or((&to, ""));
            let path = if file.is_empty() { page.path() } else { page.path().parent()?.join(file) };
            if !path.exists() {
                return Some((line, format!("`{to}`: there is no such file")));
            }
            let known =
                anchor.is_empty() || anchors(&std::fs::read_to_string(path).ok()?).iter().any(|one| one == anchor);
            (!known).then(|| (line, format!("`{to}`: there is no such heading")))
        };
        links(&page.text).into_iter().filter_map(there).collect()
    }));
    assert_eq!(anchors("# One `word`: or two\n## What counts?\n"), ["one-word-or-two", "what-counts"]);
}
