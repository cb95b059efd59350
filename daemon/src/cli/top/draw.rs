//! Draws what is known of the line: a function of the [`View`] alone, so that tests draw without a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Sparkline, Wrap};

use super::view::{AlertRow, Fact, Known, PartRow, StageRow, View};

/// Below this nothing can be read any more.
const LEAST: (u16, u16) = (64, 18);
const KEYS: &str = " q end   p hold the picture   ? help";
const HELP: &str = "\
q, Esc, Ctrl-C  end
p               hold the picture still, and go on
?               this, and away with it

triggered = pass + fail + review + no decision + in flight: the line's law.
Where it does not hold, the sign is ≠ and a part is lost.
latency: from trigger to verdict, since the start.
waiting: parts in front of a stage, of those that fit.
Times of day are this terminal's; counts begin with the program.

`inspectd status` says it once, with an exit code.";

/// Colours, or none. What a colour says, a word or a sign says too.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn of(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }
    fn good(self) -> Style {
        self.of(Color::Green)
    }
    fn warn(self) -> Style {
        self.of(Color::Yellow)
    }
    fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }
    fn dim(self) -> Style {
        self.of(Color::DarkGray)
    }
    fn title(self) -> Style {
        self.of(Color::Cyan).add_modifier(Modifier::BOLD)
    }
    fn verdict(self, verdict: &str) -> Style {
        match verdict {
            "pass" => self.good(),
            "fail" => self.bad(),
            _ => self.warn(),
        }
    }
}

/// The whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let paint = Paint(view.colour);
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, view, paint);
    }
    let Some(known) = &view.known else { return unknown(frame, view, paint) };
    let middle = known.stages.len().max(known.health.len()).clamp(1, 8) as u16 + 1;
    let alerts = known.alerts.as_ref().map_or(1, Vec::len).clamp(1, if area.height > 30 { 8 } else { 3 }) as u16 + 1;
    let rows = [2, 2, 1, 1, middle, alerts].map(Constraint::Length);
    let [head, counts, rate, latency, middle, alerts, parts, keys] =
        Layout::vertical(rows.into_iter().chain([Constraint::Min(2), Constraint::Length(1)])).areas(area);
    frame.render_widget(Paragraph::new(state(view, known, paint)), head);
    frame.render_widget(Paragraph::new(law(known, paint)), counts);
    draw_rate(frame, rate, known, paint);
    frame.render_widget(latency_line(known, paint), latency);
    let [left, right] = Layout::horizontal([Constraint::Length(40), Constraint::Min(20)]).areas(middle);
    frame.render_widget(Paragraph::new(stages(&known.stages, paint)), left);
    frame.render_widget(Paragraph::new(machine(&known.health, paint)), right);
    frame.render_widget(Paragraph::new(alert_lines(&known.alerts, paint)), alerts);
    frame.render_widget(Paragraph::new(part_lines(&known.parts, paint)), parts);
    frame.render_widget(Line::styled(KEYS, paint.dim()), keys);
    if view.help {
        draw_help(frame, paint);
    }
}

/// The state in a word, with its colour.
fn word(view: &View, paint: Paint) -> (String, Style) {
    if view.gone.is_some() {
        return ("NOT REACHABLE".to_owned(), paint.bad());
    }
    let Some(known) = &view.known else { return ("ASKING".to_owned(), paint.dim()) };
    let style = match known.state.as_str() {
        "running" | "ready" => paint.good().add_modifier(Modifier::BOLD),
        "stopped" => paint.bad(),
        _ => paint.warn().add_modifier(Modifier::BOLD),
    };
    (known.state.replace('_', " ").to_uppercase(), style)
}

/// Two lines: what the line is and how, and why.
fn state<'a>(view: &View, known: &'a Known, paint: Paint) -> Vec<Line<'a>> {
    let (word, style) = word(view, paint);
    let mut first = vec![Span::styled(format!("● {word}"), style), Span::raw(format!("  {}", known.line))];
    first.push(Span::raw(format!("  recipe {}", known.recipe)));
    first.push(Span::styled(format!("  up {}", known.up_s.map_or("-".into(), span)), paint.dim()));
    if view.paused {
        first.insert(0, Span::styled("HELD STILL (p goes on)  ", paint.warn().add_modifier(Modifier::REVERSED)));
    }
    let second = match &view.gone {
        Some(gone) => {
            Line::styled(format!("  last heard {} ago: {}", span(gone.seconds as i64), gone.why), paint.bad())
        }
        None if !known.reason.is_empty() => Line::styled(format!("  {}", known.reason), paint.warn()),
        None => Line::styled(format!("  model {}, inspectd {}, {}", known.model, known.version, view.url), paint.dim()),
    };
    vec![Line::from(first), second]
}

