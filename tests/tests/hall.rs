//! The screen in the hall, and the map of what parts look like, in a real browser.

mod screen;

use std::time::Duration;

use fantoccini::key::Key;
use screen::{Browser, PATIENCE, Page};
use serde_json::{Value, json};
use system_tests::{Program, agent, binary, synthetic_line};

const SHOWN: &str = "return document.querySelector('[data-testid=kiosk]') !== null";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_screen_in_the_hall_shows_the_line_alone_and_heals() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = synthetic_line(&binary, state.path(), "127.0.0.1:0");
    let url = program.url.clone();
    browser
        .visit(&format!("{url}/#live?kiosk"), async move |page| {
            page.wait("the kiosk", SHOWN).await;
            page.wait("a verdict", "return !!document.querySelector('[data-testid=verdict]')?.dataset.verdict").await;
            let alone = "return document.querySelector('[data-testid=nav]') === null && location.hash === ''";
            assert_eq!(page.run(alone).await, json!(true), "nothing but the line");
            let state = "return document.querySelector('[data-testid=kiosk-state]').textContent.trim()";
            page.wait("the line to run", &format!("{state} === 'Running'")).await;
            let last = "return document.querySelectorAll('[data-testid=kiosk-strip] li').length";
            page.wait("the last parts", &format!("{last} === 12")).await;
            let large = "
                const size = (name) => parseFloat(getComputedStyle(document.querySelector(name)).fontSize);
                const fits = document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth;
                return fits && size('[data-testid=verdict] .word') >= 60 && size('[data-testid=kiosk-state] strong') >= 24;";
            assert_eq!(page.run(large).await, json!(true), "to be read from three metres, on one screen");
            an_alarm_is_acknowledged_with_a_glove(&page, &program).await;
            page.keep_screenshot("kiosk.png").await;

            // The screen is loaded anew, as with every new daemon, and nobody stands there.
            page.go(&format!("{}/", program.url)).await;
            page.wait("the kiosk, still", SHOWN).await;
            let address = program.url.trim_start_matches("http://").to_owned();
            program.kill();
            let lost = "return document.querySelector('[data-testid=kiosk]')?.dataset.state === 'lost'
                && document.querySelector('[data-alarm=connection]') !== null";
            page.wait("the lost connection", lost).await;
            page.keep_screenshot("kiosk-lost.png").await;
            let folder = tempfile::tempdir().expect("a folder");
            let _program = synthetic_line(&binary, folder.path(), &address);
            let healed = "return document.querySelector('[data-testid=kiosk]')?.dataset.state === 'live'
                && document.querySelector('[data-alarm=connection]') === null";
            page.wait("the page to heal", healed).await;
            page.press('k').await;
            page.wait("all pages", "return document.querySelector('[data-testid=nav]') !== null").await;
        })
        .await;
}

