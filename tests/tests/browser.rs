//! The live page in a real browser, served by the real program: what an operator sees is what the line does.
#![allow(clippy::print_stdout)] // what is skipped is said

mod screen;
mod walks;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::key::Key;
use screen::{Browser, PATIENCE, Page};
use serde_json::json;
use system_tests::{Counts, Program, agent, binary};

const DEMO: [&str; 9] = ["demo", "--listen", "127.0.0.1:0", "--rate", "8", "--defect-rate", "0.5", "--seed", "11"];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_live_page_shows_the_line_as_it_is() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            counters_move_and_obey_the_law(&page, &program).await;
            strip_fills_newest_first(&page).await;
            verdict_and_charts_are_there(&page).await;
            detail_opens_by_keyboard_and_toggles_its_heat_map(&page).await;
            overlay_and_theme_toggle(&page).await;
            an_alert_is_seen_and_acknowledged(&page, &program).await;
            page.keep_screenshot("live-page.png").await;
            page.assert_quiet_console();
            page.assert_nothing_left(&program.url);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn parts_are_labelled_by_single_keys_and_the_model_page_shows_who_decides() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            page.wait(
                "parts in the queue",
                "return Number(document.querySelector('[data-testid=waiting]')?.dataset.value ?? 0) >= 8",
            )
            .await;
            page.click("nav-review").await;
            keys_label_and_undo(&page, &program).await;
            page.keep_screenshot("review.png").await;
            page.run("document.querySelector('[data-testid=nav] a[href=\"#models\"]').click()").await;
            let digest = program.get("/api/v1/models")["champion"].as_str().expect("a champion")[..8].to_owned();
            let shown = format!(
                "return document.querySelector('[data-testid=models]')?.textContent.includes('{digest}') ?? false"
            );
            page.wait("the champion", &shown).await;
            page.keep_screenshot("models.png").await;
            a_replay_is_asked_and_answered(&page, &program).await;
            page.assert_quiet_console();
            page.assert_nothing_left(&program.url);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_camera_is_found_looked_through_and_set() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    let serial = format!("B{}", std::process::id());
    let _camera = Played::start(&binary, &serial);
    let url = format!("{}#cameras", program.url);
    let shown = format!("Aravis-Fake-{serial}");
    browser
        .visit(&url, async move |page| {
            page.wait("the line's own source", "return document.querySelector('[data-testid=source]') && true").await;
            let found = "const all = [...document.querySelectorAll('[data-testid=camera]')]; \
                         return all.length || document.querySelector('[data-testid=none]') ? all.map((it) => it.dataset.id) : null";
            let found = page.wait("the search", found).await;
            if !found.as_array().is_some_and(|all| all.contains(&json!(shown))) {
                return println!("SKIPPED: the simulated camera does not answer on the loopback: {found}");
            }
            page.run(&format!("document.querySelector('[data-id=\"{shown}\"]').click()")).await;
            let width = "return document.querySelector('[data-testid=value-Width]')?.value ?? null";
            page.wait("its settings", width).await;
            page.click("take").await;
            let taken = "return document.querySelector('[data-testid=picture]')?.dataset.taken || null";
            assert_eq!(page.wait("a picture", taken).await, json!("512x512"));
            page.keep_screenshot("cameras.png").await;
            let set = |value: &str| {
                format!(
                    "const field = document.querySelector('[data-testid=value-Width]'); field.value = '{value}'; \
                     field.dispatchEvent(new Event('change', {{ bubbles: true }}))"
                )
            };
            page.run(&set("320")).await;
            let said = "return document.querySelector('[data-testid=set]')?.textContent ?? null";
            assert_eq!(page.wait("what was set", said).await, json!("Width is 320, read back from the camera."));
            // A value that the camera refuses is said, and does not stay as if it had it.
            page.wait("its settings again", "return !document.querySelector('[data-testid=value-Width]').disabled || null").await;
            page.run(&set("99999")).await;
            let refused = "return document.querySelector('[data-testid=refused]')?.textContent ?? null";
            let refused = page.wait("the refusal", refused).await;
            assert!(refused.as_str().is_some_and(|words| words.contains("from 1 to 2048")), "{refused}");
            assert_eq!(page.run(width).await, json!("320"));
            page.assert_nothing_left(&program.url);
        })
        .await;
}

