//! Finding parts by words, by their like and by a picture, as a person does it.

use fantoccini::key::Key;
use serde_json::json;
use system_tests::Program;

use crate::screen::Page;

/// Ids of the rows in sight, once the list is one of likeness.
const ROWS: &str = "
    const rows = [...document.querySelectorAll('[data-testid=row]')].map((row) => Number(row.dataset.id));
    return document.querySelector('.list .head')?.textContent.includes('Likeness') && rows.length > 5 ? rows : null";

/// What is typed is read, and the rows are those of the interface.
pub(crate) async fn find_parts(page: &Page, program: &Program) {
    page.click("view-table").await;
    page.click("more-conditions").await;
    page.run("document.querySelector('[data-testid=words]').focus()").await;
    for key in "Kratzer oben flurbity".chars() {
        page.press(key).await;
    }
    page.press(Key::Enter.into()).await;
    let rows = page.wait("the parts that fit", ROWS).await;
    let expected = program.get("/api/v1/inspections/found?words=Kratzer%20oben&limit=120");
    let expected: Vec<u64> =
        expected["items"].as_array().expect("a list").iter().filter_map(|it| it["part"]["id"].as_u64()).collect();
    let rows: Vec<u64> = serde_json::from_value(rows).expect("ids");
    assert_eq!(rows, expected[..rows.len()]);
    let said = |name: &str| format!("return document.querySelector('[data-testid={name}]')?.textContent ?? null");
    assert_eq!(page.run(&said("understood")).await, json!("Understood: scratch, top"));
    assert_eq!(page.run(&said("unknown")).await, json!("Not understood: flurbity"));
    assert_eq!(
        page.run("return document.querySelector('[data-testid=export]')").await,
        json!(null),
        "an export knows no words"
    );
    assert_eq!(
        page.run("return decodeURIComponent(location.hash)").await,
        json!("#history/words=Kratzer+oben+flurbity")
    );
    page.keep_screenshot("history-words.png").await;
    page.click("verdict-pass").await;
    let passed = "
        const rows = [...document.querySelectorAll('[data-testid=row]')];
        return rows.length > 5 && rows.every((row) => row.dataset.verdict === 'pass')";
    page.wait("those of them that passed", passed).await;
    page.click("verdict-all").await;
}

pub(crate) async fn and_parts_find_their_like(page: &Page) {
    let rows = page.wait("the parts that fit", ROWS).await;
    page.run("document.querySelector('[data-testid=row]').click()").await;
    page.wait("the record", "return document.querySelector('[data-testid=alike]') !== null").await;
    page.click("alike").await;
    let of = format!(
        "return document.querySelector('[data-testid=by]')?.textContent === 'Like part {}' && document.querySelector('[data-testid=detail]') === null",
        rows[0]
    );
    page.wait("its like", &of).await;
    let alike = page.wait("its like", ROWS).await;
    assert_ne!(alike[0], rows[0], "the part itself is left out");
    page.keep_screenshot("history-like.png").await;
}

/// The picture of the first part, as a file that somebody chooses: that part is the most like it.
pub(crate) async fn and_a_picture_too(page: &Page) {
    let chosen = "
        const first = document.querySelector('[data-testid=row]').dataset.id;
        const picture = await (await fetch(`/api/v1/inspections/${first}/image`)).blob();
        const files = new DataTransfer();
        files.items.add(new File([picture], 'part.jpg', { type: picture.type }));
        const input = document.querySelector('[data-testid=picture-file]');
        input.files = files.files;
        input.dispatchEvent(new Event('change', { bubbles: true }));
        return first;";
    let chosen = page.run(&format!("return (async () => {{ {chosen} }})()")).await;
    let of = format!(
        "return document.querySelector('[data-testid=by]')?.textContent === 'Like the picture' && document.querySelector('[data-testid=row]')?.dataset.id === '{}'",
        chosen.as_str().expect("an id")
    );
    page.wait("the part itself first", &of).await;
    page.click("reset").await;
    page.wait("all parts", "return document.querySelector('[data-testid=by]') === null && document.querySelectorAll('[data-testid=row]').length > 5").await;
}