async fn an_alarm_is_acknowledged_with_a_glove(page: &Page, program: &Program) {
    let rule = json!({"severity": "critical", "when": {"kind": "reject_rate", "over_percent": 1, "min_parts": 1}});
    let put = agent().put(format!("{}/api/v1/alerts/rules/test-rule", program.url)).header("x-inspectd", "1");
    assert_eq!(put.send_json(&rule).expect("an answer").status(), 204);
    let size = "
        const button = document.querySelector('[data-alarm=test-rule] [data-testid=acknowledge]');
        const box = button?.getBoundingClientRect();
        return box ? [box.width, box.height] : null;";
    let size: (f64, f64) = serde_json::from_value(page.wait("the alarm", size).await).expect("a size");
    assert!(size.0 >= 200.0 && size.1 >= 90.0, "a hand in a glove hits it: {size:?}");
    page.run("document.querySelector('[data-alarm=test-rule] [data-testid=acknowledge]').click()").await;
    let seen = "
        document.querySelector('.more[aria-expanded=false]')?.click();
        return document.querySelector('[data-alarm=test-rule]')?.textContent.includes('Seen by') ?? false;";
    page.wait("the acknowledgement", seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_heap_on_the_map_is_circled_and_sent_to_review() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = synthetic_line(&binary, state.path(), "127.0.0.1:0");
    let url = program.url.clone();
    browser
        .visit(&format!("{url}/#features"), async move |page| {
            let until = tokio::time::Instant::now() + PATIENCE;
            while program.counts().triggered < 60 {
                assert!(tokio::time::Instant::now() < until, "the line makes no parts");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            page.wait("the page", "return document.querySelector('[data-testid=draw]') !== null").await;
            page.click("draw").await;
            let drawn =
                "return Number(document.querySelector('[data-testid=feature-map]')?.dataset.points ?? 0) || null";
            let points = page.wait("the map", drawn).await.as_u64().expect("a number");
            let map = program.get("/api/v1/features/points");
            assert_eq!(
                map["ids"].as_array().map(Vec::len),
                Some(points as usize),
                "what is drawn is what the daemon has"
            );
            by_keyboard(&page).await;

            // Around everything: each part of the map is chosen.
            let field = "const box = document.querySelector('[data-testid=feature-map]').getBoundingClientRect();
                         return [box.left, box.top, box.right, box.bottom];";
            let [left, top, right, bottom]: [f64; 4] = serde_json::from_value(page.run(field).await).expect("a box");
            // Clear of the buttons at the upper left.
            let way = [
                (left + 70.0, top + 4.0),
                (right - 4.0, top + 4.0),
                (right - 4.0, bottom - 4.0),
                (left + 4.0, bottom - 4.0),
                (left + 4.0, top + 170.0),
            ];
            page.drag_along(&way).await;
            let chosen = "return Number(document.querySelector('[data-testid=chosen]').dataset.n) || null";
            let circled = page.wait("the choice", chosen).await.as_u64().expect("a number");
            assert!(circled * 10 >= points * 9, "{circled} of {points} were circled");
            // One kind alone, by the legend; the first is the most frequent.
            page.run("document.querySelector('[data-testid=kind]').click()").await;
            let some = page.wait("the kind's parts", chosen).await.as_u64().expect("a number");
            assert!(some < points, "{some} of {points}");
            page.keep_screenshot("features.png").await;
            page.click("to-review").await;
            page.wait(
                "the daemon's answer",
                "return document.querySelector('[data-testid=sent]')?.textContent ?? null",
            )
            .await;
            let queue = program.get("/api/v1/queue?limit=200");
            let asked = |item: &&Value| item["reasons"][0]["reason"] == "asked";
            let waiting = queue["items"].as_array().expect("a list").iter().filter(asked).count();
            assert!(waiting > 0, "{queue}");
            page.assert_quiet_console();
            page.assert_nothing_left(&program.url);
        })
        .await;
}

/// From part to part, chosen and opened without a pointer.
async fn by_keyboard(page: &Page) {
    page.run("document.querySelector('[data-testid=feature-map]').focus()").await;
    page.press(Key::Right.into()).await;
    page.press(Key::Right.into()).await;
    page.wait("a part to be looked at", "return document.querySelector('[data-testid=look]')?.textContent ?? null")
        .await;
    page.press(' ').await;
    page.wait("it to be chosen", "return document.querySelector('[data-testid=chosen]').dataset.n === '1'").await;
    page.press(Key::Enter.into()).await;
    page.wait("its record", "return document.querySelector('[data-testid=detail][open]') !== null").await;
    page.press(Key::Escape.into()).await;
    page.wait("the record to close", "return document.querySelector('[data-testid=detail]') === null").await;
    page.run("document.querySelector('[data-testid=feature-map]').focus()").await;
    page.press(Key::Escape.into()).await;
    page.wait("nothing to be chosen", "return document.querySelector('[data-testid=chosen]').dataset.n === '0'").await;
}