/// A simulated camera, which ends with this, whatever becomes of the test.
struct Played(Child);

impl Played {
    fn start(binary: &Path, serial: &str) -> Played {
        let mut command = Command::new(binary);
        command.args(["simulate", "camera", "--serial", serial]).stdout(Stdio::null()).stderr(Stdio::null());
        Played(command.spawn().expect("inspectd runs"))
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Five parts by one key each, another label, an undo: what the keys said is what the daemon keeps.
async fn keys_label_and_undo(page: &Page, program: &Program) {
    let part = "return document.querySelector('[data-testid=review]')?.dataset.part || null";
    let labelled = |expected: u64| async move {
        let until = tokio::time::Instant::now() + PATIENCE;
        while program.get("/api/v1/learning")["answers"]["labelled"] != expected {
            assert!(tokio::time::Instant::now() < until, "waited for {expected} labels");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut seen = Vec::new();
    for key in ['1', 'g', '2', '1', 'g'] {
        let next = format!(
            "const part = document.querySelector('[data-testid=review]')?.dataset.part; return part && !{} ? part : null",
            format_args!("{}.includes(part)", json!(seen))
        );
        seen.push(page.wait("the next part", &next).await);
        // The page takes no key for a part that nobody can have seen yet (`BOUNCE_MS`).
        tokio::time::sleep(Duration::from_millis(300)).await;
        page.press(key).await;
    }
    labelled(5).await;
    let label = |part: &serde_json::Value| {
        let id = part.as_str().expect("an id").to_owned();
        program.get(&format!("/api/v1/inspections/{id}/label"))["label"].clone()
    };
    let said: Vec<_> = seen.iter().map(label).collect();
    assert_eq!(said, [json!("scratch"), json!("good"), json!("pit"), json!("scratch"), json!("good")]);
    page.press('z').await;
    labelled(4).await;
    assert_eq!(page.wait("the part to come back", part).await, seen[4]);
    assert_eq!(program.get("/api/v1/learning")["queue"]["waiting"].as_u64().map(|it| it > 0), Some(true));
}

/// A threshold that nothing reaches: every part that passed would be held back. What the page says is what the daemon found.
async fn a_replay_is_asked_and_answered(page: &Page, program: &Program) {
    page.run("document.querySelector('[data-testid=nav] a[href=\"#replay\"]').click()").await;
    let field = "const field = document.querySelector('[data-testid=threshold][data-label=good]'); if (!field) return null; \
                 field.value = '1'; field.dispatchEvent(new Event('input', { bubbles: true })); return true";
    page.wait("the thresholds", field).await;
    page.keep_screenshot("replay-question.png").await;
    page.click("start").await;
    let headline = "const line = document.querySelector('[data-testid=headline][data-state=done]')?.textContent; \
                    return line?.includes('would be decided otherwise') ? line : null";
    let said = page.wait("the answer", headline).await;
    let found = program.get("/api/v1/replays")["replays"][0]["found"].clone();
    let begin = format!("{} of {} parts would be decided otherwise; the first at ", found["changed"], found["decided"]);
    assert!(said.as_str().is_some_and(|said| said.starts_with(&begin)), "{said}, and the daemon found {found}");
    let rows = "return document.querySelectorAll('[data-testid=changed] tbody tr').length";
    assert_eq!(page.run(rows).await, found["changed"].as_u64().expect("a number").min(60));
    // The first part's record opens over the page, by keyboard too.
    page.run("document.querySelector('[data-testid=part]').focus(); document.activeElement.click()").await;
    let first = found["first"]["id"].to_string();
    let open = "return document.querySelector('[data-testid=detail]')?.dataset.id ?? null";
    assert_eq!(page.wait("the record", open).await, json!(first));
    page.run("document.querySelector('[data-testid=close]').click()").await;
    page.keep_screenshot("replay-answer.png").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dead_daemon_never_looks_live() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            let live = "return document.querySelector('[data-testid=connection]')?.dataset.state === 'live'";
            page.wait("the page to be live", live).await;
            program.kill();
            let alarm = "return document.querySelector('[data-alarm=connection]')?.textContent ?? null";
            let words = page.wait("the alarm of a lost connection", alarm).await;
            assert!(words.as_str().is_some_and(|w| w.contains("Connection lost")), "the alarm says {words}");
            let dimmed = "return getComputedStyle(document.querySelector('[data-testid=counters]')).opacity < 0.6";
            page.wait("old counters to be dimmed", dimmed).await;
            let title = page.title().await;
            assert!(title.starts_with("Connection lost"), "the window's title is {title:?}");
            page.keep_screenshot("connection-lost.png").await;
        })
        .await;
}

fn demo(binary: &Path, state: &Path) -> Program {
    let mut arguments = DEMO.to_vec();
    arguments.extend(["--state", state.to_str().expect("a plain path")]);
    Program::start(binary, &arguments)
}

async fn counters_move_and_obey_the_law(page: &Page, program: &Program) {
    let first = program.counts();
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut seen = 0;
    // Every reading of the page obeys the law (`shown` checks it), not only the last.
    while seen < first.triggered + 20 {
        assert!(tokio::time::Instant::now() < until, "the counters stand at {seen}, the line was at {first:?}");
        if let Some(counts) = shown(page).await {
            assert!(counts.triggered >= seen, "triggered went back from {seen} to {}", counts.triggered);
            seen = counts.triggered;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = program.counts();
    assert!(line.triggered >= seen, "the page counts {seen} parts, the line only {}", line.triggered);
    assert!(line.pass + line.fail + line.review > 0, "the model decided no part: {line:?}");
}

/// The counters on the page in one reading; none before the first status.
async fn shown(page: &Page) -> Option<Counts> {
    let script = "
        const names = ['triggered', 'pass', 'fail', 'review', 'no_decision', 'in_flight'];
        const value = (name) => document.querySelector(`[data-testid=counters] [data-testid=${name}]`)?.dataset.value;
        const pairs = names.map((name) => [name, value(name)]);
        return pairs.every(([, v]) => v !== undefined) ? Object.fromEntries(pairs.map(([n, v]) => [n, Number(v)])) : null;";
    let counts = page.run(script).await;
    (!counts.is_null()).then(|| Counts::of(&counts))
}

async fn strip_fills_newest_first(page: &Page) {
    let script = "
        const ids = [...document.querySelectorAll('[data-testid=tile]')].map((tile) => Number(tile.dataset.id));
        return ids.length === 24 ? ids : null;";
    let ids = page.wait("24 parts in the strip", script).await;
    let ids: Vec<u64> = serde_json::from_value(ids).expect("a list of ids");
    assert!(ids.is_sorted_by(|a, b| a > b), "not newest first, or a part twice: {ids:?}");
    let pictures = "return [...document.querySelectorAll('[data-testid=tile] img')].some((img) => img.complete && img.naturalWidth > 0)";
    page.wait("a picture in the strip", pictures).await;
}

async fn verdict_and_charts_are_there(page: &Page) {
    let verdict = "
        const panel = document.querySelector('[data-testid=verdict]');
        const word = panel.querySelector('.word')?.textContent.replace(/\\s+/g, '').toLowerCase();
        return panel.dataset.verdict && word === panel.dataset.verdict.replace('_', '') ? word : null;";
    page.wait("a verdict in words", verdict).await;
    let biggest = "
        const size = (e) => parseFloat(getComputedStyle(e).fontSize);
        const word = document.querySelector('[data-testid=verdict] .word');
        return [...document.querySelectorAll('#app *')].every((e) => word.contains(e) || size(e) < size(word));";
    assert_eq!(page.run(biggest).await, json!(true), "something is bigger than the verdict");
    let drawn = "
        return ['throughput', 'latency'].every((name) => {
            const canvas = document.querySelector(`[data-testid=${name}] canvas`);
            if (!canvas || !canvas.width) return false;
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return data.some((value, i) => i % 4 === 3 && value > 0);
        });";
    page.wait("both charts to be drawn", drawn).await;
    let fits = "return document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(page.run(fits).await, json!(true), "the page does not fit 1280x800");
}

async fn detail_opens_by_keyboard_and_toggles_its_heat_map(page: &Page) {
    page.click("not-passed").await;
    page.wait(
        "a defect in the strip",
        "return !!document.querySelector('[data-testid=tile].fail, [data-testid=tile].review')",
    )
    .await;
    // Focus holds the strip still, so the tile that is found is the tile that is opened.
    let focus = "
        const tile = document.querySelector('[data-testid=tile].fail, [data-testid=tile].review');
        tile?.focus();
        return tile ? tile.dataset.id : null;";
    let id = page.wait("a tile to take the focus", focus).await;
    page.press(Key::Enter.into()).await;

    let opened = "return document.querySelector('[data-testid=detail][open]')?.dataset.id ?? null";
    assert_eq!(page.wait("the detail to open", opened).await, id);
    let evidence = "
        const detail = document.querySelector('[data-testid=detail]');
        return detail.querySelector('[data-testid=scores]')?.children.length > 1
            && detail.querySelector('[data-testid=waterfall]')?.children.length > 1
            && detail.querySelector('[data-testid=truth]') !== null;";
    page.wait("scores, waterfall and truth", evidence).await;

    let heat = "
        const heat = document.querySelector('[data-testid=detail] [data-testid=heat]');
        if (!heat) return null;
        const { data } = heat.getContext('2d').getImageData(0, 0, heat.width, heat.height);
        const painted = data.some((value, i) => i % 4 === 3 && value > 0);
        return painted ? getComputedStyle(heat).visibility : null;";
    assert_eq!(page.wait("a painted heat map", heat).await, json!("visible"));
    page.press('o').await;
    assert_eq!(page.run(heat).await, json!("hidden"), "O hides the heat map");
    page.press('o').await;
    assert_eq!(page.run(heat).await, json!("visible"), "O shows it again");

    page.keep_screenshot("detail.png").await;
    page.press(Key::Escape.into()).await;
    page.wait("Escape to close the detail", "return document.querySelector('[data-testid=detail]') === null").await;
}

async fn an_alert_is_seen_and_acknowledged(page: &Page, program: &Program) {
    // Half of the parts are defective, so this one fires at the next look.
    let rule = json!({"severity": "critical", "when": {"kind": "reject_rate", "over_percent": 1, "min_parts": 1}});
    let put = agent()
        .put(format!("{}/api/v1/alerts/rules/test-rule", program.url))
        .header("x-inspectd", "1")
        .send_json(&rule);
    assert_eq!(put.expect("an answer").status(), 204);
    page.wait("the alert", "return document.querySelector('[data-alarm=test-rule]')?.dataset.severity === 'critical'")
        .await;
    page.run("document.querySelector('[data-alarm=test-rule] [data-testid=acknowledge]').click()").await;
    // Seen ones come last, maybe behind the fold.
    let seen = "
        document.querySelector('.more[aria-expanded=false]')?.click();
        return document.querySelector('[data-alarm=test-rule]')?.textContent.includes('Seen by') ?? false;";
    page.wait("the acknowledgement to show", seen).await;
    let alerts = program.get("/api/v1/alerts");
    let alert = alerts["active"].as_array().expect("a list").iter().find(|alert| alert["rule"] == "test-rule");
    assert!(alert.expect("it goes on")["acknowledged"]["by"].is_string());
}

async fn overlay_and_theme_toggle(page: &Page) {
    let pressed = "return document.querySelector('[data-testid=overlay]').getAttribute('aria-pressed')";
    assert_eq!(page.run(pressed).await, json!("true"));
    page.click("overlay").await;
    assert_eq!(page.run(pressed).await, json!("false"), "a click switches the overlay off");
    page.click("overlay").await;
    assert_eq!(page.run(pressed).await, json!("true"), "and on again");

    let theme = "return document.documentElement.dataset.theme";
    let before = page.run(theme).await;
    page.click("theme").await;
    let after = page.run(theme).await;
    assert!(matches!((before.as_str(), after.as_str()), (Some("light"), Some("dark")) | (Some("dark"), Some("light"))));
    page.click("theme").await;
}
