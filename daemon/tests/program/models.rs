//! `inspectd models`: signatures that lines demand, number formats, certificates.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command_line::sound;
use crate::support::{Program, jpeg, json, output, text, tiny_bundle, wait_for, words};

/// Makes a pair of keys; gives the public one.
fn keys(dir: &Path, name: &str) -> String {
    let out = dir.join(name);
    let (code, stdout, stderr) = words(&output(&["models", "keygen", "--no-password", "--out", text(&out)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("require_signature = true"), "{stdout}");
    let public = fs::read_to_string(out.with_extension("pub")).expect("the public key is written");
    public.lines().nth(1).expect("a second line").to_owned()
}

fn sign(dir: &Path, bundle: &Path, key: &str) {
    let key = dir.join(key);
    let (code, _, stderr) = words(&output(&["models", "sign", text(bundle), "--no-password", "--key", text(&key)]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn keys_sign_and_verify_and_are_never_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let public = keys(dir.path(), "maker");
    let mode = fs::metadata(dir.path().join("maker.key")).expect("the secret key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads the secret key");
    let (code, _, stderr) =
        words(&output(&["models", "keygen", "--no-password", "--out", text(&dir.path().join("maker"))]));
    assert!(code == 1 && stderr.contains("there already"), "{stderr}");

    let verify = |key: &str| words(&output(&["models", "verify", text(&bundle), "--key", key]));
    assert!(verify(&public).2.contains("not signed"));
    sign(dir.path(), &bundle, "maker.key");
    let (code, stdout, _) = verify(text(&dir.path().join("maker.pub")));
    assert!(code == 0 && stdout.contains("model:tiny") && stdout.contains(&public), "{stdout}");
    let (code, _, stderr) = verify(&keys(dir.path(), "stranger"));
    assert!(code == 1 && stderr.contains("none of the trusted keys"), "{stderr}");
}

#[test]
fn a_line_that_demands_signatures_starts_and_reloads_with_signed_models_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let public = keys(dir.path(), "maker");
    let mut settings = fs::read_to_string(&config).expect("text");
    settings.push_str(&format!("[models]\ntrusted_keys = [\"{public}\"]\nrequire_signature = true\n"));
    fs::write(&config, settings).expect("written");
    fs::write(dir.path().join("camera/a.jpg"), jpeg(100)).expect("written");
    for command in ["run", "check"] {
        let (code, stdout, stderr) = words(&output(&[command, "--config", text(&config)]));
        let said = format!("{stdout}{stderr}");
        assert!(code == 1 && said.contains("not signed") && said.contains("tiny.bundle.minisig"), "{command}: {said}");
    }
    let bundle = dir.path().join("tiny.bundle");
    sign(dir.path(), &bundle, "maker.key");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    wait_for("a part", || json(&format!("{url}/api/v1/inspections?limit=1"))["items"].get(0).cloned());
    // A second model, not signed: the recipe that names it is refused and the old one stays.
    fs::copy(&bundle, dir.path().join("other.bundle")).expect("copied");
    let recipe = "name = \"bracket\"\nversion = 2\nbundle = \"other.bundle\"\ndeadline_ms = 5000\n";
    fs::write(dir.path().join("bracket.toml"), recipe).expect("written");
    program.signal("HUP");
    wait_for("a refusal", || program.printed().contains("bracket@1 stays in force").then_some(()));
    assert!(program.printed().contains("other.bundle.minisig"), "{}", program.printed());
    program.signal("TERM");
    let (status, _, stderr) = program.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("signed by the trusted key"), "{stderr}");
}

#[test]
fn a_demo_with_a_trusted_key_refuses_other_models() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let public = keys(dir.path(), "maker");
    let (code, _, stderr) =
        words(&output(&["demo", "--parts", "1", "--no-serve", "--bundle", text(&bundle), "--trusted-key", &public]));
    assert!(code == 1 && stderr.contains("not signed"), "{stderr}");
}

#[test]
fn signatures_without_a_key_are_a_fault_of_the_configuration() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let settings = fs::read_to_string(&config).expect("text");
    for (more, said) in [
        ("[models]\nrequire_signature = true\n", "`models.require_signature` asks for signatures"),
        ("[models]\ntrusted_keys = [\"RWnonsense\"]\n", "`models.trusted_keys` cannot be used"),
        ("[models]\ntrusted = true\n", "`models.trusted` is no key"),
    ] {
        fs::write(&config, format!("{settings}{more}")).expect("written");
        let (code, stdout, _) = words(&output(&["check", "--no-io", "--config", text(&config)]));
        assert!(code == 1 && stdout.contains(said), "{stdout}");
    }
}

/// A folder of dark pictures (`good`) and bright ones (`scratch`).
fn data(dir: &Path) -> std::path::PathBuf {
    let data = dir.join("data");
    for (label, levels) in [("good", [20_u8, 40, 60]), ("scratch", [190, 210, 230])] {
        fs::create_dir_all(data.join(label)).expect("a folder");
        for level in levels {
            fs::write(data.join(label).join(format!("{level}.jpg")), jpeg(level)).expect("written");
        }
    }
    data
}

