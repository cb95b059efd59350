//! What a search found, as one page to hand on: no script, nothing fetched, light and dark, fit to print.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Measured, Past, Settings, Trial, best, front};

const STYLE: &str = include_str!("../evaluation/html/style.css");
/// What the page may do: show itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;
/// Lines across the plot, each way.
const TICKS: f64 = 5.0;

/// What a page is made of.
pub struct Page<'a> {
    /// How it was searched.
    pub settings: &'a Settings,
    /// All trials.
    pub past: &'a Past,
    /// What was searched on, where, when: name and value.
    pub facts: &'a [(String, String)],
}

impl Page<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let Page { settings, past, facts } = self;
        let front = front(past);
        let on_front = |trial: &Trial| front.iter().any(|other| other.number == trial.number);
        let learned = past.trials.iter().filter(|trial| !trial.results.is_empty()).count();
        let slow = past.trials.iter().filter(|trial| trial.latency_ms > settings.max_latency_ms).count();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { "Search" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        header { p class="kicker" { "Search report" } h1 { "Networks within " (settings.max_latency_ms) " ms" } }
                        section class="summary" aria-label="Summary" {
                            @match best(past) {
                                Some(best) => p { (sentence(best)) },
                                None => p { "No network has learned yet." },
                            }
                            p class="note" { (past.trials.len()) " networks were proposed and timed; " (slow) " were too slow, " (learned)
                                " learned, " (past.rounds) " rounds in all." }
                        }
                        h2 { (miss_word(past)) " against time" }
                        figure {
                            (self.plot(&front))
                            figcaption { "Each ring is a network by its newest figures. On the line stand those that no other beats in both; dashed, \
                                the limit. All were measured on the selection set, by which they were chosen: measure what you take on images of your \
                                own." }
                        }
                        h2 { "Networks on the line" }
                        (table(past, front.iter().copied(), "On the line, from the quickest on"))
                        h2 { "All networks" }
                        (table(past, past.trials.iter().filter(|trial| !on_front(trial)), "All others, in the order of their proposal"))
                        h2 { "Where it comes from" }
                        div class="scroll" {
                            table class="facts" {
                                tbody { @for (name, value) in *facts { tr { th scope="row" { (name) } td { (value) } } } }
                            }
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn plot(&self, front: &[&Trial]) -> Markup {
        let limit = self.settings.max_latency_ms;
        let seen = |trial: &Trial| trial.latest().filter(|latest| latest.failed.is_none()).map(Measured::miss);
        let points: Vec<(&Trial, f64)> =
            self.past.trials.iter().filter_map(|trial| Some((trial, seen(trial)?))).collect();
        let most = points.iter().map(|(_, miss)| *miss).fold(0.01, f64::max);
        let x = |ms: f64| LEFT + (ms / (1.05 * limit)).min(1.0) * (WIDTH - LEFT - RIGHT);
        let y = |miss: f64| HEIGHT - BOTTOM - miss / (1.05 * most) * (HEIGHT - TOP - BOTTOM);
        let line: Vec<String> = front
            .iter()
            .filter_map(|trial| Some(format!("{:.1},{:.1}", x(trial.latency_ms), y(seen(trial)?))))
            .collect();
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Share of misses against time of a verdict, one ring a network" {
                g class="grid" {
                    @for ms in ticks(limit) {
                        line x1=(x(ms)) x2=(x(ms)) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                        text x=(x(ms)) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (format!("{ms:.2}")) }
                    }
                    @for miss in ticks(most) {
                        line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y(miss)) y2=(y(miss)) {}
                        text x=(LEFT - 7.0) y=(y(miss) + 4.0) text-anchor="end" { (percent(miss)) }
                    }
                }
                text class="axis" x=(f64::midpoint(LEFT, WIDTH - RIGHT)) y=(HEIGHT - 8.0) text-anchor="middle" { "time of a verdict, ms" }
                line class="aim" x1=(x(limit)) x2=(x(limit)) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                polyline class="curve" points=(line.join(" ")) {}
                @for (trial, miss) in &points {
                    circle class="mark" cx=(format!("{:.1}", x(trial.latency_ms))) cy=(format!("{:.1}", y(*miss))) r="4" {
                        title { "trial " (trial.number) ": " (percent(*miss)) ", " (format!("{:.2}", trial.latency_ms)) " ms" }
                    }
                }
            }
        }
    }
}

/// Round numbers from 0 up to a positive one.
fn ticks(to: f64) -> impl Iterator<Item = f64> {
    let power = 10_f64.powf((to / TICKS).log10().floor());
    let step = [1.0, 2.0, 5.0]
        .map(|of| of * power)
        .into_iter()
        .find(|step| step * TICKS * 1.000_001 >= to)
        .unwrap_or(10.0 * power);
    (0..).map(move |tick| f64::from(tick) * step).take_while(move |value| *value <= to * 1.000_001)
}

