//! A line whose parts are called for over Modbus TCP, from outside: the real program, a real client. Addresses stand here as docs/PLC.md
//! has them, not as the program's own table.

mod asked;
mod hostile;
pub(crate) mod rig;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::rig::{Line, Plc, Said, TEN};
use crate::support::{inspectd, json, law, output, text, wait_for, words};

#[test]
fn five_hundred_parts_get_five_hundred_results_in_order() {
    // A camera of 1920 x 1200 pixels with a software trigger, through the whole line.
    let line = Line::of("genicam", "", "");
    let mut plc = line.plc();
    let beat = plc.wait("readiness", |said| said.trigger_ready).beat;
    let (mut part, mut read) = (0, Vec::new());
    for id in 1..=500 {
        plc.trigger(id, 0, "");
        let said = plc.wait("a result", |said| said.result_ready);
        assert!(said.part > part, "numbers on record grow");
        assert!(said.verdict > 0 && said.cause == 0, "the tiny model decides about everything: {said:?}");
        assert_eq!(said.accept, said.verdict == 1);
        assert!((1..=2).contains(&said.label) && (5000..=10_000).contains(&said.score), "{said:?}");
        assert_eq!((said.result_id, said.ack_id), (id, id));
        part = said.part;
        read.push((id, said.part, said.verdict));
        plc.acknowledge();
    }
    let said = plc.wait("another beat", |said| said.beat != beat);
    assert_eq!((said.missed, said.error_code, said.verdict), (0, 0, 0), "nothing is left behind: {said:?}");

    let report = json(&format!("{}/api/v1/plc", line.url));
    assert_eq!(law(&report["counts"]), 500);
    assert_eq!((&report["counts"]["acknowledged"], &report["counts"]["in_flight"]), (&500.into(), &0.into()));
    assert_eq!((&report["state"], report["recent"][0]["result"]["id"].as_u64()), (&"ready".into(), Some(500)));
    // The same on record: each call with the verdict that the PLC was given.
    wait_for("the records", || {
        (json(&format!("{}/api/v1/line", line.url))["store"]["acknowledged"] == 500).then_some(())
    });
    let view = json(&format!("{}/api/v1/line", line.url));
    // The fake camera takes pictures without a trigger, too: those are nobody's.
    let camera = |what: &str| view["source"]["statistics"][what].as_u64().expect("counted");
    assert_eq!((law(&view["counts"]), camera("pictures") - camera("unasked")), (500, 500));
    for (id, part, verdict) in read.into_iter().step_by(97) {
        let record = json(&format!("{}/api/v1/inspections/{part}", line.url));
        let word = ["no_decision", "pass", "fail", "review"][usize::from(verdict)];
        assert_eq!((&record["call"], &record["verdict"]), (&id.into(), &word.into()));
    }
    let (code, shown, stderr) = words(&output(&["plc", "show", "--url", &line.url]));
    assert_eq!(code, 0, "{stderr}");
    assert!(shown.contains("Modbus TCP server on 127.0.0.1:") && shown.contains("triggered 500"), "{shown}");
}

#[test]
fn triggers_that_come_twice_or_ask_for_another_recipe_are_refused_and_serials_are_kept() {
    let line = Line::start("recipes = [\"cap\", \"bracket\"]\n", "unit = 7\n");
    let mut plc = line.plc_of_unit(7);
    let said = plc.wait("readiness", |said| said.trigger_ready);
    assert_eq!(said.recipe, 2, "the index of the recipe in force");
    let refused = |plc: &mut Plc, id, recipe| {
        plc.raise(id, recipe, "");
        let said = plc.wait("an answer", |said| said.error || said.trigger_ack);
        assert!(!said.trigger_ack);
        plc.lower();
        plc.wait("calm", |said| !said.error);
        said.error_code
    };
    plc.trigger(9, 2, "WX-1704");
    let part = plc.wait("a result", |said| said.result_ready).part;
    assert_eq!(refused(&mut plc, 9, 2), 5, "it was taken already");
    assert_eq!([refused(&mut plc, 10, 3), refused(&mut plc, 10, 1)], [3, 4], "unknown, and not in force");
    plc.acknowledge();
    assert_eq!(refused(&mut plc, 9, 0), 5, "also after its result");
    plc.trigger(10, 0, "");
    assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, 10);
    plc.acknowledge();

    let counts = &json(&format!("{}/api/v1/plc", line.url))["counts"];
    assert_eq!(law(counts), 2);
    assert_eq!((&counts["doubled"], &counts["refused"], &counts["missed"]), (&2.into(), &2.into(), &0.into()));
    let record = wait_for("the record", || {
        let record = json(&format!("{}/api/v1/inspections?limit=5", line.url));
        record["items"].as_array()?.iter().find(|item| item["id"] == part).cloned()
    });
    assert_eq!(record["serial"], "WX-1704");
    // Another unit is not there, and nobody changes anything by it.
    assert!(line.plc_of_unit(8).try_read().is_err_and(|why| why.contains("Gateway")), "the wrong unit was answered");
}

