//! `inspectd cameras`, and a line with a camera, on the one that Aravis makes up inside the process.

use serde_json::{Value, json as body};

use crate::support::{Program, agent, inspectd, json, law, output, text, tiny_bundle, wait_for, words};

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
fn a_simulated_camera_that_goes_hangs_or_freezes_is_noticed_and_found_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let serial = format!("P{}", std::process::id());
    let recipe = format!("name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 20000\n", text(&bundle));
    std::fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [access]\nmode = \"open\"\n[source]\nkind = \"genicam\"\ninterface = \"gige\"\nserial = \"{serial}\"\n"
    );
    std::fs::write(dir.path().join("line.toml"), config).expect("written");
    // The first only waits for the line; the line needs a camera to start with.
    let calm = Program::spawn(inspectd(&["simulate", "camera", "--serial", &serial]));
    std::thread::sleep(std::time::Duration::from_millis(800));
    if calm.printed().contains("does not start") {
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
    for fault in ["link-loss", "hang", "frozen"] {
        let (code, out, err) = words(&output(&[
            "simulate", "camera", "--serial", &serial, "--fault", fault, "--faults", "1", "--url", &url, "--json",
        ]));
        assert_eq!(code, 0, "{out}{err}");
        let report: Value = serde_json::from_str(out.lines().last().expect("a report")).expect("JSON");
        let most = |what: &str| report[what]["max"].as_f64().expect("measured");
        println!("{fault}: noticed after {:.0} ms, found again after {:.0} ms", most("detection"), most("recovery"));
    }
    let view = json(&format!("{url}/api/v1/line"));
    let statistics = &view["source"]["statistics"];
    assert!(statistics["lost"].as_u64() >= Some(2) && statistics["frozen"].as_u64() >= Some(1), "{statistics}");
    law(&view["counts"]);
}

#[test]
fn cameras_are_found_set_and_looked_through_over_http() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let mut demo =
        Program::start(&["demo", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)]);
    let url = demo.url();
    let get = |path: &str| json(&format!("{url}/api/v1/cameras{path}"));
    let refused = |method: &str, path: &str, body: Value| {
        let mut answer = sent(method, &format!("{url}/api/v1/cameras{path}"), &body);
        let status = answer.status().as_u16();
        let problem: Value = answer.body_mut().read_json().expect("a problem");
        (status, problem["detail"].as_str().expect("why").to_owned())
    };
    // What is no camera's name, or no feature, never reaches a driver.
    for (path, status) in [
        ("/picture", 400),
        ("/picture?camera=", 400),
        ("/picture?camera=%00", 400),
        (&*format!("/picture?camera={}", "x".repeat(201)), 400),
        ("/picture?camera=a&free=no", 400),
        ("/picture?camera=--help", 422),
        ("/picture?camera=no-such-camera", 422),
    ] {
        let (found, detail) = refused("POST", path, body!({}));
        assert_eq!(found, status, "{path}: {detail}");
        assert!(!detail.contains("Usage"), "{path}: {detail}");
    }
    let set = |values: Value| refused("PUT", "/features?camera=no-such-camera", body!({ "values": values }));
    assert_eq!(set(body!([])).0, 422);
    for (name, value) in [("No name", "1"), ("Width", ""), ("--config", "/etc/passwd"), ("Width", "1\n2")] {
        let (status, detail) = set(body!([{ "name": name, "value": value }]));
        assert!(status == 422 && !detail.contains("no camera"), "{name}={value}: {detail}");
    }

    let serial = format!("H{}", std::process::id());
    let camera = Program::spawn(inspectd(&["simulate", "camera", "--serial", &serial]));
    std::thread::sleep(std::time::Duration::from_millis(800));
    if camera.printed().contains("does not start") {
        return println!("SKIPPED: {}", camera.printed().trim());
    }
    let cameras = get("")["cameras"].clone();
    let Some(found) = cameras.as_array().expect("a list").iter().find(|camera| camera["serial"] == *serial) else {
        return println!("SKIPPED: the simulated camera does not answer on the loopback: {cameras}");
    };
    assert_eq!((&found["protocol"], &found["state"]), (&"GigEVision".into(), &"free".into()), "{found}");
    let features = get(&format!("/features?camera={serial}"))["features"].clone();
    let width = features.as_array().expect("a list").iter().find(|feature| feature["name"] == "Width").expect("it has");
    assert_eq!((&width["kind"], &width["access"]), (&"integer".into(), &"read_write".into()), "{width}");

    let path = format!("/features?camera={serial}");
    let mut answer = sent(
        "PUT",
        &format!("{url}/api/v1/cameras{path}"),
        &body!({ "values": [{ "name": "Width", "value": "640" }] }),
    );
    let values: Value = answer.body_mut().read_json().expect("values");
    assert_eq!(values, body!({ "values": [{ "name": "Width", "value": "640" }] }));
    let (status, detail) = refused("PUT", &path, body!({ "values": [{ "name": "Width", "value": "99999" }] }));
    assert!(status == 422 && detail.contains("from 1 to 2048"), "{detail}");
    let audit = json(&format!("{url}/api/v1/audit"));
    assert!(audit.to_string().contains("camera.set"), "{audit}");

    let mut answer = sent("POST", &format!("{url}/api/v1/cameras/picture?camera={serial}"), &body!({}));
    let picture: Value = answer.body_mut().read_json().expect("a picture");
    assert_eq!(
        (picture["width"].as_u64(), picture["height"].as_u64()),
        (Some(640), Some(512)),
        "{}",
        picture["detail"]
    );
    assert!(picture["picture"].as_str().expect("there").starts_with("data:image/"));
    let pixels: u64 = picture["histogram"].as_array().expect("64 steps").iter().filter_map(Value::as_u64).sum();
    assert_eq!(pixels, 640 * 512);
    camera.signal("TERM");
    camera.end();
    law(&json(&format!("{url}/api/v1/line"))["counts"]);
}

/// A request that changes something, as the page sends it.
fn sent(method: &str, url: &str, body: &Value) -> ureq::http::Response<ureq::Body> {
    let request = ureq::http::Request::builder().method(method).uri(url).header("x-inspectd", "1");
    let request = request.header("content-type", "application/json").body(body.to_string()).expect("a request");
    agent().run(request).expect("an answer")
}
