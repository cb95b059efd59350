//! Twenty answers by key, and a model that comes into force and goes again, on the page.

use std::time::Duration;

use serde_json::json;
use system_tests::{Program, wait_for};

use crate::screen::{PATIENCE, Page};

/// Of each part what it really is: the simulated line knows. The keys are those that the page names.
pub(crate) async fn twenty_labels_by_key(page: &Page, program: &Program) {
    page.click("nav-review").await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let next = format!(
            "const part = document.querySelector('[data-testid=review]')?.dataset.part; return part && !{}.includes(part) ? part : null",
            json!(seen)
        );
        let part = page.wait("the next part", &next).await;
        let id = part.as_str().expect("an id").to_owned();
        seen.push(part);
        let truth = program.get(&format!("/api/v1/inspections/{id}"))["truth"]["label"].clone();
        let named = format!(
            "return document.querySelector('[data-testid=label][data-label={truth}]')?.getAttribute('aria-keyshortcuts') ?? null"
        );
        let key = page.run(&named).await;
        let key =
            key.as_str().and_then(|key| key.chars().next()).unwrap_or_else(|| panic!("no key for {truth}: {key}"));
        // The page takes no key for a part that nobody can have seen yet, so a person presses again.
        let gone = format!("return document.querySelector('[data-testid=review]')?.dataset.part !== '{id}'");
        let until = tokio::time::Instant::now() + PATIENCE;
        while page.run(&gone).await != json!(true) {
            assert!(tokio::time::Instant::now() < until, "part {id} takes no answer");
            page.press(key).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }
    wait_for("twenty labels", || (program.get("/api/v1/learning")["answers"]["labelled"] == 20).then_some(()));
    for part in seen {
        let id = part.as_str().expect("an id").to_owned();
        let (said, part) = (
            program.get(&format!("/api/v1/inspections/{id}/label")),
            program.get(&format!("/api/v1/inspections/{id}")),
        );
        assert_eq!(said["label"], part["truth"]["label"], "{said}");
    }
}

/// What a person said of twenty parts, the oddest of all, is not enough to learn nine kinds from.
pub(crate) fn colleagues_label_more(program: &Program) {
    let failed = program.get("/api/v1/inspections?verdict=fail&limit=180");
    for part in failed["items"].as_array().expect("a list").iter().filter(|part| part["has_image"] == true) {
        let answer = json!({ "answer": "label", "label": part["truth"]["label"] });
        program.post(&format!("/api/v1/inspections/{}/label", part["id"]), &answer);
    }
}

/// Trained by a click, promoted with a reason where the gate is against it, and rolled back.
pub(crate) async fn a_model_is_promoted_and_rolled_back(page: &Page, program: &Program) {
    let champion = || program.get("/api/v1/models")["champion"].clone();
    let first = champion();
    page.click("nav-models").await;
    page.click("train").await;
    // It yields to all else on the machine, so it may take its time.
    let until = tokio::time::Instant::now() + 5 * PATIENCE;
    let ended = "const job = document.querySelector('[data-testid=job]'); return ['done', 'failed'].includes(job?.dataset.state) ? job.dataset.state : null";
    let state = loop {
        let state = page.run(ended).await;
        if !state.is_null() {
            break state;
        }
        assert!(tokio::time::Instant::now() < until, "the training does not end: {}", program.get("/api/v1/jobs"));
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(state, json!("done"), "{}", program.get("/api/v1/jobs"));
    page.run("document.querySelector('[data-testid=model][data-state=candidate]').click()").await;
    let sure = "const button = document.querySelector('[data-testid=promote]'); if (!button) return null; button.click(); return true";
    page.wait("the candidate", sure).await;
    give_a_reason(page).await;
    let second = wait_for("the promotion", || Some(champion()).filter(|now| *now != first));
    let shown = format!(
        "return document.querySelector('[data-testid=model][data-state=champion]')?.textContent.includes('{}') ?? false",
        &second.as_str().expect("a digest")[..6]
    );
    page.wait("the new champion", &shown).await;
    page.run("document.querySelector('[data-testid=model][data-state=champion]').click()").await;
    let back = "const button = document.querySelector('[data-testid=roll-back]'); if (!button) return null; button.click(); return true";
    page.wait("the way back", back).await;
    give_a_reason(page).await;
    wait_for("the way back", || (champion() == first).then_some(()));
    let audit = program.get("/api/v1/audit")["items"].clone();
    let deeds: Vec<_> = audit.as_array().expect("a list").iter().map(|entry| entry["what"].clone()).collect();
    assert!(deeds.contains(&json!("model.promote")) && deeds.contains(&json!("model.rollback")), "{deeds:?}");
}

/// Where a field for a reason has opened, or a second press is asked for.
async fn give_a_reason(page: &Page) {
    let given = "
        const field = document.querySelector('[data-testid=reason-field]');
        if (field) {
          field.value = 'a walk';
          field.dispatchEvent(new Event('input', { bubbles: true }));
          field.form.requestSubmit();
          return true;
        }
        const sure = document.querySelector('[data-testid=promote].asked');
        sure?.click();
        return sure ? true : null;";
    page.wait("the question why", given).await;
}
