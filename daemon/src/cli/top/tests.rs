//! Drawn into memory: what stands on the screen, at every size and whatever the line answers.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};

use super::Wish;
use super::draw::draw;
use super::view::{Answers, Gone, Known, View, clean};

/// A line in its tenth minute.
fn answers() -> Answers {
    let times = |p50: u32, p99: u32| json!({ "p50_us": p50, "p95_us": p50, "p99_us": p99, "max_us": p99 });
    let stage = |name: &str, p50: u32, p99: u32| {
        let mut stage = times(p50, p99);
        stage["name"] = name.into();
        stage
    };
    let waits = |name: &str, waiting: u32| json!({ "stage": name, "waiting": waiting, "capacity": 8 });
    let part = |id: u64, verdict: &str, label: &str| {
        json!({ "id": id, "serial": format!("A-{id}"), "triggered_at": "2026-11-27T05:58:12Z", "verdict": verdict, "label": label,
                "scores": [{ "label": label, "score": 0.973 }], "ledger": { "total_us": 12_900, "marks": [] } })
    };
    Answers {
        line: json!({ "line": "press-3", "state": "running", "state_reason": null, "recipe": "bracket@4", "version": "0.1.0",
            "counts": { "triggered": 812, "pass": 790, "fail": 17, "review": 3, "no_decision": 1, "in_flight": 1 },
            "latency": times(12_900, 24_100), "deadline_ms": 500, "parts_per_s": 1.98, "started_at": "2026-11-27T05:58:12Z",
            "stages": [stage("prepare", 2_100, 4_000), stage("inspect", 9_000, 18_000), stage("decide", 100, 300)],
            "model": { "name": "default", "provider": "cpu" }, "store": { "state": "ok", "detail": null } }),
        trend: Ok(json!({ "points": (0..90).map(|at| json!({ "triggered": at % 7 })).collect::<Vec<_>>() })),
        parts: Ok(
            json!({ "items": [part(812, "pass", "good"), part(811, "fail", "scratch"), part(810, "no_decision", "")] }),
        ),
        health: Ok(json!({ "cpu": { "cores": 2, "busy_percent": 41.0 },
            "memory": { "total_bytes": 16_000_000_000_u64, "available_bytes": 9_000_000_000_u64, "own_bytes": 400_000_000 },
            "disks": [{ "path": "/var/lib/inspectd", "free_bytes": 184_200_000_000_u64, "days_left": 3.2 }],
            "gpus": { "cards": [{ "busy_percent": 30, "temperature_c": 61, "throttled_by": [] }], "trouble": null },
            "queues": { "stages": [waits("prepare", 0), waits("inspect", 8)], "records_pending": 2 } })),
        alerts: Ok(
            json!({ "active": [{ "severity": "warning", "rule": "disk", "text": "the disk fills up", "fired_at": "2026-11-27T06:00:00Z" }],
            "recent": [] }),
        ),
    }
}

fn view(answers: &Answers) -> View {
    View { url: "http://line".into(), known: Some(Known::of(answers)), colour: true, ..View::default() }
}

fn screen(view: &View, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| draw(frame, view)).expect("drawn");
    terminal
}

fn drawn(view: &View, width: u16, height: u16) -> String {
    screen(view, width, height).backend().to_string()
}

fn shows(screen: &str, words: &[&str]) {
    for word in words {
        assert!(screen.contains(word), "{word} is missing:\n{screen}");
    }
}

#[test]
fn a_small_terminal_shows_all_that_matters() {
    let screen = drawn(&view(&answers()), 80, 24);
    println!("{screen}");
    shows(
        &screen,
        &["● RUNNING  press-3  recipe bracket@4", "triggered =", "812", "790", "1.98", "12.9", "24.1 ms of 500 ms"],
    );
    shows(
        &screen,
        &["inspect", "8/8", "41 % of 2 cores", "! 184.2 GB free, full in 3 days", "30 %, 61 °C", "ok, 2 wait"],
    );
    shows(
        &screen,
        &["Alerts: 1 open", "warning disk: the disk fills up", "A-811", "scratch", "0.97", "no decision", "q end"],
    );
}

