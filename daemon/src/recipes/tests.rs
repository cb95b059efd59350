//! Which recipe a line begins with, and what a version may be.

use serde_json::json;

use super::*;

const FILE: &str = "# as it was written\nname = \"cap\"\nversion = 1\ndeadline_ms = 500\n";

fn table(text: &str) -> toml::Table {
    text.parse().expect("sound TOML")
}

fn made(recipes: &Recipes, change: &serde_json::Value) -> Result<Version, RecipesError> {
    let table = merged(table(FILE), change.as_object().expect("an object")).map_err(RecipesError::Unfit)?;
    recipes.save(table, Some("cap@1".into()), &"eve".into(), Some("brighter".into()))
}

#[test]
fn what_was_put_in_force_last_counts_until_the_file_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || Recipes::open(dir.path(), Path::new("/etc/line/cap.toml"), &[]).expect("a sound log");
    let recipes = open();
    assert_eq!(recipes.begin(FILE).expect("sound").tag(), "cap@1");
    let second = made(&recipes, &json!({ "deadline_ms": 400, "bundle": "new.bundle" })).expect("sound");
    assert_eq!((second.tag.as_str(), second.from.as_deref()), ("cap@2", Some("cap@1")));
    drop(recipes);
    // It was made, not put in force.
    let recipes = open();
    assert_eq!(recipes.begin(FILE).expect("sound").tag(), "cap@1");
    recipes.enforce("cap@2", &"eve".into(), None).expect("the disk is well");
    drop(recipes);
    let recipes = open();
    let recipe = recipes.begin(FILE).expect("sound");
    assert_eq!((recipe.tag().as_str(), recipe.deadline_ms), ("cap@2", 400));
    assert_eq!(recipe.bundle.as_deref(), Some(Path::new("/etc/line/new.bundle")), "relative to the configured file");
    assert_eq!(recipes.reload(FILE).expect("sound"), None, "nothing new in the file");
    drop(recipes);
    // Somebody edits the file: that is the last word.
    let edited = FILE.replace("version = 1", "version = 7");
    let recipes = open();
    assert_eq!(recipes.begin(&edited).expect("sound").tag(), "cap@7");
    assert_eq!(recipes.lock().next_version("cap"), 8);
    let tags: Vec<_> = recipes.lock().changeovers().iter().map(|it| it.tag.clone()).collect();
    assert_eq!(tags, ["cap@1", "cap@2", "cap@7"]);
    // A change without a new version is refused while the line runs.
    let sly = edited.replace("500", "300");
    assert!(recipes.reload(&sly).expect_err("refused").to_string().contains("raise it"));
}

#[test]
fn a_version_that_is_not_sound_is_not_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipes = Recipes::open(dir.path(), Path::new("cap.toml"), &[]).expect("an empty folder");
    recipes.begin(FILE).expect("sound");
    for (words, change) in [
        ("deadline_ms", json!({ "deadline_ms": 0 })),
        ("area", json!({ "regions": [{ "name": "a", "area": { "x": 0, "y": 0, "width": 0, "height": 5 } }] })),
        ("nonsense", json!({ "nonsense": 1 })),
        ("thresholds", json!({ "thresholds": { "scratch": 7.0 } })),
        ("no recipe can hold", json!({ "thresholds": [null] })),
        ("bytes", json!({ "golden_samples": { "shifts": vec!["06:00"; 10_000] } })),
    ] {
        let error = made(&recipes, &change).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(recipes.lock().versions().len(), 1);
    assert!(matches!(recipes.lock().get("cap@9"), Err(RecipesError::Unknown(_))));
}

#[test]
fn differences_are_named_key_by_key() {
    let before = table("name = 'a'\n[thresholds]\nscratch = 0.5\n[[regions]]\nname = 'lid'\narea = { x = 1, y = 2 }\n");
    let after = table("name = 'a'\nreview_as = 'accept'\n[[regions]]\nname = 'lid'\narea = { x = 9, y = 2 }\n");
    let said: Vec<_> = changed(&before, &after)
        .into_iter()
        .map(|it| (it.key, it.before.unwrap_or_default(), it.after.unwrap_or_default()))
        .collect();
    let change = |key: &str, before: &str, after: &str| (key.to_owned(), before.to_owned(), after.to_owned());
    assert_eq!(
        said,
        [
            change("regions[0].area.x", "1", "9"),
            change("review_as", "", "\"accept\""),
            change("thresholds.scratch", "0.5", "")
        ]
    );
    assert_eq!(changed(&before, &before), []);
}
