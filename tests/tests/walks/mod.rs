//! Walks through the pages that set a line up and check it: golden samples, regions drawn on a picture, the guided first run.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{Program, binary};

use crate::screen::{Browser, PATIENCE, Page};

fn demo(binary: &Path, state: &Path, defects: &str) -> Program {
    let state = state.to_str().expect("a plain path");
    let arguments =
        ["demo", "--listen", "127.0.0.1:0", "--rate", "6", "--defect-rate", defects, "--seed", "5", "--state", state];
    Program::start(binary, &arguments)
}

fn in_force(program: &Program) -> Value {
    let tag = program.get("/api/v1/recipes")["in_force"].as_str().expect("a recipe").replace('@', "%40");
    program.get(&format!("/api/v1/recipes/{tag}"))
}

async fn go(page: &Page, hash: &str) {
    page.run(&format!("location.hash = '{hash}'")).await;
}

/// Asks the program until it has an answer; the browser goes on meanwhile.
async fn until<T>(what: &str, patience: Duration, probe: impl Fn() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + patience;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(tokio::time::Instant::now() < end, "waited {patience:?} for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_that_judges_a_golden_sample_wrong_refuses_until_somebody_overrides() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    // Every part is good: the one that is shown as bad will pass.
    let program = demo(&binary, state.path(), "0");
    let url = program.url.clone();
    let samples = json!({ "golden_samples": { "on_changeover": true, "sample": [
        { "name": "GOOD-1", "known": "good" }, { "name": "BAD-1", "known": "bad" },
    ] } });
    let made = program.post("/api/v1/recipes", &json!({ "from": "demo@1", "change": samples, "reason": "walk" }));
    assert_eq!(made["tag"], "demo@2");
    program.post("/api/v1/recipes/demo%402/enforce", &json!({ "reason": "walk" }));
    browser
        .visit(&url, async move |page| {
            let alarm = "return document.querySelector('[data-alarm=not_ready]')?.textContent ?? null";
            let words = page.wait("the refusal on the live page", alarm).await;
            assert!(words.as_str().is_some_and(|it| it.contains("Not ready") && it.contains("golden samples are due")), "{words}");
            page.keep_screenshot("golden-live.png").await;
            page.run("document.querySelector('[data-alarm=not_ready] a').click()").await;
            page.wait("the page of golden samples", "return !!document.querySelector('[data-testid=golden-start]')").await;
            page.click("golden-start").await;
            let over = "const run = document.querySelector('[data-testid=golden-run]'); return run?.dataset.outcome ?? null";
            assert_eq!(page.wait("the end of the run", over).await, json!("failed"));
            let standing = "const text = document.querySelector('[data-testid=golden-standing]').textContent; \
                            return text.includes('not ready') && text.includes('BAD-1 is bad and passed') ? text : null";
            page.wait("the reason in words", standing).await;
            page.keep_screenshot("golden-refused.png").await;
            let line = program.get("/api/v1/line");
            assert_eq!(line["state"], "not_ready");
            let decided = line["counts"]["pass"].clone();
            tokio::time::sleep(Duration::from_millis(700)).await;
            program.counts();
            assert_eq!(program.get("/api/v1/line")["counts"]["pass"], decided, "nothing passes meanwhile");

            page.click("golden-override").await;
            let typed = "const field = document.querySelector('[data-testid=reason-field]'); if (!field) return null; \
                         field.value = 'walk: the sample is at the lab'; field.dispatchEvent(new Event('input', { bubbles: true })); \
                         field.form.requestSubmit(); return true";
            page.wait("the reason's field", typed).await;
            let going = "return document.querySelector('[data-testid=golden]')?.dataset.refused === 'no'";
            page.wait("the line to go on", going).await;
            page.keep_screenshot("golden.png").await;
            until("readiness", PATIENCE, || (program.get("/api/v1/line")["state"] == "running").then_some(())).await;
            let proof = &program.get("/api/v1/golden")["proof"];
            assert_eq!(proof["reason"], "walk: the sample is at the lab");
            let audit = program.get("/api/v1/audit");
            let entries = audit["items"].as_array().expect("a list");
            assert!(entries.iter().any(|entry| entry["what"] == "golden.override"), "{audit}");
            page.assert_quiet_console();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_region_is_drawn_and_comes_into_force() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path(), "0.6");
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            until("a part whose picture is kept", PATIENCE, || {
                let page = program.get("/api/v1/inspections?verdict=fail&limit=3");
                page["items"].as_array().filter(|items| items.len() == 3).map(|_| ())
            })
            .await;
            go(&page, "#setup/regions").await;
            page.wait("the picture", "return !!document.querySelector('[data-testid=setup-draw]')").await;
            page.drag("setup-draw", (0.35, 0.4), (0.55, 0.7)).await;
            page.wait("the region", "return !!document.querySelector('[data-testid=drawn-region]')").await;
            page.keep_screenshot("setup-regions.png").await;
            page.click("setup-save").await;
            page.wait("the version", "return document.querySelector('[data-testid=setup-made]')?.dataset.tag === 'demo@2'").await;
            let before = in_force(&program);
            assert_eq!(before["tag"], "demo@1", "it is made, not in force");
            page.click("setup-enforce").await;
            let typed = "const field = document.querySelector('[data-testid=reason-field]'); if (!field) return null; \
                         field.value = 'walk: only the middle'; field.dispatchEvent(new Event('input', { bubbles: true })); \
                         field.form.requestSubmit(); return true";
            page.wait("the reason's field", typed).await;
            let now = until("the changeover", PATIENCE, || Some(in_force(&program)).filter(|now| now["tag"] == "demo@2")).await;
            let region = &now["recipe"]["regions"][0];
            let side = |key: &str| region["area"][key].as_u64().unwrap_or_else(|| panic!("no {key} in {region}"));
            assert!(side("width") > 40 && side("height") > 40 && side("x") > 40 && side("y") > 40, "{region}");
            // What is inspected from now on is inspected there.
            let part = until("a part under it", PATIENCE, || {
                let newest = program.get("/api/v1/inspections?limit=1")["items"][0].clone();
                (newest["recipe"] == "demo@2" && newest["verdict"] != "no_decision").then_some(newest)
            })
            .await;
            assert_eq!(part["regions"][0]["region"], region["name"], "{part}");
            go(&page, "#setup/recipes").await;
            page.wait("the versions", "return document.querySelectorAll('[data-testid=recipe-version]').length === 2").await;
            page.run("document.querySelector('[data-testid=recipe-version]').click()").await;
            page.wait("what differs", "return document.querySelector('[data-testid=changes]')?.textContent.includes('regions[0].area.x') ?? false").await;
            page.keep_screenshot("setup-recipes.png").await;
            for (hash, ready, name) in [
                ("#setup/camera", "return document.querySelectorAll('[data-testid=setup-histogram] rect').length > 10", "setup-camera.png"),
                ("#setup/thresholds", "return !!document.querySelector('[data-testid=tradeoff]')", "setup-thresholds.png"),
                ("#setup/plc", "return document.querySelector('[data-testid=setup-signals]')?.textContent.includes('no PLC') ?? false", "setup-plc.png"),
                ("#health", "return document.querySelectorAll('[data-testid=health-stage]').length > 3 && !!document.querySelector('[data-testid=health-disk]')", "health.png"),
                ("#gauge", "return !!document.querySelector('[data-testid=gauge-new]')", "gauge.png"),
            ] {
                go(&page, hash).await;
                page.wait(hash, ready).await;
                page.keep_screenshot(name).await;
            }
            program.counts();
            page.assert_quiet_console();
        })
        .await;
}

