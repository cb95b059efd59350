//! Each kind of body, read back as its receiver would.

use serde_json::Value;

use super::super::machine::{Alert, Note};
use super::super::rules::testing::at;
use super::*;

fn change(what: What, text: &str) -> Change {
    let note = |by: &str| Note { by: by.into(), at: at(70), comment: Some("on my way".into()) };
    let over = what == What::Resolved;
    let alert = Alert {
        id: "alert_1".into(),
        rule: "gpu-hot".into(),
        subject: "GPU-1".into(),
        severity: Severity::Critical,
        machine: true,
        text: text.into(),
        value: Some(91.0),
        since: at(0),
        fired_at: at(60),
        acknowledged: Some(note("anna")),
        resolved_at: over.then(|| at(90)),
        resolved_by: None,
    };
    Change { what, at: at(if over { 90 } else { 60 }), alert }
}

fn json(changes: &[Change], kind: DestinationKind) -> Value {
    let notice = Notice { at: at(90), line: "press-3", changes };
    serde_json::from_str(&notice.body(kind).unwrap()).unwrap()
}

#[test]
fn plain_json_has_the_shape_of_standard_webhooks() {
    let fired = json(&[change(What::Fired, "91 °C")], DestinationKind::Webhook);
    assert_eq!((&fired["type"], &fired["timestamp"]), (&"alert.fired".into(), &at(90).to_string().into()));
    assert_eq!(fired["data"]["changes"][0]["alert"]["rule"], "gpu-hot");
    assert_eq!(fired["data"]["changes"][0]["alert"]["acknowledged"]["by"], "anna");
    let both = json(&[change(What::Fired, "x"), change(What::Resolved, "y")], DestinationKind::Webhook);
    assert_eq!((&both["type"], both["data"]["changes"].as_array().unwrap().len()), (&"alerts.changed".into(), 2));
}

#[test]
fn slack_shows_hostile_text_as_text() {
    let body = json(&[change(What::Fired, "<!channel> <http://evil|click> & more")], DestinationKind::Slack);
    let shown = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(shown.contains("&lt;!channel&gt;") && !shown.contains("<!"), "{shown}");
    assert!(!body["text"].as_str().unwrap().contains('<'));
    let many: Vec<Change> = (0..60).map(|n| change(What::Fired, &n.to_string())).collect();
    let body = json(&many, DestinationKind::Slack);
    assert!(body["blocks"].as_array().unwrap().len() <= 50, "Slack takes no more");
}

#[test]
fn teams_gets_an_adaptive_card() {
    let body = json(&[change(What::Resolved, "[evil](http://x) cooled down")], DestinationKind::Teams);
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.4".into()));
    assert_eq!(
        (&card["body"][0]["text"], &card["body"][0]["color"]),
        (&"RESOLVED · line press-3".into(), &"good".into())
    );
    assert!(card["body"][1]["text"].as_str().unwrap().starts_with("\\[evil\\]\\("), "{card}");
    assert_eq!(card["body"][2]["type"], "FactSet");
    let many: Vec<Change> = (0..200).map(|_| change(What::Fired, &"x".repeat(5000))).collect();
    assert!(json(&many, DestinationKind::Teams).to_string().len() < 28_000, "Teams takes no more");
}

#[test]
fn alertmanager_tells_start_and_end_by_the_same_labels() {
    let fired = json(&[change(What::Fired, "91 °C")], DestinationKind::Alertmanager);
    let over = json(&[change(What::Resolved, "60 °C")], DestinationKind::Alertmanager);
    assert_eq!(fired[0]["labels"], over[0]["labels"]);
    assert_eq!(fired[0]["labels"]["alertname"], "gpu-hot");
    assert!(fired[0]["endsAt"].as_str() > over[0]["endsAt"].as_str());
    assert_eq!(over[0]["endsAt"], at(90).to_string());
}

#[test]
fn the_subject_is_one_line_for_people() {
    let changes = [change(What::Fired, "91 °C"), change(What::Resolved, "60 °C")];
    let notice = Notice { at: at(90), line: "press-3", changes: &changes };
    assert_eq!(notice.subject(), "[press-3] CRITICAL gpu-hot: 91 °C and 1 more");
}

#[test]
fn an_email_says_what_is_wrong_in_its_first_lines() {
    let changes = [change(What::Fired, "91 °C, 5 under its limit"), change(What::Resolved, "cooled down")];
    let notice = Notice { at: at(90), line: "press-3", changes: &changes };
    let body = notice.body(DestinationKind::Email).unwrap();
    assert!(body.starts_with("CRITICAL on line press-3\n91 °C, 5 under its limit\n  Rule: gpu-hot\n"), "{body}");
    assert!(body.contains("RESOLVED on line press-3\ncooled down\n"), "{body}");
    let many: Vec<Change> = (0..60).map(|n| change(What::Fired, &n.to_string())).collect();
    let body = Notice { at: at(90), line: "press-3", changes: &many }.body(DestinationKind::Email).unwrap();
    assert!(body.contains("and 10 more"), "{body}");
}
