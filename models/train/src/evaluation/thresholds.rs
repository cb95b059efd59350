//! From which score a label counts as present.

use models::bundle::{Disposition, Label};
use models::ruling::verdict_by_scores;

use super::Scored;
use crate::samples::Class;

/// Threshold of a label where there is nothing to choose by.
const MIDDLE: f32 = 0.5;
/// Fewer scored images than this would be learned by heart.
const ENOUGH: usize = 100;

/// Chooses the thresholds on scored images that were not learned from. Good parts and bad parts count alike as a whole;
/// within each, an escape or an overkill costs 1, a review of a good part 1/2, of a bad part 1/4. Where several thresholds
/// cost the same the middle one is taken, which leaves most room on both sides.
///
/// Without a passing label, or with too few images to choose by, all are 1/2. The images' labels count the classes. Gives the labels,
/// and how their thresholds were chosen, in words.
pub fn choose(scored: &[Scored], classes: &[Class]) -> (Vec<Label>, String) {
    let label = |class: &Class| Label { name: class.name.clone(), verdict: class.verdict, threshold: MIDDLE };
    let mut labels: Vec<Label> = classes.iter().map(label).collect();
    let passes = |verdict: Disposition| verdict == Disposition::Pass;
    let both = labels.iter().any(|l| passes(l.verdict)) && labels.iter().any(|l| !passes(l.verdict));
    let images = scored.len();
    if !both {
        return (labels, "1/2 each: there are not both labels that pass a part and labels that do not".into());
    }
    if images < ENOUGH {
        return (labels, format!("1/2 each: {images} images are too few to choose by, {ENOUGH} are needed"));
    }
    // One threshold for all labels that do not pass, then one for those that do, then each by itself.
    let failing: Vec<usize> = (0..labels.len()).filter(|&at| !passes(labels[at].verdict)).collect();
    let passing: Vec<usize> = (0..labels.len()).filter(|&at| passes(labels[at].verdict)).collect();
    for group in [&failing, &passing, &failing, &passing] {
        set_best(scored, &mut labels, group);
    }
    for at in failing {
        let support = scored.iter().filter(|image| image.labels.contains(&at)).count();
        if support >= ENOUGH {
            set_best(scored, &mut labels, &[at]);
        }
    }
    set_best(scored, &mut labels, &passing);
    let words = format!(
        "Least cost on {images} images that were not learned from: an escape or an overkill 1, a review of a good part 1/2, of a bad \
         part 1/4"
    );
    (labels, words)
}

/// Sets the threshold of a group of labels to the one that costs least, all others standing.
fn set_best(scored: &[Scored], labels: &mut [Label], group: &[usize]) {
    let grid: Vec<f32> = (1..50).map(|step| step as f32 / 50.0).collect();
    let mut cost_at = |threshold: f32| {
        group.iter().for_each(|&at| labels[at].threshold = threshold);
        cost(scored, labels)
    };
    let costs: Vec<f32> = grid.iter().map(|&threshold| cost_at(threshold)).collect();
    let least = costs.iter().copied().fold(f32::INFINITY, f32::min);
    let cheapest: Vec<f32> =
        grid.iter().zip(&costs).filter(|(_, cost)| **cost <= least + 1e-6).map(|(t, _)| *t).collect();
    let middle = cheapest[cheapest.len() / 2];
    group.iter().for_each(|&at| labels[at].threshold = middle);
}

fn cost(scored: &[Scored], labels: &[Label]) -> f32 {
    let (mut good, mut bad) = ([0.0_f32; 2], [0.0_f32; 2]);
    for image in scored {
        let is_good = image.labels.iter().all(|&label| labels[label].verdict == Disposition::Pass);
        let cost = match (is_good, verdict_by_scores(&image.scores, labels)) {
            (true, Disposition::Pass) | (false, Disposition::Fail) => 0.0,
            (true, Disposition::Review) => 0.5,
            (false, Disposition::Review) => 0.25,
            (true, Disposition::Fail) | (false, Disposition::Pass) => 1.0,
        };
        let side = if is_good { &mut good } else { &mut bad };
        side[0] += cost * image.weight;
        side[1] += image.weight;
    }
    [good, bad].iter().map(|[cost, weight]| cost / weight.max(f32::MIN_POSITIVE)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(good: f32, label: usize) -> Scored {
        Scored {
            scores: vec![good, 1.0 - good],
            labels: vec![label],
            weight: 1.0,
            area: None,
            anomalous: None,
            likeness: None,
        }
    }

    fn classes() -> Vec<Class> {
        vec![Class::named("good"), Class::named("scratch")]
    }

    #[test]
    fn thresholds_stand_in_the_gap_between_good_and_bad() {
        // Bad parts score 0.2 and up, good parts 0.05 and less.
        let mut images: Vec<Scored> = (0..100).map(|i| scored(1.0 - 0.0005 * i as f32, 0)).collect();
        images.extend((0..100).map(|i| scored(0.8 - 0.007 * i as f32, 1)));
        let (labels, words) = choose(&images, &classes());
        assert!(words.contains("on 200 images"), "{words}");
        assert!((0.08..0.2).contains(&labels[1].threshold), "{}", labels[1].threshold);
        for image in &images {
            let wanted = if image.labels == [0] { Disposition::Pass } else { Disposition::Fail };
            assert_eq!(verdict_by_scores(&image.scores, &labels), wanted);
        }
    }

    #[test]
    fn nothing_to_choose_by_gives_the_middle() {
        let (few, words) = choose(&[scored(0.9, 0), scored(0.1, 1)], &classes());
        assert!(words.contains("2 images are too few"), "{words}");
        assert!(few.iter().all(|label| label.threshold == 0.5));
        let no_good = [Class::named("scratch"), Class::named("pit")];
        let many: Vec<Scored> = (0..300).map(|i| scored(0.3, i % 2)).collect();
        assert!(choose(&many, &no_good).0.iter().all(|label| label.threshold == 0.5));
    }
}
