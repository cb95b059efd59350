//! `inspectd cameras`, and a line with a camera, on the one that Aravis makes up inside the process.

use serde_json::Value;

use crate::support::{Program, inspectd, json, law, output, text, tiny_bundle, wait_for, words};

#[test]
fn a_camera_is_found_shown_set_and_looked_through() {
    let (code, out, err) = words(&output(&["cameras", "list", "--fake", "--json"]));
    assert_eq!(code, 0, "{err}");
    let cameras: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let fake = cameras.iter().find(|camera| camera["id"] == "Fake_1").expect("it is always there");
    assert_eq!((fake["model"].as_str(), fake["state"].as_str()), (Some("Fake"), Some("free")));

    let (code, out, err) = words(&output(&["cameras", "show", "--fake", "imageformat"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Aravis Fake") && out.contains("Width = 512  [1 to 2048]"), "{out}");
    assert!(out.contains("PixelFormat = Mono8") && !out.contains("ExposureTime"), "{out}");
    let (_, out, _) = words(&output(&["cameras", "show", "--fake", "--json", "PixelFormat"]));
    let shown: Value = serde_json::from_str(out.trim()).expect("one feature");
    assert_eq!((shown["access"].as_str(), shown["kind"].as_str()), (Some("read_write"), Some("enumeration")));

    let (code, out, _) = words(&output(&["cameras", "set", "--fake", "Width=640", "TestRegister=0x10"]));
    assert_eq!((code, out.as_str()), (0, "Width = 640\nTestRegister = 16  (asked for 0x10)\n"));
    for (value, said) in
        [("Width=9999", "from 1 to 2048"), ("Bogus=1", "no feature `Bogus`"), ("SensorWidth=1", "read only")]
    {
        let (code, _, err) = words(&output(&["cameras", "set", "--fake", value]));
        assert!(code == 1 && err.contains(said), "{value}: {err}");
    }
    let (code, _, err) = words(&output(&["cameras", "set", "--fake", "No name=1"]));
    assert!(code == 2 && err.contains("no feature's name"), "{err}");

    let dir = tempfile::tempdir().expect("a folder");
    let png = dir.path().join("part.png");
    let (code, out, err) = words(&output(&["cameras", "snap", "--fake", "-o", text(&png)]));
    assert!(code == 0 && out.contains("512 x 512 Mono8, brightness"), "{out}{err}");
    let image = models::image::decode(&std::fs::read(&png).expect("written")).expect("a picture");
    assert_eq!((image.width, image.height), (512, 512));
    let (code, _, err) = words(&output(&["cameras", "snap", "--fake", "-o", text(&png)]));
    assert!(code == 1 && err.contains("cannot be written"), "nothing is written over: {err}");

    let (code, out, err) = words(&output(&["cameras", "watch", "--fake", "--seconds", "1"]));
    assert!(code == 0 && out.contains("sharpness") && out.contains("/s  lost"), "{out}{err}");
}

#[test]
fn a_line_with_a_camera_says_what_it_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).expect("written");
    let config = |source: &str| {
        format!(
            "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [access]\nmode = \"open\"\n[source]\nkind = \"genicam\"\ninterface = \"fake\"\n{source}"
        )
    };
    write("recipe.toml", format!("name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 20000\n", text(&bundle)));
    write(
        "line.toml",
        config("name = \"top\"\ntrigger = { mode = \"software\", rate = 10.0 }\n[source.features]\nWidth = 256\n"),
    );
    let line = dir.path().join("line.toml");
    let mut program = Program::start(&["run", "--config", text(&line)]);
    let url = program.url();
    let view = wait_for("ten parts", || {
        let view = json(&format!("{url}/api/v1/line"));
        (law(&view["counts"]) >= 10).then_some(view)
    });
    let source = &view["source"];
    assert_eq!((source["name"].as_str(), source["kind"].as_str()), (Some("top"), Some("genicam")));
    assert_eq!(source["statistics"]["connected"], true, "{source}");
    assert!(source["statistics"]["pictures"].as_u64() >= Some(9), "{source}");
    program.signal("TERM");
    let (status, _, err) = program.end();
    assert!(status.success(), "{err}");

    write("line.toml", config("exposure_us = -3.0\nnonsense = 1\ntrigger = { mode = \"software\", rate = 0.0 }\n"));
    let (code, out, _) = words(&output(&["check", "--no-io", "--config", text(&line)]));
    assert!(code == 1 && out.contains("nonsense") && out.contains("exposure_us"), "{out}");
    write("line.toml", config("[source.features]\nWidht = 3\n"));
    let (code, out, _) = words(&output(&["check", "--config", text(&line)]));
    assert!(code == 1 && out.contains("no feature `Widht`"), "{out}");
}

#[test]
fn a_simulated_camera_that_goes_and_hangs_is_noticed_and_found_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let serial = format!("P{}", std::process::id());
    let recipe = format!("name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 20000\n", text(&bundle));
    std::fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [access]\nmode = \"open\"\n[source]\nkind = \"genicam\"\ninterface = \"gige\"\nserial = \"{serial}\"\nfrozen_after = 0\n"
    );
    std::fs::write(dir.path().join("line.toml"), config).expect("written");
    // The first only waits for the line; the line needs a camera to start with.
    let calm = Program::spawn(inspectd(&["simulate", "camera", "--serial", &serial]));
    std::thread::sleep(std::time::Duration::from_millis(800));
    if calm.printed().contains("does not start") || calm.printed().contains("ended at once") {
        return println!("SKIPPED: {}", calm.printed().trim());
    }
    let listed = words(&output(&["cameras", "list", "--json"])).1;
    if !listed.contains(&serial) {
        return println!(
            "SKIPPED: the simulated camera does not answer on the loopback (another one may have the port)"
        );
    }
    let mut line = Program::start(&["run", "--config", text(&dir.path().join("line.toml"))]);
    let url = line.url();
    calm.signal("TERM");
    calm.end();
    for fault in ["link-loss", "hang"] {
        let (code, out, err) = words(&output(&[
            "simulate", "camera", "--serial", &serial, "--fault", fault, "--faults", "1", "--url", &url, "--json",
        ]));
        assert_eq!(code, 0, "{out}{err}");
        let report: Value = serde_json::from_str(out.lines().last().expect("a report")).expect("JSON");
        let most = |what: &str| report[what]["max"].as_f64().expect("measured");
        println!("{fault}: noticed after {:.0} ms, found again after {:.0} ms", most("detection"), most("recovery"));
    }
    let view = json(&format!("{url}/api/v1/line"));
    assert!(view["source"]["statistics"]["lost"].as_u64() >= Some(2), "{}", view["source"]);
    law(&view["counts"]);
}
