//! A walk through the pages of a line with 5,000 parts on record, in a real browser: what is found, exported, counted, labelled and put in
//! force on the page is what the program has.

#![allow(clippy::print_stdout)] // figures and pictures for whoever reads the log

mod learn;
mod pictures;
#[path = "../screen/mod.rs"]
mod screen;
mod words;

use std::path::Path;

use fantoccini::key::Key;
use screen::{Browser, Page};
use serde_json::json;
use system_tests::{Counts, Program, agent, binary, wait_for};

const PARTS: u64 = 5000;

/// The line takes parts as fast as it can, and ends: what is counted must not change meanwhile.
fn filled(binary: &Path, dir: &Path) -> Program {
    let program = line(binary, dir, &format!("parts = {PARTS}"));
    for share in 1..=5 {
        wait_for("the parts", || {
            (program.get("/api/v1/inspections/count")["parts"].as_u64() >= Some(PARTS * share / 5)).then_some(())
        });
    }
    program
}

/// A training is one of the model's head alone: here it is the way that counts, not the outcome.
fn line(binary: &Path, dir: &Path, source: &str) -> Program {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/default.bundle");
    let recipe = format!(
        "name = \"demo\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 20000\n[review]\nper_hour = 100\naudit_fraction = 0.02\n"
    );
    std::fs::write(dir.join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"demo\"\nrecipe = \"recipe.toml\"\n[line.limits]\nhang_ms = 20000\n[store]\ndir = \"state\"\n\
         [api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n[source]\nkind = \"synthetic\"\nseed = 11\ndefect_rate = 0.15\n\
         {source}\n[learning]\ntrain = [\"--epochs\", \"0\", \"--no-near\"]\n"
    );
    let path = dir.join("line.toml");
    std::fs::write(&path, config).expect("written");
    Program::start(binary, &["run", "--config", path.to_str().expect("a plain path")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn parts_are_found_looked_at_exported_and_counted() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let program = filled(&binary, dir.path());
    let url = program.url.clone();
    browser
        .visit(&format!("{url}/#history"), async move |page| {
            the_counters_are_the_lines(&page, &program).await;
            the_list_holds_every_part(&page).await;
            a_filter_and_the_detail(&page, &program).await;
            an_export_is_read_again(&page, &program).await;
            pictures_are_shown(&page).await;
            words::find_parts(&page, &program).await;
            words::and_parts_find_their_like(&page).await;
            words::and_a_picture_too(&page).await;
            quality_counts_what_is_on_record(&page, &program).await;
            learn::twenty_labels_by_key(&page, &program).await;
            learn::colleagues_label_more(&program);
            learn::a_model_is_promoted_and_rolled_back(&page, &program).await;
            page.assert_quiet_console();
            page.assert_nothing_left(&program.url);
            // The same line goes on, at a pace that people can follow.
            let (_ended, _said) = program.terminate();
            let program = line(&binary, dir.path(), &format!("rate = 4.0\nfirst_serial = {}", PARTS + 1));
            pictures::of_every_page(&page, &program).await;
        })
        .await;
}

async fn the_counters_are_the_lines(page: &Page, program: &Program) {
    page.wait("the page", "return document.querySelector('[data-testid=nav-live]') !== null").await;
    page.click("nav-live").await;
    let counters = "
        const names = ['triggered', 'pass', 'fail', 'review', 'no_decision', 'in_flight'];
        const value = (name) => document.querySelector(`[data-testid=counters] [data-testid=${name}]`)?.dataset.value;
        const pairs = names.map((name) => [name, Number(value(name) ?? -1)]);
        return pairs[0][1] === 5000 ? Object.fromEntries(pairs) : null;";
    let shown = Counts::of(&page.wait("the counters", counters).await);
    assert_eq!((shown, shown.in_flight), (program.counts(), 0));
    page.click("nav-history").await;
}

/// The count, and by scrolling to the end every part once, newest first. The longest time between two frames is printed: what it is
/// depends on the machine.
async fn the_list_holds_every_part(page: &Page) {
    let counted = "return Number(document.querySelector('[data-testid=history]')?.dataset.count || 0) || null";
    assert_eq!(page.wait("the count", counted).await, json!(PARTS));
    assert!(page.title().await.starts_with("History: "));
    let scrolled = "
        const list = document.querySelector('[data-testid=list]');
        const seen = new Set();
        const frame = () => new Promise((next) => requestAnimationFrame(next));
        const look = async () => {
          let longest = 0, before = await frame();
          for (let at = 0; at < 20000; at++) {
            document.querySelectorAll('[data-testid=row]').forEach((row) => seen.add(Number(row.dataset.id)));
            if (list.textContent.includes('No older parts') && list.scrollTop + list.clientHeight >= list.scrollHeight - 2) break;
            list.scrollTop += list.clientHeight / 2;
            const now = await frame();
            [longest, before] = [Math.max(longest, now - before), now];
          }
          return { seen: seen.size, newest: Math.max(...seen), longest };
        };
        return look();";
    let seen = page.run(scrolled).await;
    println!(
        "{PARTS} parts scrolled through: longest time between two frames {:.0} ms",
        seen["longest"].as_f64().unwrap_or(0.0)
    );
    assert_eq!((&seen["seen"], &seen["newest"]), (&json!(PARTS), &json!(PARTS)));
    let drawn = page.run("return document.querySelectorAll('[data-testid=row]').length").await;
    assert!(drawn.as_u64() < Some(60), "only what is in sight is drawn: {drawn}");
    page.keep_screenshot("history.png").await;
}

async fn a_filter_and_the_detail(page: &Page, program: &Program) {
    page.click("verdict-fail").await;
    let fail = program.get("/api/v1/inspections/count?verdict=fail")["parts"].as_u64().expect("a number");
    assert!(fail > 300);
    let filtered = format!(
        "const rows = [...document.querySelectorAll('[data-testid=row]')];
         return document.querySelector('[data-testid=history]').dataset.count === '{fail}' && rows.length > 5
             && rows.every((row) => row.dataset.verdict === 'fail') ? rows[0].dataset.id : null"
    );
    let first = page.wait("the parts that failed", &filtered).await;
    page.run("document.querySelector('[data-testid=row]').focus()").await;
    page.press(Key::Enter.into()).await;
    let open = "return document.querySelector('[data-testid=detail][open]')?.dataset.id ?? null";
    assert_eq!(page.wait("the record", open).await, first);
    page.run("document.querySelector('[data-testid=detail] button[aria-label=\"Older part\"]').click()").await;
    let next = format!(
        "const id = {}; return id !== '{}' ? id : null",
        "document.querySelector('[data-testid=detail]').dataset.id",
        first.as_str().expect("an id")
    );
    page.wait("the next older one", &next).await;
    page.press(Key::Escape.into()).await;
    page.wait("the list", "return document.querySelector('[data-testid=detail]') === null").await;
    // The address holds the question: it survives a reload.
    assert_eq!(page.run("return location.hash").await, json!("#history/verdict=fail"));
    page.click("more-conditions").await;
    page.wait("the labels", "return document.querySelectorAll('[data-testid=label] option').length > 3").await;
}

async fn an_export_is_read_again(page: &Page, program: &Program) {
    page.click("export").await;
    page.keep_screenshot("history-export.png").await;
    page.click("export-csv").await;
    let done = "const it = document.querySelector('[data-testid=export-state]'); return it.dataset.state === 'done' ? it.dataset.done : null";
    let count = program.get("/api/v1/inspections/count?verdict=fail")["parts"].to_string();
    assert_eq!(page.wait("the export to be done", done).await, json!(count));
    let mut answer =
        agent().get(format!("{}/api/v1/export?as=csv&verdict=fail", program.url)).call().expect("an answer");
    let table = answer.body_mut().read_to_string().expect("a table");
    assert_eq!((table.lines().count() - 1).to_string(), count);
    assert!(table.lines().skip(1).all(|row| row.contains(",fail,")));
}

async fn pictures_are_shown(page: &Page) {
    page.click("view-pictures").await;
    let loaded = "const images = [...document.querySelectorAll('[data-testid=row] img')]; return images.length > 5 && images.some((it) => it.complete && it.naturalWidth > 0)";
    page.wait("pictures", loaded).await;
    page.keep_screenshot("history-pictures.png").await;
    page.click("reset").await;
    page.wait(
        "all parts",
        &format!("return document.querySelector('[data-testid=history]').dataset.count === '{PARTS}'"),
    )
    .await;
}

async fn quality_counts_what_is_on_record(page: &Page, program: &Program) {
    page.click("nav-quality").await;
    page.click("period-week").await;
    page.wait(
        "all parts",
        &format!("return document.querySelector('[data-testid=quality]')?.dataset.parts === '{PARTS}'"),
    )
    .await;
    for verdict in ["pass", "fail", "review"] {
        let count = program.get(&format!("/api/v1/inspections/count?verdict={verdict}"))["parts"].to_string();
        let shown = format!(
            "return document.querySelector('[data-testid=quality] [data-testid={verdict}]').textContent.replace(/\\D/g, '')"
        );
        assert_eq!(page.run(&shown).await, json!(count), "{verdict}");
    }
    let drawn = "
        const canvas = document.querySelector('[data-testid=p-chart] canvas');
        if (!canvas || !canvas.width) return false;
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value, i) => i % 4 === 3 && value > 0);";
    page.wait("the chart", drawn).await;
    page.click("by-camera").await;
    let group = "return document.querySelector('[data-testid=groups][data-by=camera] tbody tr')?.dataset.parts ?? null";
    assert_eq!(page.wait("the cameras", group).await, json!(PARTS.to_string()));
    let places = page.run("return Number(document.querySelector('[data-testid=places]').dataset.sum)").await;
    assert!(places.as_u64() > Some(10), "defects have a place: {places}");
    page.keep_screenshot("quality.png").await;
    // From what was wrong to its parts.
    let first = "const row = document.querySelector('[data-testid=wrong] tr'); const parts = row.dataset.parts; row.querySelector('a').click(); return parts";
    let parts = page.run(first).await;
    let found = "return document.querySelector('[data-testid=history]')?.dataset.count || null";
    let found = page.wait("the parts behind it", found).await;
    let (parts, found) = (number(&parts), number(&found));
    // A label is also found in parts that failed for another one.
    assert!(found >= parts, "{parts} parts were counted, {found} are found");
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_str().and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no number: {value}"))
}
