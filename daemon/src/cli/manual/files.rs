//! The pages of the files: each is its commented example (`systemd/*.toml`), which a test holds against what is read.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{MANUAL, SOURCE};

/// What a page is made of: the file's name, one line about it, where it lies, the example.
const FILES: [(&str, &str, &str, &str); 2] = [
    (
        "inspectd.toml",
        "configuration of an inspection line",
        "/etc/inspectd/inspectd.toml; of a line of its own /etc/inspectd/NAME.toml",
        include_str!("../../../../systemd/inspectd.toml"),
    ),
    (
        "inspectd-recipe.toml",
        "what one product is inspected with",
        "/etc/inspectd/recipe.toml, or wherever line.recipe of inspectd.toml(5) points",
        include_str!("../../../../systemd/recipe.toml"),
    ),
];

/// Name and text of each page.
pub(super) fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let page = |(name, about, place, example): (&str, &str, &str, &str)| {
        let mut text = Vec::new();
        let mut roff = Roff::new();
        roff.control("TH", [name, "5", "", SOURCE, MANUAL]);
        roff.control("SH", ["NAME"]).text([roman(format!("{name} - {about}"))]);
        roff.control("SH", ["SYNOPSIS"]).text([roman(place)]);
        roff.control("SH", ["DESCRIPTION"]);
        body(&mut roff, example);
        roff.control("SH", ["SEE ALSO"]).text([
            bold("inspectd-check"),
            roman("(1) says everything that is wrong with such a file. The files that are named as docs/ lie in /usr/share/doc/inspectd."),
        ]);
        roff.to_writer(&mut text)?;
        Ok((format!("{name}.5"), text))
    };
    FILES.into_iter().map(page).collect()
}

/// The example, line by line: sections become headings, keys items, and comments their text.
fn body(roff: &mut Roff, example: &str) {
    // Comment lines above a section's head are about that section.
    let mut above: Vec<&str> = Vec::new();
    for line in example.lines() {
        let words = line.strip_prefix('#').unwrap_or(line).trim();
        let (code, remark) = match words.split_once(" # ") {
            Some((code, remark)) => (code.trim(), Some(remark.trim())),
            None => (words, None),
        };
        if words.is_empty() {
            paragraph(roff, &mut above);
        } else if code.starts_with('[') {
            roff.control("SS", [code]);
            above.extend(remark);
            paragraph(roff, &mut above);
        } else if let Some((key, value)) = code.split_once(" = ") {
            paragraph(roff, &mut above);
            roff.control("TP", []);
            roff.text([bold(key), roman(format!(" = {value}"))]);
            // What is given in the example has no default.
            let given = (!line.starts_with('#')).then_some("(as in the example)");
            roff.text([roman([remark, given].into_iter().flatten().collect::<Vec<_>>().join(" "))]);
        } else {
            above.push(words);
        }
    }
    paragraph(roff, &mut above);
}

fn paragraph(roff: &mut Roff, lines: &mut Vec<&str>) {
    if !lines.is_empty() {
        roff.control("PP", []).text(lines.drain(..).map(|line| roman(format!("{line} "))).collect::<Vec<Inline>>());
    }
}