/// What is counted as a miss.
fn miss_word(past: &Past) -> &'static str {
    let escapes = past.trials.iter().flat_map(|trial| &trial.results).any(|result| result.escape_rate.is_some());
    if escapes { "Escapes" } else { "Wrong images" }
}

fn sentence(trial: &Trial) -> String {
    let Some(latest) = trial.latest() else { return String::new() };
    let what = if latest.escape_rate.is_some() { "of the bad parts pass" } else { "of the images are named wrong" };
    format!(
        "The best is trial {}: {} {what} ({} of {} images named wrong), {:.2} ms a verdict, after {} rounds.",
        trial.number,
        percent(latest.miss()),
        latest.errors,
        latest.images,
        trial.latency_ms,
        latest.rounds
    )
}

fn table<'a>(past: &Past, trials: impl Iterator<Item = &'a Trial>, caption: &str) -> Markup {
    html! {
        div class="scroll" {
            table {
                caption { (caption) }
                thead {
                    tr {
                        th scope="col" { "Trial" }
                        @for name in [miss_word(past), "Wrong", "Loss", "ms", "Rounds", "Pixels", "Left out", "Width", "Attention", "Sharpness",
                            "Head's rate", "Rate", "Changes", ""] { th scope="col" { (name) } }
                    }
                }
                tbody { @for trial in trials { (row(trial)) } }
            }
        }
    }
}

fn row(trial: &Trial) -> Markup {
    let point = &trial.point;
    let figures = trial.latest().filter(|latest| latest.failed.is_none());
    let note = match trial.latest() {
        None => "did not learn".to_owned(),
        Some(Measured { failed: Some(why), .. }) => why.clone(),
        Some(Measured { ended: true, .. }) => "fell no further".to_owned(),
        Some(_) => String::new(),
    };
    html! {
        tr {
            th scope="row" { (trial.number) }
            @match figures {
                Some(figures) => {
                    td { (percent(figures.miss())) }
                    td { (figures.errors) " of " (figures.images) }
                    td { @if let Some(loss) = figures.loss { (format!("{loss:.3}")) } }
                }
                None => { td {} td {} td {} }
            }
            td { (format!("{:.2}", trial.latency_ms)) }
            td { (trial.latest().map_or(0, |latest| latest.rounds)) }
            td { (point.size) }
            td { (point.left_out) }
            td { (percent(point.width)) }
            td { (point.attention) }
            td { (point.sharpness) }
            td { (point.head_rate) }
            td { (point.rate) }
            td { (point.augment) }
            td { (note) }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, Point};
    use super::*;

    #[test]
    fn ticks_are_round() {
        let of = |to: f64| ticks(to).map(|tick| format!("{tick:.3}")).collect::<Vec<_>>().join(" ");
        assert_eq!(of(1.5), "0.000 0.500 1.000 1.500");
        assert_eq!(of(0.01), "0.000 0.002 0.004 0.006 0.008 0.010");
        assert_eq!(of(0.167), "0.000 0.050 0.100 0.150");
        assert_eq!(of(10.0), "0.000 2.000 4.000 6.000 8.000 10.000");
    }

    #[test]
    fn the_page_shows_the_front_and_runs_nothing() {
        let result = |errors, failed: Option<&str>| Measured {
            rounds: 6,
            ended: false,
            errors,
            images: 100,
            escape_rate: None,
            overkill_rate: None,
            loss: failed.is_none().then_some(0.25),
            failed: failed.map(str::to_owned),
        };
        let trial = |number, latency_ms, results| Trial { number, point: Point::usual(128), latency_ms, results };
        let past = Past {
            trials: vec![
                trial(0, 4.0, vec![result(3, None)]),
                trial(1, 2.0, vec![result(5, None)]),
                trial(2, 3.0, vec![result(9, Some("<script>alert(1)</script>"))]),
                trial(3, 30.0, Vec::new()),
            ],
            seconds: 9.0,
            rounds: 18,
        };
        let settings = Settings::new(10.0, Budget::Rounds(18));
        let facts = [("Data".to_owned(), "a & b".to_owned())];
        let page = Page { settings: &settings, past: &past, facts: &facts }.render();
        for words in
            ["trial 0: 3.0 % of the images are named wrong", "4 networks were proposed", "1 were too slow", "a &amp; b"]
        {
            assert!(page.contains(words), "{words}");
        }
        assert!(!page.contains("<script") && page.contains("&lt;script"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn nothing_found_is_a_page_too() {
        let settings = Settings::new(10.0, Budget::Rounds(1));
        let page = Page { settings: &settings, past: &Past::default(), facts: &[] }.render();
        assert!(page.contains("No network has learned yet") && !page.contains("NaN"));
    }
}