#[test]
fn a_state_has_a_word_and_its_reason() {
    let mut answers = answers();
    answers.line["state"] = "safe_hold".into();
    answers.line["state_reason"] = "the disk is full".into();
    shows(&drawn(&view(&answers), 80, 24), &["SAFE HOLD", "the disk is full"]);
    let gone = Gone { why: "no line answers".into(), seconds: 75 };
    let lost = View { gone: Some(gone), ..view(&answers) };
    shows(&drawn(&lost, 80, 24), &["NOT REACHABLE", "last heard 1 min 15 s ago: no line answers", "812"]);
    shows(&drawn(&View { known: None, ..lost }, 80, 24), &["NOT REACHABLE", "no line answers", "for 1 min 15 s"]);
    shows(&drawn(&View::default(), 80, 24), &["ASKING"]);
}

#[test]
fn a_lost_part_is_seen() {
    let mut answers = answers();
    answers.line["counts"]["pass"] = 789.into();
    shows(&drawn(&view(&answers), 80, 24), &["triggered ≠"]);
}

#[test]
fn without_colour_nothing_is_coloured() {
    let coloured = |colour| {
        let screen = screen(&View { colour, ..view(&answers()) }, 80, 24);
        screen.backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(true));
    assert!(!coloured(false));
}

#[test]
fn every_size_is_drawn() {
    let whole = View { help: true, paused: true, ..view(&answers()) };
    for width in [1, 2, 20, 63, 64, 80, 81, 200] {
        for height in [1, 2, 10, 17, 18, 24, 60] {
            for view in [&whole, &view(&answers()), &View::default()] {
                let screen = drawn(view, width, height);
                if (20..64).contains(&width) && height > 4 {
                    shows(&screen, &["small"]);
                }
            }
        }
    }
    shows(&drawn(&whole, 80, 24), &["HELD STILL", "the line's law"]);
}

#[test]
fn hostile_answers_draw_nothing_but_plain_characters() {
    let evil = format!("\u{1b}[2J\u{1b}]0;title\u{7}\r\n\u{9b}31m\u{202e}{}", "漢".repeat(100_000));
    let mut hostile = answers();
    for name in ["line", "state", "state_reason", "recipe", "version"] {
        hostile.line[name] = evil.as_str().into();
    }
    hostile.line["stages"] = json!([{ "name": evil, "p50_us": "many" }, 7, null]);
    hostile.line["counts"] =
        json!({ "triggered": u64::MAX, "pass": u64::MAX, "fail": u64::MAX, "review": -1, "no_decision": 1e300 });
    let parts =
        vec![json!({ "id": u64::MAX, "serial": evil, "verdict": evil, "label": evil, "triggered_at": evil }); 50];
    hostile.parts = Ok(json!({ "items": parts }));
    hostile.alerts =
        Ok(json!({ "active": vec![json!({ "severity": evil, "rule": evil, "text": evil }); 50], "recent": "none" }));
    for (width, height) in [(80, 24), (200, 60), (64, 18)] {
        let screen = screen(&view(&hostile), width, height);
        for cell in screen.backend().buffer().content() {
            assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
        }
    }
    assert_eq!(clean("a\u{1b}[31mb\u{202e}c"), "a·[31mb·c");
    // Of other shapes altogether.
    for nonsense in
        [Value::Null, json!([]), json!({}), json!("text"), json!({ "counts": [1], "model": 3, "latency": [] })]
    {
        let whole = Answers {
            line: nonsense.clone(),
            trend: Ok(nonsense.clone()),
            parts: Ok(nonsense.clone()),
            health: Ok(nonsense.clone()),
            alerts: Ok(nonsense),
        };
        drawn(&view(&whole), 80, 24);
    }
    let refused = Answers { parts: Err("the line says: not yours".into()), ..answers() };
    shows(&drawn(&view(&refused), 80, 24), &["not yours", "812"]);
}

#[test]
fn keys_do_what_the_help_says() {
    let key = |code, modifiers| Wish::of(KeyEvent::new(code, modifiers), false);
    let plain = KeyModifiers::NONE;
    assert_eq!(key(KeyCode::Char('q'), plain), Wish::End);
    assert_eq!(key(KeyCode::Esc, plain), Wish::End);
    assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::End);
    assert_eq!(key(KeyCode::Char('c'), plain), Wish::Nothing);
    assert_eq!(key(KeyCode::Char('p'), plain), Wish::Pause);
    assert_eq!(Wish::of(KeyEvent::new(KeyCode::Esc, plain), true), Wish::Help);
}