/// The counts as the law has them.
fn law(known: &Known, paint: Paint) -> Vec<Line<'static>> {
    let holds = known.law_holds();
    let equals = if holds == Some(false) { "triggered ≠" } else { "triggered =" };
    let names = [equals, "pass +", "fail +", "review +", "no decision +", "in flight"];
    let names: String = names.iter().map(|name| format!("{name:>13}")).collect();
    let style = if holds == Some(false) { paint.bad() } else { paint.title() };
    let colours = [Style::new(), paint.good(), paint.bad(), paint.warn(), paint.warn(), Style::new()];
    // Under its name, whose sign stands two columns further right.
    let number = |(at, (count, style)): (usize, (Option<u64>, Style))| {
        let digits = count.map_or("-".to_owned(), |count| count.to_string());
        Span::styled(if at < 5 { format!("{digits:>11}  ") } else { format!("{digits:>13}") }, style)
    };
    let numbers: Line<'_> = known.counts.into_iter().zip(colours).enumerate().map(number).collect();
    vec![Line::styled(names, style), numbers]
}

fn draw_rate(frame: &mut Frame<'_>, area: Rect, known: &Known, paint: Paint) {
    let words = format!("  parts/s {:>7}  ", number(known.per_second, 2));
    let wide = words.chars().count() as u16;
    let [left, right] = Layout::horizontal([Constraint::Length(wide), Constraint::Min(1)]).areas(area);
    frame.render_widget(Line::raw(words), left);
    // The newest second at the right edge.
    let shown = &known.trend[known.trend.len().saturating_sub(usize::from(right.width))..];
    frame.render_widget(Sparkline::default().data(shown).style(paint.good()), right);
}

fn latency_line(known: &Known, paint: Paint) -> Line<'static> {
    let share = known.p99_ms.zip(known.deadline_ms).filter(|(_, most)| *most > 0.0).map(|(p99, most)| p99 / most);
    let style = match share {
        Some(share) if share > 1.0 => paint.bad(),
        Some(share) if share > 0.8 => paint.warn(),
        _ => paint.good(),
    };
    let filled = share.map_or(0, |share| (share.clamp(0.0, 1.0) * 20.0).round() as usize);
    let share = share.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    Line::from(vec![
        Span::raw(format!("  latency p50 {} ms, p99 ", number(known.p50_ms, 1))),
        Span::styled(format!("{} ms", number(known.p99_ms, 1)), style),
        Span::raw(format!(" of {} ms  [", number(known.deadline_ms, 0))),
        Span::styled(format!("{}{}", "#".repeat(filled), "·".repeat(20 - filled)), style),
        Span::raw(format!("] {share}")),
    ])
}

fn stages(stages: &[StageRow], paint: Paint) -> Vec<Line<'static>> {
    let title = Line::styled(format!("{:<14}{:>9}{:>7}{:>8}", "Stage", "waiting", "p50", "p99 ms"), paint.title());
    let row = |stage: &StageRow| {
        let full = stage.waiting.zip(stage.capacity).is_some_and(|(waiting, most)| most > 0 && waiting >= most);
        let waiting = match (stage.waiting, stage.capacity) {
            (Some(waiting), Some(most)) => format!("{waiting}/{most}"),
            _ => "-".to_owned(),
        };
        Line::from(vec![
            Span::raw(format!("{:<14}", cut(&stage.name, 13))),
            Span::styled(format!("{waiting:>9}"), if full { paint.bad() } else { Style::new() }),
            Span::raw(format!("{:>7}{:>8}", number(stage.p50_ms, 1), number(stage.p99_ms, 1))),
        ])
    };
    std::iter::once(title).chain(stages.iter().map(row)).collect()
}

