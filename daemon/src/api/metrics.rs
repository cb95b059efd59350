//! `/metrics`: the line and its machine in Prometheus' text format, by its conventions for names and units. docs/METRICS.md has the
//! list, and rules and a dashboard that use it.
//!
//! Nothing is counted here: each figure is the line's own, read when somebody asks.

mod family;

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::TEXT_FORMAT;
use stages::line::{LineState, LineStatus, StageQueue};

use self::family::Families;
use super::Api;
use super::problem::Problem;
use crate::health::{ClockState, HealthReport};
use crate::supervise::Board;

/// The line and its machine, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let mut families = Families::new(&api.board.name);
    let status = api.board.line.status();
    of_line(&mut families, &api.board, &status);
    of_camera(&mut families, &status);
    of_records(&mut families, &api.board);
    of_people(&mut families, &api.board);
    of_machine(&mut families, &api.board.alerts.health());
    let text = families.text().map_err(|error| Problem::internal(format!("/metrics: {error}")))?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

fn of_line(families: &mut Families, board: &Board, status: &LineStatus) {
    let counts = status.counts;
    families.counter("parts_triggered_total", "Parts that were triggered.", counts.triggered);
    families.counters(
        "parts_total",
        "Parts with a verdict, by verdict.",
        "verdict",
        [("pass", counts.pass), ("fail", counts.fail), ("review", counts.review), ("no_decision", counts.no_decision)],
    );
    families.gauge("parts_in_flight", "Parts without a verdict yet.", counts.in_flight as f64);
    families.times("verdict_latency_seconds", "Trigger to verdict.", &status.latency);
    families.times_of("stage_latency_seconds", "Time inside a stage.", "stage", &status.stages);
    let queues = status.queues.iter().map(|&StageQueue { stage, waiting, .. }| (stage, waiting as f64));
    families.gauges("stage_queue_parts", "Parts that wait before a stage.", "stage", queues);
    let state = match status.state {
        LineState::Ready => "ready",
        LineState::Running => "running",
        LineState::SafeHold(_) => "safe_hold",
        LineState::NotReady(_) => "not_ready",
        LineState::Draining => "draining",
        LineState::Stopped => "stopped",
    };
    let states = ["ready", "running", "safe_hold", "not_ready", "draining", "stopped"];
    let states = states.map(|name| (name, f64::from(u8::from(name == state))));
    families.gauges("line_state", "1 for the state that the line is in.", "state", states);
    families.counter("stage_restarts_total", "Stages rebuilt after a panic.", status.restarts);
    families.counter("threads_abandoned_total", "Threads given up because they hung.", status.abandoned);
    families.counter("late_results_total", "Results that came after their verdict.", status.late_results);
    families.counter(
        "pictures_dropped_total",
        "Pictures left out because too many were held.",
        status.pictures_dropped,
    );
    families.counter("source_errors_total", "Times that the source failed.", status.source_errors);

    let prepared = board.recipe.load();
    let in_force = &prepared.in_force;
    families.gauge("deadline_seconds", "Trigger to verdict, at most.", f64::from(in_force.recipe.deadline_ms) / 1e3);
    families.info("build_info", "What runs.", &[("version", env!("CARGO_PKG_VERSION"))]);
    families.info(
        "model_info",
        "The model in force.",
        &[
            ("model", &prepared.manifest().name),
            ("digest", in_force.model.digest()),
            ("provider", &in_force.model.provider().to_string()),
            ("recipe", &in_force.tag),
        ],
    );
    families.gauge(
        "start_time_seconds",
        "When the program started, in seconds since 1970.",
        board.started_at.as_millisecond() as f64 / 1e3,
    );
    if let Some(plc) = &board.plc {
        let report = plc.report();
        families.gauge("plc_connected", "1 while the PLC is heard of.", f64::from(u8::from(report.lost_for.is_none())));
        families.gauge(
            "plc_results_waiting",
            "Results that wait for their acknowledgement.",
            report.tally.waiting as f64,
        );
        families.counter("plc_triggers_missed_total", "Triggers that could not be taken.", report.tally.missed);
    }
}

fn of_camera(families: &mut Families, status: &LineStatus) {
    let Some(camera) = &status.source else { return };
    families.gauge("camera_connected", "1 while the camera answers.", f64::from(u8::from(camera.connected)));
    families.counter("camera_pictures_total", "Whole pictures.", camera.pictures);
    families.counters(
        "camera_faults_total",
        "What went wrong with pictures, by kind.",
        "fault",
        [
            ("incomplete", camera.incomplete),
            ("missing", camera.missing),
            ("late", camera.late),
            ("stale", camera.stale),
            ("repeated", camera.repeated),
            ("frozen", camera.frozen),
            ("unasked", camera.unasked),
            ("unanswered", camera.unanswered),
            ("unbuffered", camera.unbuffered),
            ("lost", camera.lost),
            ("stall", camera.stalls),
        ],
    );
    families.gauge("camera_packets_missing", "Packets missing in this connection.", camera.packets.missing as f64);
    families.gauge("camera_packets_resent", "Packets resent in this connection.", camera.packets.resent as f64);
}