#[test]
fn without_acknowledgement_eight_results_wait_and_each_further_trigger_is_missed() {
    let line = Line::start("ack_ms = 300\n", "");
    let mut plc = line.plc();
    plc.wait("readiness", |said| said.trigger_ready);
    for id in 1..=8 {
        plc.trigger(id, 0, "");
    }
    let said = plc.wait("the alarm", |said| said.ack_overdue);
    assert!(said.busy && !said.trigger_ready && said.result_ready);
    for id in 9..=13 {
        plc.raise(id, 0, "");
        let said = plc.wait("an answer", |said| said.error);
        assert_eq!((said.error_code, said.trigger_ack), (6, false));
        plc.lower();
        plc.wait("calm", |said| !said.error);
    }
    let said = plc.wait("all results", |said| said.missed == 5);
    assert_eq!(said.result_id, 1, "the first result stands where it stood");
    let report = json(&format!("{}/api/v1/plc", line.url));
    assert_eq!((&report["state"], &report["counts"]["waiting"]), (&"no_ack".into(), &8.into()));
    assert_eq!((law(&report["counts"]), &report["counts"]["missed"]), (8, &5.into()));
    let active = || json(&format!("{}/api/v1/alerts", line.url));
    let alert = |rule: &str| active()["active"].as_array()?.iter().find(|alert| alert["rule"] == rule).cloned();
    let told = wait_for("the alert", || alert("plc-no-ack"));
    assert!(told["text"].as_str().is_some_and(|text| text.contains("part 1 ")), "{told}");

    for id in 1..=8 {
        assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, id);
        plc.acknowledge();
    }
    let said = plc.wait("readiness", |said| said.trigger_ready && !said.busy && !said.ack_overdue);
    assert_eq!(said.missed, 5);
    plc.trigger(14, 0, "");
    assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, 14, "a missed one gets no result");
}

#[test]
fn a_killed_line_falls_silent_and_comes_back_with_safe_outputs() {
    let mut line = Line::start("", "");
    let mut plc = line.plc();
    let before = plc.wait("readiness", |said| said.trigger_ready);
    plc.trigger(1, 0, "");
    plc.wait("a result", |said| said.result_ready);
    line.program.signal("KILL");
    let since = Instant::now();
    while plc.try_read().is_ok() {
        assert!(since.elapsed() < TEN, "somebody still answers for a dead line");
    }
    line.again();
    let mut plc = line.plc();
    // From the very first answer on.
    let first = plc.read();
    assert!(!first.result_ready && first.verdict == 0 && !first.accept && first.result_id == 0, "{first:?}");
    let said = plc.wait("readiness", |said| said.trigger_ready);
    assert!(!said.result_ready && said.session != before.session, "what was triggered before gets no result");
    plc.trigger(2, 0, "");
    assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, 2);
}

#[test]
fn an_orderly_end_answers_what_was_taken_and_leaves_safe_outputs() {
    let line = Line::start("ack_ms = 20000\n", "");
    let mut plc = line.plc();
    plc.wait("readiness", |said| said.trigger_ready);
    for id in 1..=3 {
        plc.trigger(id, 0, "");
    }
    line.program.signal("TERM");
    let said = plc.wait("the end of readiness", |said| !said.trigger_ready);
    assert_eq!(said.error_code, 1);
    for id in 1..=2 {
        assert_eq!(plc.wait("a result", |said| said.result_ready).result_id, id);
        plc.acknowledge();
    }
    let mut last = plc.wait("the last result", |said| said.result_ready);
    assert_eq!(last.result_id, 3);
    plc.raise_ack();
    while let Ok(said) = plc.try_read() {
        last = said;
    }
    assert_eq!(last, Said::default(), "safe, until the connection went");
    let (status, _, stderr) = line.program.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("in_flight=0"), "{stderr}");
}

