//! The report of a shift on one sheet of A4: what came, how the share of rejects went, what was wrong and where, lots, and what the audit says.

mod page;

use jiff::Timestamp;
use models_train::evaluation::intervals::two_sided;

use self::page::{Colour, Face, Page, SIZE, width};
use super::CONFIDENCE;
use super::config::ShiftSpan;
use super::overview::{Overview, Totals};
use super::table::words;
use crate::store::PLACES;

const INK: Colour = (0.11, 0.13, 0.14);
const MUTED: Colour = (0.40, 0.44, 0.47);
const LINE: Colour = (0.80, 0.83, 0.85);
const SOFT: Colour = (0.93, 0.94, 0.95);
const DATA: Colour = (0.36, 0.44, 0.49);
const BAD: Colour = (0.76, 0.14, 0.12);

const LEFT: f32 = 46.0;
const RIGHT: f32 = SIZE.0 - 46.0;
const SMALL: (Face, f32) = (Face::Plain, 8.5);
const BODY: (Face, f32) = (Face::Plain, 9.5);
const HEAD: (Face, f32) = (Face::Bold, 11.0);

/// Rows of what was wrong, and of lots, for which there is room.
const RANKS: usize = 9;
const LOTS: usize = 8;

/// The report.
pub fn pdf(line: &str, shift: &ShiftSpan, overview: &Overview) -> Vec<u8> {
    let mut page = Page::new();
    let title = format!("Line {line}: {} shift of {}", shift.name, shift.date);
    head(&mut page, &title, overview);
    totals(&mut page, 118.0, &overview.totals);
    chart(&mut page, 200.0, overview);
    ranks(&mut page, 425.0, overview);
    places(&mut page, 425.0, overview);
    lots(&mut page, 630.0, overview);
    audit(&mut page, 630.0, overview);
    let made = clock(overview, Timestamp::now(), "%Y-%m-%d %H:%M");
    let note = "Reject: a part that did not pass. Shares in brackets: 95 % intervals (Clopper-Pearson). Limits: three standard deviations.";
    page.text((LEFT, SIZE.1 - 34.0), SMALL, MUTED, note);
    page.text((LEFT, SIZE.1 - 22.0), SMALL, MUTED, &format!("inspectd {}, made {made}", env!("CARGO_PKG_VERSION")));
    page.finish(&title)
}

fn clock(overview: &Overview, at: Timestamp, form: &str) -> String {
    at.to_zoned(overview.zone.clone()).strftime(form).to_string()
}

fn head(page: &mut Page, title: &str, overview: &Overview) {
    page.text((LEFT, 62.0), (Face::Bold, 19.0), INK, title);
    let zone = overview.zone.iana_name().unwrap_or("local time");
    let [from, to] = [overview.from, overview.to].map(|at| clock(overview, at, "%Y-%m-%d %H:%M"));
    let mut when = format!("{from} to {to} ({zone})");
    if Timestamp::now() < overview.to {
        when += "; the shift is not over";
    }
    if overview.rebuilding {
        when += "; THE INDEX IS BEING BUILT: PARTS ARE MISSING";
    }
    if let Some(since) = overview.since {
        when += &format!("; records from {} on are kept", clock(overview, since, "%Y-%m-%d %H:%M"));
    }
    page.text((LEFT, 80.0), (Face::Plain, 11.0), MUTED, &when);
    page.line(&[(LEFT, 92.0), (RIGHT, 92.0)], 0.8, &[], LINE);
}

fn totals(page: &mut Page, top: f32, totals: &Totals) {
    let Totals { parts, pass, fail, review, no_decision } = *totals;
    let yields = if parts > 0 { format!("{} %", percent(pass, parts)) } else { "-".to_owned() };
    let interval = if parts > 0 { bracket(pass, parts) } else { String::new() };
    let columns = [
        ("Yield", yields, interval),
        ("Parts", grouped(parts), String::new()),
        ("Pass", grouped(pass), String::new()),
        ("Fail", grouped(fail), of(fail, parts)),
        ("Review", grouped(review), of(review, parts)),
        ("No decision", grouped(no_decision), of(no_decision, parts)),
    ];
    let wide = (RIGHT - LEFT) / columns.len() as f32;
    for (at, (name, value, below)) in columns.iter().enumerate() {
        let x = LEFT + wide * at as f32;
        page.text((x, top), SMALL, MUTED, name);
        page.text((x, top + 24.0), (Face::Bold, 20.0), INK, value);
        page.text((x, top + 38.0), SMALL, MUTED, below);
    }
}