fn of_records(families: &mut Families, board: &Board) {
    let stats = board.store.stats();
    families.counter("records_acknowledged_total", "Records that are on the disk.", stats.acknowledged);
    families.gauge("records_pending", "Records that wait for the disk.", stats.pending as f64);
    families.gauge("store_failed", "1 when nothing is kept any more.", f64::from(u8::from(stats.failed.is_some())));
    families.counters(
        "evidence_pictures_total",
        "Pictures of parts, by what became of them.",
        "outcome",
        [("written", stats.evidence.written), ("dropped", stats.evidence.dropped), ("failed", stats.evidence.failed)],
    );
    let standing = board.retention.standing();
    families.gauge("evidence_pictures", "Pictures of parts that are kept.", standing.pictures as f64);
    families.gauge("evidence_bytes", "Size of the pictures that are kept.", standing.bytes as f64);
    families.counter("evidence_let_go_total", "Pictures that retention has let go.", standing.gone.pictures);
    if let Some(traces) = &board.traces {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        families.counters(
            "traces_parts_total",
            "Parts, by what became of their trace.",
            "outcome",
            [("sent", now(&traces.sent)), ("left_out", now(&traces.left_out)), ("dropped", now(&traces.dropped))],
        );
    }
    let serials = board.serials.tally();
    families.counters(
        "serials_total",
        "Serial numbers, by what was seen of them.",
        "outcome",
        [
            ("read", serials.read),
            ("unread", serials.unread),
            ("repeated", serials.repeated),
            ("missing", serials.missing),
        ],
    );
}

fn of_people(families: &mut Families, board: &Board) {
    families.gauge(
        "review_queue_parts",
        "Parts that wait for a person's look.",
        board.learning.desk.lock().queue.len() as f64,
    );
    let (active, _) = board.alerts.alerts();
    let severities = ["critical", "warning", "info"].map(|severity| {
        let of = active.iter().filter(|alert| alert.severity.word() == severity).count();
        (severity, of as f64)
    });
    families.gauges("alerts", "Alerts that are open.", "severity", severities);
    let outbox = board.alerts.outbox();
    let waiting: usize = outbox.standings().iter().map(|(_, standing)| standing.waiting).sum();
    families.gauge("messages_waiting", "Messages to others that wait.", waiting as f64);
    families.gauge("messages_given_up", "Messages to others that were given up.", outbox.dead_letters() as f64);
}

fn of_machine(families: &mut Families, health: &HealthReport) {
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    families.maybe(
        "memory_available_bytes",
        "Memory that programs can still get.",
        bytes(health.memory.available_bytes),
    );
    families.maybe("memory_own_bytes", "Memory that this program has.", bytes(health.memory.own_bytes));
    families.maybe(
        "cpu_busy_ratio",
        "Share of all processors' time in use.",
        health.cpu.busy_percent.map(|it| it / 100.0),
    );
    let disk = |of: fn(&crate::health::DiskReport) -> Option<f64>| {
        health.disks.iter().filter_map(move |disk| Some((disk.path.as_str(), of(disk)?)))
    };
    families.gauges("disk_free_bytes", "Free for this program.", "path", disk(|disk| Some(disk.free_bytes as f64)));
    families.gauges("disk_size_bytes", "Size of the disk.", "path", disk(|disk| Some(disk.total_bytes as f64)));
    let seconds = disk(|disk| disk.days_left.map(|days| days * 86_400.0));
    families.gauges("disk_full_in_seconds", "Until the disk is full, if it goes on so.", "path", seconds);
    let clock = health.clock == ClockState::Synchronised;
    families.gauge("clock_synchronised", "1 while a time server sets the clock.", f64::from(u8::from(clock)));
    let card = |of: fn(&crate::health::GpuCard) -> Option<f64>| {
        health.gpus.cards.iter().filter_map(move |card| Some((card.uuid.as_str(), of(card)?)))
    };
    families.gauges(
        "gpu_busy_ratio",
        "Share of time that the card worked.",
        "gpu",
        card(|card| card.busy_percent.map(|percent| f64::from(percent) / 100.0)),
    );
    families.gauges(
        "gpu_memory_used_bytes",
        "Memory of the card in use.",
        "gpu",
        card(|card| card.memory_used_bytes.map(|bytes| bytes as f64)),
    );
    families.gauges(
        "gpu_temperature_celsius",
        "Temperature of the card.",
        "gpu",
        card(|card| card.temperature_c.map(f64::from)),
    );
}