#[test]
fn the_simulator_finds_every_fault_noticed_and_mended() {
    let line = Line::start("ack_ms = 150\n", "");
    let address = line.address.to_string();
    let simulate = |more: &[&str]| {
        let arguments = [&["simulate", "line", "--plc", &address, "--json"], more].concat();
        let (code, stdout, stderr) = words(&inspectd(&arguments).output().expect("the program starts"));
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        assert_eq!(code, 0, "{more:?}: {stdout}");
        report
    };
    let plain = simulate(&["--parts", "100"]);
    assert_eq!((&plain["taken"], &plain["missed"]), (&100.into(), &0.into()));
    for (fault, times) in [("late-ack", 2), ("no-ack", 1), ("double-trigger", 3), ("drop-connection", 3)] {
        let report = simulate(&["--parts", "39", "--fault", fault]);
        assert!(report["faults"].as_u64() >= Some(times), "{fault}: {report}");
        assert!(report["recovery"].is_object() && (fault == "drop-connection" || report["detection"].is_object()));
        assert_eq!(report["doubled"].as_u64() > Some(0), fault == "double-trigger", "{report}");
        assert_eq!(report["missed"].as_u64() > Some(0), fault == "no-ack", "{report}");
    }
    law(&json(&format!("{}/api/v1/plc", line.url))["counts"]);
}

#[test]
fn check_says_what_is_wrong_with_the_way_to_the_plc() {
    let dir = tempfile::tempdir().expect("a folder");
    let check = |trigger: &str, plc: &str| {
        let file = rig::configure(dir.path(), "synthetic", trigger, plc);
        let (_, stdout, _) = words(&output(&["check", "--config", text(&file)]));
        stdout
    };
    let server = "[plc.modbus_server]\nlisten = \"127.0.0.1:0\"\n";
    for (trigger, plc, problem) in [
        ("by = \"plc\"\n", "", "`trigger.by` is `plc`, but there is none"),
        ("", &format!("[plc]\n{server}"), "`trigger.by` is `source`"),
        ("by = \"plc\"\nframe_ms = 0\n", &format!("[plc]\n{server}"), "`trigger.frame_ms` is 0"),
        (
            "by = \"plc\"\nframe_ms = 1500\n",
            &format!("[plc]\n{server}"),
            "`trigger.frame_ms` is 1500, but recipe `bracket`",
        ),
        ("by = \"plc\"\n", "[plc]\nack_ms = 100\n", "does not say how the PLC is reached"),
        ("by = \"plc\"\n", &format!("[plc]\nack_msec = 1\n{server}"), "`plc.ack_msec` is no key that is known here"),
        ("by = \"plc\"\n", &format!("[plc]\nrecipes = [\"cap\"]\n{server}"), "`plc.recipes` does not have `bracket`"),
        ("by = \"plc\"\n", "[plc.modbus_server]\nlisten = \"0.0.0.0:1502\"\n", "`plc.modbus_server.allow` is empty"),
        ("by = \"plc\"\n", "[plc.modbus_client]\nwrite_at = 10\n", "`plc.modbus_client.write_at` overlaps"),
        ("by = \"plc\"\n", "[plc.modbus_client]\n", "`plc.modbus_client.address` is missing"),
        (
            "by = \"plc\"\n",
            "[plc.modbus_server]\nlisten = \"203.0.113.7:1502\"\nallow = [\"203.0.113.9\"]\n",
            "203.0.113.7:1502 cannot be listened on",
        ),
    ] {
        let said = check(trigger, plc);
        assert!(said.contains(problem), "no word of {problem} in:\n{said}");
    }
    let sound = check("by = \"plc\"\n", &format!("[plc]\n{server}"));
    assert!(sound.contains("ok       Modbus TCP server on 127.0.0.1:") && sound.contains("can be run"), "{sound}");
}

#[test]
fn a_folder_that_has_ended_makes_the_line_not_ready() {
    let line = Line::of("folder", "", "");
    let mut plc = line.plc();
    plc.wait("readiness", |said| said.trigger_ready);
    let mut verdicts = Vec::new();
    for id in 1..=3 {
        plc.trigger(id, 0, "");
        let said = plc.wait("a result", |said| said.result_ready);
        verdicts.push((said.verdict, said.cause));
        plc.acknowledge();
    }
    assert_eq!(verdicts, [(1, 0), (2, 0), (0, 3)], "dark, bright, and no picture for the third");
    assert_eq!(plc.wait("the end", |said| !said.trigger_ready).error_code, 1);
    std::thread::sleep(Duration::from_millis(100));
    assert!(plc.read().error);
}