fn chart(page: &mut Page, top: f32, overview: &Overview) {
    const HEIGHT: f32 = 150.0;
    page.text((LEFT, top), HEAD, INK, "Share of rejects, each hour");
    let points = &overview.chart.points;
    let Some(mean) = overview.chart.mean else {
        page.text((LEFT, top + 24.0), BODY, MUTED, "No part came.");
        return;
    };
    let (left, top) = (LEFT + 34.0, top + 16.0);
    let highest = points.iter().filter(|it| it.point.parts > 0).map(|it| it.high.max(it.share.unwrap_or(0.0)));
    let most = nice(highest.fold(0.0, f64::max) * 1.05);
    let y = |share: f64| top + HEIGHT - (share.min(most) / most) as f32 * HEIGHT;
    let step = (RIGHT - left) / points.len().max(1) as f32;
    for tick in 0..=4 {
        let share = most * f64::from(tick) / 4.0;
        page.line(&[(left, y(share)), (RIGHT, y(share))], 0.4, &[], LINE);
        page.text_to((left - 6.0, y(share) + 3.0), SMALL, MUTED, &format!("{} %", short(100.0 * share)));
    }
    for (at, it) in points.iter().enumerate().filter(|(_, it)| it.point.parts > 0) {
        let (a, b) = (left + step * at as f32, left + step * (at + 1) as f32);
        page.fill((a, y(it.high)), (step, y(it.low) - y(it.high)), SOFT);
        for limit in [it.low, it.high] {
            page.line(&[(a, y(limit)), (b, y(limit))], 0.8, &[3.0, 2.0], DATA);
        }
    }
    page.line(&[(left, y(mean)), (RIGHT, y(mean))], 0.8, &[], DATA);
    let middle = |at: usize| left + step * (at as f32 + 0.5);
    let line: Vec<(f32, f32)> =
        points.iter().enumerate().filter_map(|(at, it)| Some((middle(at), y(it.share?)))).collect();
    page.line(&line, 1.4, &[], INK);
    // Every hour has its mark; only so many have room for their time.
    let every = points.len().div_ceil(12).max(1);
    for (at, it) in points.iter().enumerate() {
        if let Some(share) = it.share {
            let broken = !it.rules.is_empty();
            page.diamond((middle(at), y(share)), if broken { 4.6 } else { 2.4 }, if broken { BAD } else { INK });
            if broken {
                let rules = it.rules.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
                page.text((middle(at) + 5.0, y(share) - 5.0), (Face::Bold, 8.0), BAD, &rules);
            }
        }
        if at % every == 0 {
            let time = clock(overview, it.point.from, "%H:%M");
            page.text((left + step * at as f32, top + HEIGHT + 12.0), SMALL, MUTED, &time);
        }
    }
    let broken = points.iter().filter(|it| !it.rules.is_empty()).count();
    let words = match &overview.change {
        Some(it) => format!(
            "Since {}: {} % instead of {} %.",
            clock(overview, it.at, "%H:%M"),
            short(100.0 * it.after),
            short(100.0 * it.before)
        ),
        None if broken > 0 => format!("{broken} hours break a rule (red, with the Western Electric rule's number)."),
        None => "No hour breaks a Western Electric rule.".to_owned(),
    };
    page.text((left, top + HEIGHT + 30.0), BODY, INK, &format!("Mean {} %. {words}", short(100.0 * mean)));
}

fn ranks(page: &mut Page, top: f32, overview: &Overview) {
    let rejects = overview.totals.rejects();
    page.text((LEFT, top), HEAD, INK, "What was wrong");
    if rejects == 0 {
        page.text((LEFT, top + 20.0), BODY, MUTED, "Nothing.");
    }
    let most = overview.ranks.first().map_or(1, |it| it.parts.max(1));
    for (at, rank) in overview.ranks.iter().take(RANKS).enumerate() {
        let y = top + 20.0 + 18.0 * at as f32;
        page.text((LEFT, y), BODY, INK, &fitted(BODY, 110.0, &words(&rank.wrong)));
        let bar = 100.0 * rank.parts as f32 / most as f32;
        page.fill((LEFT + 118.0, y - 8.0), (bar.max(0.6), 10.0), DATA);
        let share = format!("{} ({} %)", grouped(rank.parts), percent(rank.parts, rejects.max(1)));
        page.text((LEFT + 124.0 + bar, y), SMALL, MUTED, &share);
    }
    let left_out = overview.ranks.len().saturating_sub(RANKS);
    if left_out > 0 {
        page.text((LEFT, top + 20.0 + 18.0 * RANKS as f32), SMALL, MUTED, &format!("and {left_out} more"));
    }
}

