//! History and Quality in a real browser, served by the real program: what is found, exported and counted is what is on record.

mod screen;

use fantoccini::key::Key;
use screen::{Browser, Page};
use serde_json::json;
use system_tests::{Program, agent, binary, wait_for};

const PARTS: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn parts_are_found_looked_at_exported_and_counted() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let state = state.path().to_str().expect("a plain path");
    // So many parts and no more: what is counted must not change meanwhile.
    let parts = PARTS.to_string();
    let demo = ["demo", "--listen", "127.0.0.1:0", "--rate", "20", "--defect-rate", "0.5", "--seed", "11"];
    let program = Program::start(&binary, &[&demo[..], &["--parts", &parts, "--state", state]].concat());
    wait_for("all parts", || (program.get("/api/v1/inspections/count")["parts"] == PARTS).then_some(()));
    let url = program.url.clone();
    browser
        .visit(&format!("{url}/#history"), async move |page| {
            the_list_holds_every_part(&page).await;
            a_filter_and_the_detail(&page, &program).await;
            an_export_is_read_again(&page, &program).await;
            pictures_are_shown(&page).await;
            quality_counts_what_is_on_record(&page, &program).await;
            page.assert_quiet_console();
            page.assert_nothing_left(&program.url);
        })
        .await;
}

/// The count, and by scrolling to the end every part once, newest first.
async fn the_list_holds_every_part(page: &Page) {
    let counted = "return Number(document.querySelector('[data-testid=history]')?.dataset.count || 0) || null";
    assert_eq!(page.wait("the count", counted).await, json!(PARTS));
    assert!(page.title().await.starts_with("History: "));
    let scrolled = "
        const list = document.querySelector('[data-testid=list]');
        window.seen ??= new Set();
        document.querySelectorAll('[data-testid=row]').forEach((row) => window.seen.add(Number(row.dataset.id)));
        list.scrollTop += list.clientHeight / 2;
        return list.textContent.includes('No older parts') && list.scrollTop + list.clientHeight >= list.scrollHeight - 2
            ? [...window.seen] : null;";
    let seen = page.wait("the end of the list", scrolled).await;
    let mut seen: Vec<u64> = serde_json::from_value(seen).expect("ids");
    seen.sort_unstable();
    assert_eq!(seen.len() as u64, PARTS);
    let drawn = page.run("return document.querySelectorAll('[data-testid=row]').length").await;
    assert!(drawn.as_u64() < Some(60), "only what is in sight is drawn: {drawn}");
    page.keep_screenshot("history.png").await;
}

async fn a_filter_and_the_detail(page: &Page, program: &Program) {
    page.click("verdict-fail").await;
    let fail = program.get("/api/v1/inspections/count?verdict=fail")["parts"].as_u64().expect("a number");
    assert!(fail > 10);
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
        let shown =
            format!("return document.querySelector('[data-testid=quality] [data-testid={verdict}]').textContent");
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