fn machine(facts: &[Fact], paint: Paint) -> Vec<Line<'_>> {
    let row = |fact: &Fact| {
        let (mark, style) = if fact.bad { ("! ", paint.bad()) } else { ("", Style::new()) };
        Line::from(vec![
            Span::styled(format!("{:<9}", fact.name), paint.dim()),
            Span::styled(format!("{mark}{}", fact.words), style),
        ])
    };
    std::iter::once(Line::styled("Machine", paint.title())).chain(facts.iter().map(row)).collect()
}

fn alert_lines(alerts: &Result<Vec<AlertRow>, String>, paint: Paint) -> Vec<Line<'static>> {
    let alerts = match alerts {
        Ok(alerts) => alerts,
        Err(why) => return vec![Line::styled("Alerts", paint.title()), Line::styled(format!("  {why}"), paint.warn())],
    };
    let open = alerts.iter().filter(|alert| alert.open).count();
    let title = Line::styled(format!("Alerts: {open} open"), paint.title());
    let row = |alert: &AlertRow| {
        let style = match alert.severity.as_str() {
            _ if !alert.open => paint.dim(),
            "critical" => paint.bad(),
            _ => paint.warn(),
        };
        let over = if alert.open { "" } else { "over, " };
        Line::styled(format!("  {} {over}{} {}", alert.at, alert.severity, alert.words), style)
    };
    std::iter::once(title).chain(alerts.iter().map(row)).collect()
}

fn part_lines(parts: &Result<Vec<PartRow>, String>, paint: Paint) -> Vec<Line<'static>> {
    let title = format!(
        "{:<9} {:>8}  {:<18} {:<12} {:<13} {:>5} {:>7}",
        "Verdicts", "part", "serial", "verdict", "label", "score", "ms"
    );
    let title = Line::styled(title, paint.title());
    let parts = match parts {
        Ok(parts) => parts,
        Err(why) => return vec![title, Line::styled(format!("  {why}"), paint.warn())],
    };
    let row = |part: &PartRow| {
        let serial = if part.serial.is_empty() { "-" } else { &part.serial };
        Line::from(vec![
            Span::raw(format!("{:<9} {:>8}  {} ", part.at, part.id, padded(serial, 18))),
            Span::styled(format!("{} ", padded(&part.verdict, 12)), paint.verdict(&part.verdict)),
            Span::raw(padded(&part.label, 13)),
            Span::raw(format!(" {:>5} {:>7}", number(part.score, 2), number(part.ms, 1))),
        ])
    };
    std::iter::once(title).chain(parts.iter().map(row)).collect()
}

fn draw_help(frame: &mut Frame<'_>, paint: Paint) {
    let area = frame.area();
    let lines = HELP.lines().count() as u16;
    let area = area.centered(Constraint::Length(area.width.min(78)), Constraint::Length(lines.min(area.height)));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).style(paint.title()), area);
}

fn unknown(frame: &mut Frame<'_>, view: &View, paint: Paint) {
    let (word, style) = word(view, paint);
    let mut lines = vec![Line::styled(format!("○ {word}"), style), Line::raw(format!("  {}", view.url))];
    if let Some(gone) = &view.gone {
        lines.push(Line::raw(format!("  {}", gone.why)));
        lines.push(Line::raw(format!("  asked twice a second, for {} so far", span(gone.seconds as i64))));
    }
    lines.push(Line::styled(KEYS, paint.dim()));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), frame.area());
    if view.help {
        draw_help(frame, paint);
    }
}

fn too_small(frame: &mut Frame<'_>, view: &View, paint: Paint) {
    let (word, style) = word(view, paint);
    let area = frame.area();
    let size = format!("{} x {} is too small: {} x {} at least", area.width, area.height, LEAST.0, LEAST.1);
    let lines = vec![Line::styled(word, style), Line::raw(size), Line::raw("q ends")];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// So many columns at most. Wide characters count as two, as a terminal has them.
fn cut(text: &str, columns: usize) -> String {
    if Span::raw(text).width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if Span::raw(kept.as_str()).width() >= columns {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

fn padded(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    let wide = Span::raw(text.as_str()).width();
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(wide)));
    text
}

/// A span of time in its two largest units.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        86_400.. => format!("{days} d {hours} h"),
        3_600.. => format!("{hours} h {minutes} min"),
        60.. => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{} s", seconds.max(0)),
    }
}
