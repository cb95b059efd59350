//! Hostile configurations.

use super::*;

const GOOD: &str = r#"
format = 1
[line]
name = "press-3"
recipe = "bracket.toml"
[source]
kind = "folder"
path = "/srv/camera"
"#;

fn refused(text: &str) -> Vec<String> {
    let error = Config::parse(Path::new("/etc/inspectd/line.toml"), text).expect_err("must be refused");
    error.problems.iter().map(Problem::to_string).collect()
}

/// The one problem.
fn only(text: &str) -> String {
    let problems = refused(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn a_short_configuration_is_enough_and_paths_are_relative_to_it() {
    let config = Config::parse(Path::new("/etc/inspectd/line.toml"), GOOD).expect("good");
    assert_eq!(config.line.recipe, Path::new("/etc/inspectd/bracket.toml"));
    let SourceConfig::Folder(folder) = &config.source else { panic!("a folder was configured") };
    assert_eq!(folder.path, Path::new("/srv/camera"));
    let near =
        Config::parse(Path::new("/etc/inspectd/line.toml"), &GOOD.replace("/srv/camera", "parts")).expect("good");
    assert!(matches!(&near.source, SourceConfig::Folder(it) if it.path == Path::new("/etc/inspectd/parts")));
    assert_eq!(config.api, ApiSection::default());
    assert!(config.api.listen.ip().is_loopback());
    assert_eq!(config.store.dir, None);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
    let typo = GOOD.replace("recipe =", "recipy =");
    assert_eq!(
        refused(&typo),
        [
            "line 5: `line.recipy` is no key that is known here; did you mean `recipe`?",
            "line 3: `line.recipe` is missing: give the recipe's file"
        ]
    );
    let section = format!("{GOOD}[apy]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(only(&section), "line 9: `apy` is no key that is known here; did you mean `api`?");
    let far = format!("{GOOD}[api]\nzzzzzzzz = 1\n");
    assert!(only(&far).contains("known are: listen, hosts, max_viewers"), "{}", only(&far));
}

#[test]
fn a_source_names_its_own_keys() {
    let typo = GOOD.replace("path =", "pth =");
    assert_eq!(
        refused(&typo),
        ["line 8: `source.pth` is no key that is known here; did you mean `path`?", "line 6: `source.path` is missing"]
    );
    assert_eq!(
        only(&format!("{GOOD}mode = \"onse\"\n")),
        "line 9: `source.mode` is `onse`, which is not known; did you mean `once`?"
    );
    assert_eq!(
        only(&format!("{GOOD}rate = \"fast\"\n")),
        "line 9: `source.rate` is wrong: string \"fast\"; expected a number"
    );
    let path = refused(&GOOD.replace("\"/srv/camera\"", "3"));
    assert_eq!(path, ["line 8: `source.path` is wrong: integer `3`; expected text in quotes"]);
    let kind = only(&GOOD.replace("\"folder\"", "\"foldr\""));
    assert_eq!(kind, "line 7: `source.kind` is `foldr`, which is not known; did you mean `folder`?");
    assert_eq!(only(&GOOD.replace("kind =", "# kind =")), "line 6: `source.kind` is missing");
}

#[test]
fn wrong_types_are_named_without_rusts_words() {
    let wrong = |line: &str| only(&format!("{GOOD}{line}\n"));
    assert_eq!(
        wrong("[line.limits]\nworkers = \"two\""),
        "line 10: `line.limits.workers` is wrong: string \"two\"; expected a whole number, 0 or more, that is not too large"
    );
    assert!(wrong("[line.limits]\nworkers = -1").starts_with("line 10: `line.limits.workers` is wrong: integer `-1`"));
    assert!(wrong("[api]\nlisten = \"8787\"").contains("`api.listen`"));
    assert!(wrong("[api]\nhosts = [\"a\", 7]").contains("`api.hosts` is wrong: integer `7`; expected text in quotes"));
    assert!(wrong("[api]\nlisten = [1]").contains("`api.listen`"));
    assert!(wrong("[store]\nevidence = true").contains("`store.evidence`"));
}

#[test]
fn every_problem_is_listed_of_every_kind() {
    let text = r#"
format = 7
colour = "red"
[line]
name = "press 3"
[line.limits]
queue_depth = 0
workers = "many"
hang_millis = 3
[source]
kind = "folder"
path = ""
rate = -1.0
[api]
max_viewers = 0
hosts = ["http://line"]
[log]
level = "info,stages=loud"
"#;
    let problems = refused(text).join("\n");
    for key in [
        "line 3: `colour` is no key",
        "line 8: `line.limits.workers` is wrong",
        "line 9: `line.limits.hang_millis` is no key",
        "line 2: `format` is 7",
        "line 5: `line.name` is `press 3`",
        "line 4: `line.recipe` is missing",
        "line 7: `line.limits.queue_depth` is 0",
        "line 12: `source.path` is empty",
        "line 13: `source.rate` is -1",
        "line 15: `api.max_viewers` is 0",
        "line 16: `api.hosts` has `http://line`",
        "line 18: `log.level` cannot be used",
    ] {
        assert!(problems.contains(key), "no word of {key} in:\n{problems}");
    }
    assert_eq!(problems.lines().count(), 12, "{problems}");
}

#[test]
fn an_empty_file_says_what_it_needs() {
    let problems = refused("").join("\n");
    for key in ["`format` is missing", "`line.name` is missing", "`line.recipe` is missing", "`source` is missing"] {
        assert!(problems.contains(key), "{problems}");
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    assert!(only("format = 1\n[line\n").starts_with("line 2: not TOML"), "{}", only("format = 1\n[line\n"));
    assert!(only("format = 1\nformat = 1\n").contains("not TOML"));
}

#[test]
fn a_file_that_is_none_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    for (path, words) in [(dir.path().to_owned(), "is no text file"), (dir.path().join("gone.toml"), "cannot be read")]
    {
        let error = Config::load(&path).expect_err("no file").to_string();
        assert!(error.contains(words) && error.contains(&path.display().to_string()), "{error}");
    }
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    assert!(Config::load(&binary).expect_err("binary").to_string().contains("UTF-8"));
}

#[test]
fn a_recipe_is_read_as_strictly() {
    let path = Path::new("/etc/inspectd/bracket.toml");
    let good =
        "name = \"bracket\"\nversion = 3\nbundle = \"b.bundle\"\ndeadline_ms = 200\n[quality]\nsize = [512, 512]\n";
    let recipe = parse_recipe(path, good).expect("good");
    assert_eq!(recipe.bundle.as_deref(), Some(Path::new("/etc/inspectd/b.bundle")));
    let bad = "name = \"br@cket\"\nversion = 3\ndeadline = 200\n[quality]\nmin_sharpnes = 2\nmax_saturated = 1.5\n";
    let error = parse_recipe(path, bad).expect_err("bad");
    let words = error.to_string();
    assert!(words.contains("line 3: `deadline` is no key"), "{words}");
    assert!(
        words.contains("line 5: `quality.min_sharpnes` is no key that is known here; did you mean `min_sharpness`?"),
        "{words}"
    );
    assert!(words.contains("`deadline_ms` is missing"), "{words}");
}

mod any {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Config::parse(Path::new("x.toml"), &text);
        }

        #[test]
        fn a_line_changed_anywhere_never_panics(line in 0_usize..8, change in "[a-z0-9=\\[\\]\"'.{}, -]{0,20}") {
            let mut lines: Vec<&str> = GOOD.lines().collect();
            lines[line] = &change;
            let text = lines.join("\n");
            if let Err(error) = Config::parse(Path::new("x.toml"), &text) {
                prop_assert!(!error.problems.is_empty(), "refused without a reason: {text}");
            }
        }
    }
}

#[test]
fn the_examples_that_ship_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let config = Config::load(&folder.join("inspectd.toml")).expect("systemd/inspectd.toml");
    let recipe = load_recipe(&config.line.recipe).expect("systemd/recipe.toml");
    // What is commented out shows the defaults, so it must be accepted too.
    let everything = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).expect("an example");
        let open = |line: &str| {
            let body = line.strip_prefix("# ").filter(|body| body.starts_with('[') || body.contains(" = "));
            body.unwrap_or(line).to_owned()
        };
        text.lines().map(open).collect::<Vec<_>>().join("\n")
    };
    let full = Config::parse(&folder.join("inspectd.toml"), &everything("inspectd.toml")).expect("with every key");
    assert_eq!(
        (full.api, full.line.limits, full.store.evidence),
        (config.api, config.line.limits, config.store.evidence)
    );
    let full = parse_recipe(&folder.join("recipe.toml"), &everything("recipe.toml")).expect("with every key");
    assert_eq!((full.deadline_ms, full.quality.min_deviation), (recipe.deadline_ms, recipe.quality.min_deviation));
}
