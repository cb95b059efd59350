//! Regions and several cameras through the whole program; and two lines on one machine.

use std::fs;
use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};

use crate::support::{Program, agent, json, law, output, text, textured, tiny_bundle, wait_for, words};

/// A line whose parts two folders show, joined by the files' names.
fn configure(dir: &Path, recipe: &str) -> std::path::PathBuf {
    tiny_bundle(dir);
    fs::write(
        dir.join("recipe.toml"),
        format!("name = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n[evidence]\npass_fraction = 1.0\n{recipe}"),
    )
    .expect("written");
    let config = "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                  [access]\nmode = \"open\"\n[source]\nkind = \"views\"\n\
                  [[source.views]]\nname = \"top\"\nsource = { kind = \"folder\", path = \"top\", serial_from_name = true }\n\
                  [[source.views]]\nname = \"side\"\nsource = { kind = \"folder\", path = \"side\" }\n";
    fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

fn show(dir: &Path, view: &str, name: &str, level: u8) {
    fs::create_dir_all(dir.join(view)).expect("a folder");
    fs::write(dir.join(view).join(name), encode_png(textured(level, 96).view()).expect("a picture")).expect("written");
}

const BOTH: &str = "[[regions]]\nname = \"lid\"\nview = \"top\"\narea = { x = 10, y = 10, width = 60, height = 60 }\n\
                    [[regions]]\nname = \"thread\"\nview = \"side\"\ntiles = { size = 40 }\n";

#[test]
fn two_cameras_and_their_regions_make_one_verdict() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, top, side) in [("p1.png", 30, 40), ("p2.png", 30, 220), ("p3.png", 220, 40)] {
        show(dir.path(), "top", name, top);
        show(dir.path(), "side", name, side);
    }
    show(dir.path(), "top", "p4.png", 30);
    let config = configure(dir.path(), BOTH);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    wait_for("four parts on record", || {
        (json(&format!("{url}/api/v1/line"))["store"]["acknowledged"] == 4).then_some(())
    });
    assert_eq!(law(&json(&format!("{url}/api/v1/line"))["counts"]), 4);
    let parts = json(&format!("{url}/api/v1/inspections"));
    let of = |serial: &str| {
        let items = parts["items"].as_array().expect("a list");
        items.iter().find(|part| part["serial"] == serial).unwrap_or_else(|| panic!("{serial} in {parts}")).clone()
    };
    let said = |serial: &str| -> (String, Vec<(String, String)>) {
        let part = of(serial);
        let regions = part["regions"].as_array().expect("a list").iter();
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        (word(&part["verdict"]), regions.map(|it| (word(&it["region"]), word(&it["verdict"]))).collect())
    };
    let pair = |region: &str, verdict: &str| (region.to_owned(), verdict.to_owned());
    assert_eq!(said("p1").0, "pass");
    assert_eq!(said("p2"), ("fail".to_owned(), vec![pair("thread", "fail"), pair("lid", "pass")]));
    assert_eq!(said("p3"), ("fail".to_owned(), vec![pair("lid", "fail"), pair("thread", "pass")]));
    assert_eq!(of("p3")["regions"][0]["tile"], serde_json::json!([10, 10, 60, 60]), "of the joined picture");
    assert!(of("p2")["regions"][0]["tile"][0].as_u64() >= Some(96), "the side stands right of the top");
    let views = serde_json::json!([{"name": "top", "area": [0, 0, 96, 96]}, {"name": "side", "area": [96, 0, 96, 96]}]);
    assert_eq!(of("p2")["views"], views, "who shows a part knows which camera's picture is where");
    let lacks = of("p4");
    assert_eq!((&lacks["verdict"], &lacks["cause"]), (&"no_decision".into(), &"no_frame".into()));
    assert_eq!(lacks["detail"], "no picture of view `side` for p4");
    // What is kept is both, side by side.
    let id = of("p2")["id"].as_u64().expect("an id");
    let kept = wait_for("the picture", || {
        let path = format!("{url}/api/v1/inspections/{id}/image");
        let bytes = agent().get(path).call().ok()?.body_mut().read_to_vec().ok()?;
        models::image::decode(&bytes).ok()
    });
    assert_eq!((kept.width, kept.height), (192, 96));
    what_is_learned_is_the_tile_that_decided(
        dir.path(),
        &url,
        [of("p1")["id"].to_string(), of("p2")["id"].to_string()],
    );
    program.signal("TERM");
    let (status, _, err) = program.end();
    assert!(status.success(), "{err}");

    // Scores of the worst tile alone cannot decide anew; pictures can.
    let (code, out, err) = words(&output(&[
        "replay",
        "--from",
        "2020-01-01T00:00:00Z",
        "--to",
        "2100-01-01T00:00:00Z",
        "--config",
        text(&config),
        "--threshold",
        "scratch=0.9",
    ]));
    assert!(
        out.contains("looked at in several places") || err.contains("looked at in several places"),
        "{code} {out}{err}"
    );
}