#[test]
fn a_model_is_shown_certified_and_exported_with_its_figures() {
    let dir = tempfile::tempdir().expect("a folder");
    let (bundle, data, state) = (tiny_bundle(dir.path()), data(dir.path()), dir.path().join("state"));
    let run = |arguments: &[&str]| {
        let (code, stdout, stderr) = words(&output(arguments));
        let json: Value = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (code, json, stderr)
    };
    let show = |bundle: &Path| run(&["models", "show", text(bundle), "--state", text(&state), "--json"]).1;
    let shown = show(&bundle);
    assert_eq!((&shown["manifest"]["name"], &shown["certified_here"]), (&"tiny".into(), &Value::Null));

    let (code, record, stderr) =
        run(&["models", "certify", text(&bundle), "--data", text(&data), "--state", text(&state), "--json"]);
    assert_eq!((code, &record["certified"], &record["images"]), (0, &true.into(), &8.into()), "{stderr}");
    let of =
        |name: &str| record["providers"].as_array().into_iter().flatten().find(|it| it["provider"] == name).cloned();
    assert_eq!(of("cpu").expect("the processor")["agreement"]["flips"], 0);
    if !Path::new("/proc/driver/nvidia").exists() {
        assert_eq!(of("tensorrt").expect("named all the same")["state"], "not_present");
    }
    assert_eq!(show(&bundle)["certified_here"]["bundle_sha256"], shown["sha256"]);

    for precision in ["fp16", "int8"] {
        let out = dir.path().join(format!("{precision}.bundle"));
        let export =
            ["models", "export", "--bundle", text(&bundle), "--precision", precision, "--out", text(&out), "--json"];
        if precision == "int8" {
            let (code, _, stderr) = run(&export);
            assert!(code == 1 && stderr.contains("give --data") && !out.exists(), "{stderr}");
        }
        let (code, made, stderr) = run(&[&export[..], &["--data", text(&data)]].concat());
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(made["agreement"]["flips"], 0);
        assert_eq!(
            (&made["export"]["original"]["accuracy"], &made["export"]["converted"]["accuracy"]),
            (&1.0.into(), &1.0.into())
        );
        let shown = show(&out);
        assert_eq!(shown["manifest"]["precision"], precision);
        assert_eq!(shown["certificate"]["compared_with"]["original"]["precision"], "fp32");
        let certify = ["models", "certify", text(&out), "--state", text(&state), "--json", "--original"];
        let (code, record, stderr) = run(&[&certify[..], &[text(&bundle)]].concat());
        assert_eq!((code, &record["beside_original"]["flips"]), (0, &0.into()), "{stderr}");
        let (code, _, stderr) = run(&[&certify[..], &[text(&out)]].concat());
        assert!(code == 1 && stderr.contains("is not what this model was converted from"), "{stderr}");
        // The new model runs as the old did.
        let picture = data.join("scratch/230.jpg");
        let (code, said, stderr) = run(&["inspect", "--bundle", text(&out), "--json", text(&picture)]);
        assert_eq!((code, &said["verdict"]), (0, &"fail".into()), "{stderr}");
        let (code, _, stderr) =
            run(&["models", "export", "--bundle", text(&out), "--precision", "fp16", "--out", text(&out)]);
        assert!(code == 1 && stderr.contains("already"), "{stderr}");
    }
    let (code, listed, _) = words(&output(&["models", "list", text(dir.path())]));
    assert!(code == 0 && ["tiny.bundle", "fp16", "int8"].iter().all(|name| listed.contains(name)), "{listed}");
}

#[test]
fn the_zoo_lists_what_networks_cost_and_measures_one() {
    let (code, table, stderr) = words(&output(&["models", "zoo"]));
    assert_eq!(code, 0, "{stderr}");
    let row = table.lines().find(|line| line.starts_with("resnet50 ")).expect("a row");
    for cell in ["torchvision", "224", "25557032", "4.089 G", "80.9 %", "torchvision mean/std"] {
        assert!(row.contains(cell), "`{cell}` in: {row}");
    }
    assert!(table.contains("resnet50: torchvision, IMAGENET1K_V2"), "{table}");

    let (code, listed, _) = words(&output(&["models", "zoo", "--json"]));
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((code, listed.len()), (0, 13));
    let caffe: Vec<&Value> = listed.iter().filter(|row| row["preprocessing"]["order"] == "bgr").collect();
    assert!(caffe.len() == 1 && caffe[0]["name"] == "vgg19", "{caffe:?}");

    let (code, measured, stderr) = words(&output(&["models", "zoo", "mobilenet_v3_small", "--measure", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let row: Value = serde_json::from_str(&measured).expect("JSON");
    let figure = |name: &str| row["measured"][name].as_f64().unwrap_or(0.0);
    // Its weights alone take ten million bytes.
    assert!(figure("latency_ms") > 0.0 && figure("memory_bytes") > 10e6, "{row}");
    let (code, table, stderr) = words(&output(&["models", "zoo", "mobilenet_v3_small", "mobilenet_v2", "--measure"]));
    assert!(code == 0 && table.contains("Measured with random weights on"), "{table}{stderr}");

    let (code, _, stderr) = words(&output(&["models", "zoo", "resnet51"]));
    assert!(code == 2 && stderr.contains("there is no network `resnet51`") && stderr.contains("resnet50"), "{stderr}");
}
