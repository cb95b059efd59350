//! A study for others: one page to hand on (no script, nothing fetched, fit to print), or every rating as CSV.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use stages::check::Known;

use super::figures::{AppraiserFigures, Figures, Grade, Share};
use super::kappa::Kappa;
use super::study::{Rating, Study};

const STYLE: &str = include_str!("report.css");
/// What the page may do: show itself. Names come from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub fn html(line: &str, study: &Study, now: Timestamp) -> String {
    let figures = study.figures();
    let (seen, of) = study.progress();
    let good = study.plan.parts.iter().filter(|part| part.master == Known::Good).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "Gauge study " (study.plan.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    p class="kicker" { "Attribute gauge study " (study.number) ", line " (line) }
                    h1 { (study.plan.name) }
                    p {
                        (study.plan.parts.len()) " parts (" (good) " good, " (study.plan.parts.len() - good) " bad), "
                        (study.plan.repeats) " repeats. Planned by " (study.by) " on " (day(study.at)) "."
                        @if let Some((recipe, model)) = &study.under { " Recipe " (recipe) ", model " (model.get(..12).unwrap_or(model)) "." }
                    }
                    @if seen < of { p class="warning" { "Not complete: the line has given " (seen) " of " (of) " ratings." } }
                    (verdicts(&figures))
                    (kappas(&figures))
                    (parts(study))
                    footer {
                        "After AIAG, Measurement Systems Analysis, 4th edition, chapter III section C. Intervals are exact (Clopper-Pearson), those of Cohen's \
                         kappa from its standard error, at 95 %. A part without a decision counts as called bad, as at the gate. Written "
                        (day(now)) "."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn verdicts(figures: &Figures) -> Markup {
    html! {
        h2 { "Who rates how well" }
        table {
            thead { tr { th { "" } th { "Repeatability" } th { "Effectiveness" } th { "Misses" } th { "False alarms" } th { "Kappa with the master" } th { "Verdict" } } }
            tbody {
                @for one in &figures.appraisers {
                    tr {
                        th { (one.name) }
                        td { (share(&one.repeatability)) }
                        td { (share(&one.effectiveness)) (grade(one.effectiveness_grade)) }
                        td { (share(&one.miss)) (grade(one.miss_grade)) }
                        td { (share(&one.false_alarm)) (grade(one.false_alarm_grade)) }
                        td { (kappa(one.kappa_master)) (grade(one.kappa_grade)) }
                        td { b { (word(one)) } }
                    }
                }
                tr class="limits" {
                    th { "Limits" }
                    td { "" }
                    td { "90 %, marginal 80 %" }
                    td { "2 %, marginal 5 %" }
                    td { "5 %, marginal 10 %" }
                    td { "0.75, marginal 0.40" }
                    td { "the worst of the four" }
                }
            }
        }
    }
}

fn kappas(figures: &Figures) -> Markup {
    html! {
        h2 { "Agreement" }
        table {
            tbody {
                @for one in &figures.appraisers {
                    tr { th { (one.name) ", with itself (Fleiss)" } td { (kappa(one.kappa_within)) } }
                }
                @for pair in &figures.pairs {
                    tr { th { (pair.first) " and " (pair.second) " (Cohen)" } td { (kappa(pair.kappa)) } }
                }
                tr { th { "All ratings of a part (Fleiss)" } td { (kappa(figures.kappa_all)) } }
                tr { th { "Parts that all rated alike" } td { (share(&figures.all_agree)) } }
                tr { th { "Parts that all rated as the master is" } td { (share(&figures.all_right)) } }
            }
        }
    }
}

fn parts(study: &Study) -> Markup {
    let appraisers = study.appraisers();
    let said = |rating: &Option<bool>| match rating {
        Some(true) => "good",
        Some(false) => "bad",
        None => "",
    };
    html! {
        h2 { "Every rating" }
        table class="ratings" {
            thead { tr { th { "Part" } th { "Master" } @for one in &appraisers { th { (one.name) } } } }
            tbody {
                @for (at, part) in study.plan.parts.iter().enumerate() {
                    tr {
                        th { (part.name) }
                        td { (known(part.master)) }
                        @for one in &appraisers {
                            td {
                                @for rating in &one.ratings[at] {
                                    span class=[rating.filter(|good| *good != (part.master == Known::Good)).map(|_| "wrong")] { (said(rating)) }
                                    " "
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn word(one: &AppraiserFigures) -> &'static str {
    one.grade.map_or("not known yet", Grade::word)
}

fn grade(grade: Option<Grade>) -> Markup {
    html! { @if let Some(grade) = grade { span class=(grade.word()) { (grade.word()) } } }
}

fn share(share: &Share) -> String {
    match (share.share, share.ci) {
        (Some(value), Some([low, high])) => format!(
            "{:.1} % ({:.1} to {:.1}), {} of {}",
            100.0 * value,
            100.0 * low,
            100.0 * high,
            share.seen,
            share.of
        ),
        _ => "not known".to_owned(),
    }
}

fn kappa(kappa: Option<Kappa>) -> String {
    match kappa {
        Some(Kappa { value, ci: Some([low, high]) }) => format!("{value:.2} ({low:.2} to {high:.2})"),
        Some(Kappa { value, ci: None }) => format!("{value:.2}"),
        None => "not known".to_owned(),
    }
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Good => "good",
        Known::Bad => "bad",
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Every rating, one a row.
///
/// # Errors
/// Never in memory; the writer says so all the same.
pub fn csv(study: &Study) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "study",
        "part",
        "master",
        "appraiser",
        "repeat",
        "rating",
        "undecided",
        "inspection",
        "at",
    ])?;
    for Rating { appraiser, part, repeat, good, inspection, undecided, at } in &study.ratings {
        let Some(of) = study.plan.parts.get(*part) else { continue };
        writer.write_record([
            plain(&study.plan.name),
            plain(&of.name),
            known(of.master).to_owned(),
            plain(appraiser),
            (repeat + 1).to_string(),
            known(if *good { Known::Good } else { Known::Bad }).to_owned(),
            undecided.to_string(),
            inspection.map_or(String::new(), |id| id.to_string()),
            at.to_string(),
        ])?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// A spreadsheet must take a name for a name, not for a formula.
fn plain(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}