/// Labels both parts and starts a training: its frozen pictures are tiles, not the joined pictures.
fn what_is_learned_is_the_tile_that_decided(dir: &Path, url: &str, [good, scratched]: [String; 2]) {
    for (part, label) in [(&good, "good"), (&scratched, "scratch")] {
        let (code, out, err) = words(&output(&["label", part, label, "--url", url]));
        assert_eq!(code, 0, "{out}{err}");
    }
    let (code, out, err) = words(&output(&["jobs", "start", "--reason", "to see", "--url", url]));
    assert_eq!(code, 0, "{out}{err}");
    let frozen = |part: &str| {
        let pattern = format!("line/{part}.png");
        let jobs = fs::read_dir(dir.join("state/jobs")).ok()?.filter_map(Result::ok);
        let path = jobs.map(|job| job.path().join("data").join(&pattern)).find(|path| path.is_file())?;
        models::image::decode(&fs::read(path).ok()?).ok()
    };
    let tile = wait_for("the frozen picture", || frozen(&scratched));
    assert_eq!((tile.width, tile.height), (40, 40));
    let mean = tile.data.iter().map(|&level| u64::from(level)).sum::<u64>() / tile.data.len() as u64;
    assert!((210..=230).contains(&mean), "the bright side, not the dark top: {mean}");
    let tile = wait_for("the other one", || frozen(&good));
    assert!(tile.width <= 60 && tile.height <= 60, "{} x {}", tile.width, tile.height);
}

#[test]
fn check_says_when_nobody_would_look_at_a_view() {
    let dir = tempfile::tempdir().expect("a folder");
    show(dir.path(), "top", "p1.png", 30);
    show(dir.path(), "side", "p1.png", 30);
    for (recipe, said) in [
        ("", "the recipe has no `[[regions]]`: give one to each of the views `top`, `side`"),
        ("[[regions]]\nname = \"lid\"\nview = \"top\"\n", "no region lies in view `side`: nobody would look at it"),
        ("[[regions]]\nname = \"lid\"\n", "`regions[0].view` is missing"),
        ("[[regions]]\nname = \"lid\"\nview = \"under\"\n", "`regions[0].view` is `under`; there are `top`, `side`"),
        ("[tiles]\nsize = 3\n", "`tiles.size` is 3"),
        ("[[regions]]\nname = \"lid\"\nview = \"top\"\nbundle = \"lost.bundle\"\n", "lost.bundle"),
    ] {
        let config = configure(dir.path(), recipe);
        let (code, out, _) = words(&output(&["check", "--config", text(&config)]));
        assert!(code == 1 && out.contains(said), "{said}: {out}");
        let (code, _, err) = words(&output(&["run", "--config", text(&config)]));
        assert!(code == 1 && err.contains("recipe"), "a line does not start with it: {said}: {err}");
    }
    let (code, out, _) = words(&output(&["check", "--config", text(&configure(dir.path(), BOTH))]));
    assert!(code == 0 && out.contains("2 regions of the picture"), "{out}");
}

#[test]
fn a_picture_from_a_file_is_cut_as_on_the_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    // Dark, with one bright corner: on the whole it is good.
    let mut image: Image = textured(30, 128);
    let bright = textured(230, 128);
    assert_eq!(image.format, PixelFormat::Rgb8);
    for y in 96..128 {
        let (from, to) = (3 * (y * 128 + 96), 3 * (y * 128 + 128));
        image.data[from..to].copy_from_slice(&bright.data[from..to]);
    }
    let picture = dir.path().join("part.png");
    fs::write(&picture, encode_png(image.view()).expect("a picture")).expect("written");
    let verdict = |tiles: &str| {
        let recipe = dir.path().join("recipe.toml");
        let head = format!("name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 900\n", text(&bundle));
        fs::write(&recipe, head + tiles).expect("written");
        let (_, out, err) = words(&output(&["inspect", "--json", "--recipe", text(&recipe), text(&picture)]));
        let line: serde_json::Value = serde_json::from_str(out.trim()).unwrap_or_else(|_| panic!("{out}{err}"));
        line["verdict"].as_str().expect("a verdict").to_owned()
    };
    assert_eq!([verdict(""), verdict("[tiles]\nsize = 32\n")], ["pass", "fail"]);
}

#[test]
fn two_lines_on_one_machine_do_not_touch_each_other() {
    let start = |name: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        tiny_bundle(dir.path());
        let recipe = "name = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n";
        fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
        let config = format!(
            "format = 1\n[line]\nname = \"{name}\"\nrecipe = \"recipe.toml\"\n[source]\nkind = \"synthetic\"\nsize = 128\nrate = 20.0\n\
             [store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n"
        );
        fs::write(dir.path().join("line.toml"), config).expect("written");
        let mut program = Program::start(&["run", "--config", text(&dir.path().join("line.toml"))]);
        let url = program.url();
        (dir, program, url)
    };
    let (left, dying, _) = start("left");
    let (_right, _living, url) = start("right");
    let decided = |url: &str| law(&json(&format!("{url}/api/v1/line"))["counts"]);
    wait_for("parts on the right", || (decided(&url) > 10).then_some(()));
    dying.signal("KILL");
    dying.end();
    let then = decided(&url);
    wait_for("more parts on the right", || (decided(&url) > then + 10).then_some(()));
    assert_eq!(json(&format!("{url}/api/v1/line"))["line"], "right");
    let mut again = Program::start(&["run", "--config", text(&left.path().join("line.toml"))]);
    let url = again.url();
    wait_for("parts on the left", || (decided(&url) > 10).then_some(()));
    assert_eq!(json(&format!("{url}/api/v1/line"))["line"], "left");
}
