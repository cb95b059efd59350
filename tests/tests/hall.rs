//! The screen in the hall, in a real browser.

mod screen;

use screen::{Browser, Page};
use serde_json::json;
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
