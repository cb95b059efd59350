//! Every page is for everybody: nothing that axe-core finds serious, everything by keyboard, and soon there. The pages are those that the
//! navigation names, so a new one is looked at by itself.

#![allow(clippy::print_stdout)] // figures for whoever reads the log, and that a test was skipped

mod screen;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::key::Key;
use screen::{Browser, Page};
use serde_json::{Value, json};
use system_tests::{Program, agent, binary, synthetic_line};

/// What a page may weigh on its way here, packed.
const FIRST_LOAD_BYTES: u64 = 400 * 1024;
/// Far above what it takes on the slowest machine: the figure is printed, and compared by people.
const INTERACTIVE_WITHIN_MS: f64 = 30_000.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_page_shuts_anybody_out() {
    let (Some(binary), Some(axe), Some(browser)) = (binary(), axe(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = synthetic_line(&binary, state.path(), "127.0.0.1:0");
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            parts_are_there(&page).await;
            an_alarm_stands_over_every_page(&page, &program).await;
            page.run(&axe).await;
            let mut wrong = Vec::new();
            for theme in ["light", "dark"] {
                page.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
                for name in names(&page).await {
                    open(&page, &format!("#{name}")).await;
                    wrong.extend(serious(&page, "document", &format!("{name}, {theme}")).await);
                }
                wrong.extend(verdicts_can_be_read(&page, theme).await);
                // A part's record, over the page.
                open(&page, "#part/1").await;
                page.wait("the record", "return document.querySelector('[data-testid=detail][open]') !== null").await;
                wrong.extend(serious(&page, "document", &format!("a record, {theme}")).await);
                // A record that closes while somebody leaves already does not take the new address away.
                page.run("document.querySelector('[data-testid=detail]').close(); location.hash = '#live?kiosk'").await;
                page.wait("the kiosk", "return document.querySelector('[data-testid=kiosk]') !== null").await;
                wrong.extend(serious(&page, "document", &format!("kiosk, {theme}")).await);
                page.click("leave-kiosk").await;
            }
            for language in ["de", "zh"] {
                page.go(&format!("{}/?lang={language}", program.url)).await;
                parts_are_there(&page).await;
                page.run(&axe).await;
                for name in names(&page).await {
                    open(&page, &format!("#{name}")).await;
                    wrong.extend(serious(&page, "document", &format!("{name}, {language}")).await);
                }
            }
            assert!(wrong.is_empty(), "axe-core found {}:\n{}", wrong.len(), wrong.join("\n"));
            page.assert_nothing_left(&program.url);
        })
        .await;
}

/// So that its colours are looked at, too.
async fn an_alarm_stands_over_every_page(page: &Page, program: &Program) {
    let rule = json!({"severity": "critical", "when": {"kind": "reject_rate", "over_percent": 1, "min_parts": 1}});
    let put = agent().put(format!("{}/api/v1/alerts/rules/test-rule", program.url)).header("x-inspectd", "1");
    assert_eq!(put.send_json(&rule).expect("an answer").status(), 204);
    page.wait("the alarm", "return document.querySelector('[data-alarm=test-rule]') !== null").await;
}

/// What did not pass stays for two seconds, in colours of its own: it is looked at while it stands there.
async fn verdicts_can_be_read(page: &Page, theme: &str) -> Vec<String> {
    open(page, "#live").await;
    let shown = "return document.querySelector('[data-testid=verdict]')?.dataset.verdict === 'fail'";
    page.wait("a bad part", shown).await;
    serious(page, "'[data-testid=verdict]'", &format!("the verdict, {theme}")).await
}

/// What axe-core calls serious or critical in `of`, an expression of the page.
async fn serious(page: &Page, of: &str, place: &str) -> Vec<String> {
    let script = format!(
        "return axe.run({of}, {{ resultTypes: ['violations'] }}).then(({{ violations }}) => violations
            .filter((found) => ['serious', 'critical'].includes(found.impact))
            .map((found) => [found.id, found.help, ...found.nodes.map((node) => `${{node.target}}: ${{node.html.slice(0, 200)}}: ${{node.any[0]?.message}}`)].join('\\n    ')))"
    );
    let found: Vec<String> = serde_json::from_value(page.run(&script).await).expect("a list");
    found.into_iter().map(|found| format!("{place}: {found}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everything_is_reached_by_the_tab_key_and_seen_when_it_is() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = synthetic_line(&binary, state.path(), "127.0.0.1:0");
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            parts_are_there(&page).await;
            for name in names(&page).await {
                open(&page, &format!("#{name}")).await;
                walk(&page, &name).await;
            }
            open(&page, "#live?kiosk").await;
            page.wait("the kiosk", "return document.querySelector('[data-testid=kiosk]') !== null").await;
            walk(&page, "kiosk").await;
        })
        .await;
}

