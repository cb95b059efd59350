//! Pictures of every page, for people to look at: two sizes, light and dark, where `INSPECTD_SCREENSHOTS` names a folder for them (`make
//! screenshots`); else one of each, in the target folder.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use system_tests::{Program, wait_for};

use crate::screen::Page;

const SIZES: [(u32, u32); 2] = [(1280, 800), (768, 1024)];
const THEMES: [&str; 2] = ["light", "dark"];

pub(crate) async fn of_every_page(page: &Page, program: &Program) {
    program.post("/api/v1/features", &json!({ "limit": 1000 }));
    page.go(&program.url).await;
    page.wait("parts", "return document.querySelectorAll('[data-testid=tile]').length > 4").await;
    wait_for("the map of features", || (program.get("/api/v1/features")["map"]["state"] == "done").then_some(()));
    let folder = std::env::var_os("INSPECTD_SCREENSHOTS").map(PathBuf::from);
    let (sizes, themes) = if folder.is_some() { (&SIZES[..], &THEMES[..]) } else { (&SIZES[..1], &THEMES[..1]) };
    let folder = folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages"));
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names =
        page.run("return [...document.querySelectorAll('[data-testid=nav] a')].map((a) => a.hash.slice(1))").await;
    let mut names: Vec<String> = serde_json::from_value(names).expect("names");
    names.push("live?kiosk".to_owned());
    if sizes.len() > 1 {
        // The curves have a course by then.
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    for &(width, height) in sizes {
        page.resize(width, height).await;
        for theme in themes {
            for name in &names {
                page.run(&format!("document.documentElement.dataset.theme = '{theme}'; location.hash = '{name}'"))
                    .await;
                tokio::time::sleep(Duration::from_millis(1200)).await;
                let cut = page.run("return document.documentElement.scrollWidth > innerWidth").await;
                assert_eq!(cut, false, "{name} is wider than {width} pixels");
                let file = format!("{}-{width}-{theme}.webp", name.replace("live?", ""));
                page.keep_webp(&folder.join(file)).await;
            }
            page.click("leave-kiosk").await;
        }
    }
    println!("pictures of every page: {}", folder.display());
}