/// Learning gets what the line leaves over, on a machine that is busy with other tests.
const LEARNING: Duration = Duration::from_secs(170);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_guided_first_run_ends_with_a_line_that_knows_good_parts() {
    let (Some(binary), Some(browser)) = (binary(), Browser::start()) else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path(), "0");
    let url = program.url.clone();
    browser
        .visit(&url, async move |page| {
            go(&page, "#setup").await;
            let ready = "const button = document.querySelector('[data-testid=lesson-begin]'); return !!button && !button.disabled";
            page.wait("a first part", ready).await;
            page.keep_screenshot("setup-guide.png").await;
            page.click("lesson-begin").await;
            let shown = until("twenty good parts", PATIENCE, || {
                let lesson = program.get("/api/v1/setup")["lesson"].clone();
                (lesson["on"] == false && lesson["parts"].as_array().is_some_and(|it| it.len() == 20)).then_some(lesson)
            })
            .await;
            let first = program.get(&format!("/api/v1/inspections/{}", shown["parts"][0]));
            assert_eq!(first["check"]["purpose"], "set_up", "{first}");
            page.wait("the button", "const it = document.querySelector('[data-testid=learn]'); return !!it && !it.disabled").await;
            page.keep_screenshot("setup-guide-learn.png").await;
            page.click("learn").await;
            let setup = until("the end of learning", LEARNING, || {
                let setup = program.get("/api/v1/setup");
                matches!(setup["learning"].as_str(), Some("done" | "failed")).then_some(setup)
            })
            .await;
            assert_eq!(setup["learning"], "done", "{setup}");
            let now = in_force(&program);
            assert_eq!((&now["tag"], now["recipe"]["bundle"].is_string()), (&"demo@2".into(), true), "{now}");
            let labels = program.get("/api/v1/line")["model"]["labels"].clone();
            let names: Vec<_> = labels.as_array().expect("a list").iter().map(|label| label["name"].clone()).collect();
            assert_eq!(names, ["good", "anomaly"]);
            until("parts that it decides", PATIENCE, || {
                let newest = program.get("/api/v1/inspections?limit=1")["items"][0].clone();
                (newest["recipe"] == "demo@2" && newest["verdict"] != "no_decision").then_some(())
            })
            .await;
            page.wait("the last step", "return !!document.querySelector('[data-testid=setup-done]')").await;
            page.keep_screenshot("setup-done.png").await;
            program.counts();
            page.assert_quiet_console();
        })
        .await;
}