/// Tab by Tab through a page, until it begins anew: every control that was there at the start, and is still, had the focus; each showed it,
/// and stood on the screen then.
async fn walk(page: &Page, name: &str) {
    page.run(BEGIN).await;
    let all = page.run("return walk.wanted.size").await.as_u64().expect("a number");
    assert!(all > 0, "{name} has nothing to be reached");
    for step in 0.. {
        assert!(step < 3 * all + 60, "{name}: the focus does not come round: {}", page.run("return walk.path").await);
        page.press(Key::Tab.into()).await;
        let at = page.run(STEP).await;
        match at["problem"].as_str() {
            Some(problem) => panic!("{name}: {problem}: {}", at["what"]),
            None if at["round"] == json!(true) => break,
            None => {}
        }
    }
    let missed = page.run(MISSED).await;
    assert_eq!(missed, json!([]), "{name}: not reached by the Tab key");
    let forced = "return [...document.querySelectorAll('[tabindex]')].filter((e) => e.tabIndex > 0).map((e) => e.outerHTML.slice(0, 200))";
    assert_eq!(page.run(forced).await, json!([]), "{name}: an order of its own");
}

/// Of radio buttons of one name only one takes the Tab key; arrows go through the others.
const BEGIN: &str = "
    const there = (e) => e.isConnected && e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
    const takes = (e) => there(e) && !e.disabled && e.tabIndex >= 0 && !e.closest('[inert]') && !(e.type === 'radio' && !e.checked);
    document.activeElement?.blur();
    getSelection()?.removeAllRanges();
    window.scrollTo(0, 0);
    const all = document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]');
    window.walk = { wanted: new Set([...all].filter(takes)), seen: new Set(), path: [], takes };
    return true;";

const STEP: &str = "
    const e = document.activeElement;
    // Between the last and the first the focus is on nothing.
    if (!e || e === document.body || e === document.documentElement) {
      walk.last = null;
      return {};
    }
    // A field for a date takes the key once for the day, once for the month, and so on.
    if (e === walk.last) return {};
    walk.last = e;
    if (walk.seen.has(e)) return { round: true };
    walk.seen.add(e);
    const what = e.outerHTML.slice(0, 200);
    walk.path.push(what.slice(0, 60));
    const style = getComputedStyle(e);
    const ringed = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    if (!e.matches(':focus-visible') || !ringed) return { problem: 'the focus is not seen', what };
    const box = e.getBoundingClientRect();
    const onScreen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    return onScreen ? {} : { problem: 'the focus is off the screen', what };";

const MISSED: &str =
    "return [...walk.wanted].filter((e) => walk.takes(e) && !walk.seen.has(e)).map((e) => e.outerHTML.slice(0, 200))";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_page_is_light_and_soon_there() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = synthetic_line(&binary, state.path(), "127.0.0.1:0");
    // Who does not unpack gets the same files as they are.
    let plain = agent().get(format!("{}/", program.url)).header("accept-encoding", "identity").call();
    let mut plain = plain.expect("a page");
    assert!(plain.headers().get("content-encoding").is_none());
    assert!(plain.body_mut().read_to_string().expect("text").contains("<div id=\"app\">"));
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            parts_are_there(&page).await;
            let figures = page.run(FIGURES).await;
            let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("no `{name}` in {figures}"));
            println!(
                "first load: {:.0} KB in {} files (unpacked {:.0} KB); the page can be used after {:.0} ms, shows the line after {:.0} ms",
                number("bytes") / 1024.0, figures["files"], number("plain") / 1024.0, number("interactive"), number("live")
            );
            assert!(number("bytes") > 0.0 && number("bytes") * 2.0 < number("plain"), "not packed: {figures}");
            assert!(number("bytes") <= FIRST_LOAD_BYTES as f64, "{figures}");
            assert!(number("interactive") < INTERACTIVE_WITHIN_MS, "{figures}");
        })
        .await;
}

/// All that was loaded before the line's own data, and the page's own marks.
const FIGURES: &str = "
    const files = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter((entry) => !new URL(entry.name).pathname.startsWith('/api/'));
    const sum = (size) => files.reduce((all, file) => all + file[size], 0);
    const mark = (name) => performance.getEntriesByName(name)[0]?.startTime;
    return { bytes: sum('encodedBodySize'), plain: sum('decodedBodySize'), files: files.length,
             interactive: mark('interactive'), live: mark('live') };";

async fn parts_are_there(page: &Page) {
    page.wait("parts", "return document.querySelectorAll('[data-testid=tile]').length > 4").await;
}

/// The navigation's pages.
async fn names(page: &Page) -> Vec<String> {
    let script = "return [...document.querySelectorAll('[data-testid=nav] a')].map((a) => a.hash.slice(1))";
    let names: Vec<String> = serde_json::from_value(page.run(script).await).expect("names");
    assert!(names.len() >= 5 && names[0] == "live", "{names:?}");
    names
}

/// Goes there, and lets what it asks for arrive.
async fn open(page: &Page, hash: &str) {
    page.run(&format!("location.hash = {}", Value::from(hash))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    page.wait("the page's own part", "return document.querySelector('main > .page, [data-testid=kiosk]') !== null")
        .await;
    tokio::time::sleep(Duration::from_millis(900)).await;
}

/// The source of axe-core, of the page's development packages: it is put into the page by this test, and never shipped.
fn axe() -> Option<String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-ui/node_modules/axe-core/axe.min.js");
    match std::fs::read_to_string(&path) {
        Ok(source) => Some(source),
        Err(error) => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "{}: {error}, but CI must run this test",
                path.display()
            );
            println!("SKIPPED: {}: {error} (`npm ci` in web-ui)", path.display());
            None
        }
    }
}