fn places(page: &mut Page, top: f32, overview: &Overview) {
    let left = 380.0;
    page.text((left, top), HEAD, INK, "Where on the picture");
    let side = usize::from(PLACES);
    let mut cells = vec![0; side * side];
    for place in &overview.places {
        cells.iter_mut().zip(&place.cells).for_each(|(sum, count)| *sum += count);
    }
    let most = cells.iter().copied().max().unwrap_or(0);
    let cell = 160.0 / side as f32;
    page.fill((left, top + 10.0), (160.0, 160.0), SOFT);
    for (at, count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
        let strong = 0.15 + 0.85 * (*count as f32 / most as f32);
        let mixed = |ground: f32, full: f32| ground + (full - ground) * strong;
        let colour = (mixed(SOFT.0, 0.62), mixed(SOFT.1, 0.16), mixed(SOFT.2, 0.39));
        let place = (left + cell * (at % side) as f32, top + 10.0 + cell * (at / side) as f32);
        page.fill(place, (cell, cell), colour);
    }
    let seen: u64 = cells.iter().sum();
    let words = if seen == 0 {
        "Nothing was seen.".to_owned()
    } else {
        format!("{} defects; the darkest cell has {}", grouped(seen), grouped(most))
    };
    page.text((left, top + 182.0), SMALL, MUTED, &words);
}

fn lots(page: &mut Page, top: f32, overview: &Overview) {
    page.text((LEFT, top), HEAD, INK, "Lots");
    let named: Vec<_> = overview.groups.iter().filter(|group| !group.name.is_empty()).collect();
    if named.is_empty() {
        page.text((LEFT, top + 20.0), BODY, MUTED, "Parts of this line name no lot.");
        return;
    }
    for (x, name) in [(LEFT + 180.0, "parts"), (LEFT + 300.0, "yield")] {
        page.text_to((x, top), SMALL, MUTED, name);
    }
    for (at, group) in named.iter().take(LOTS).enumerate() {
        let y = top + 18.0 + 15.0 * at as f32;
        let Totals { parts, pass, .. } = group.totals;
        page.text((LEFT, y), BODY, INK, &fitted(BODY, 110.0, &group.name));
        page.text_to((LEFT + 180.0, y), BODY, INK, &grouped(parts));
        page.text_to(
            (LEFT + 300.0, y),
            BODY,
            INK,
            &format!("{} % {}", percent(pass, parts.max(1)), bracket(pass, parts)),
        );
    }
    if named.len() > LOTS {
        let words = format!("and {} more", named.len() - LOTS);
        page.text((LEFT, top + 18.0 + 15.0 * LOTS as f32), SMALL, MUTED, &words);
    }
}

fn audit(page: &mut Page, top: f32, overview: &Overview) {
    let (left, audited) = (380.0, overview.audited);
    page.text((left, top), HEAD, INK, "Audit, from parts chosen by lot");
    let share = |seen: u64, of: u64, kind: &str| match of {
        0 => format!("no {kind} part was labelled"),
        of => format!("{seen} of {of}: {} % {}", percent(seen, of), bracket(seen, of)),
    };
    let rows = [
        ("Escapes (bad, passed)", share(audited.escapes, audited.bad, "bad")),
        ("Overkill (good, failed)", share(audited.overkill, audited.good, "good")),
    ];
    for (at, (name, words)) in rows.iter().enumerate() {
        let y = top + 18.0 + 34.0 * at as f32;
        page.text((left, y), SMALL, MUTED, name);
        page.text((left, y + 13.0), BODY, INK, words);
    }
    page.text((left, top + 90.0), SMALL, MUTED, &format!("{} audited parts have a label", grouped(audited.parts)));
}

fn of(count: u64, parts: u64) -> String {
    if parts == 0 { String::new() } else { format!("{} %", percent(count, parts)) }
}

/// One decimal, two below one percent; a flaw is never rounded away.
fn percent(seen: u64, of: u64) -> String {
    let share = 100.0 * seen as f64 / of as f64;
    if seen < of && share > 99.9 { "99.9".to_owned() } else { short(share) }
}

fn short(percent: f64) -> String {
    if percent == 0.0 || percent >= 1.0 { format!("{percent:.1}") } else { format!("{percent:.2}") }
}

fn bracket(seen: u64, of: u64) -> String {
    let [low, high] = two_sided(seen as usize, of as usize, CONFIDENCE);
    format!("({}–{})", short(100.0 * low), short(100.0 * high))
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The end of an axis: 1, 2 or 5 times a power of ten.
fn nice(most: f64) -> f64 {
    let power = 10f64.powf(most.max(1e-4).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= most).unwrap_or(10.0);
    (step * power).min(1.0)
}

/// As much of a text as has room.
fn fitted(font: (Face, f32), room: f32, text: &str) -> String {
    if width(font, text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if width(font, &format!("{kept}{c}…")) > room {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}
