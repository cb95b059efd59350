//! The synthetic line must not be trivially easy: what a part's grey levels and colours alone give away, wherever they lie in
//! the frame, must not tell good parts from bad ones. The baseline is a ridge regression on colour histograms.

use super::*;

const BINS: usize = 32;
const FEATURES: usize = 3 * BINS + 1;
const LEARN: u64 = 900;
const JUDGE: u64 = 400;

struct Seen {
    features: Vec<f64>,
    label: usize,
    surface: usize,
}

/// Square roots of the histogram of each channel (they even out the noise of counts), and a constant.
fn histogram(pixels: &[u8]) -> Vec<f64> {
    let mut counts = vec![0.0; FEATURES];
    for pixel in pixels.chunks_exact(3) {
        for (channel, &value) in pixel.iter().enumerate() {
            counts[channel * BINS + usize::from(value) * BINS / 256] += 1.0;
        }
    }
    let total = pixels.len() as f64 / 3.0;
    counts.iter_mut().for_each(|c| *c = (*c / total).sqrt());
    counts[FEATURES - 1] = 1.0;
    counts
}

/// The default mix, but half of the parts defective: balanced accuracy does not depend on their share, its error does.
fn look(from: u64, to: u64, renderer: &Renderer) -> Vec<Seen> {
    let mut renderer = renderer.clone();
    let mut pixels = Vec::new();
    (from..to)
        .map(|index| {
            let drawn = renderer.render(index, Ask::AsItComes, [512; 2], &mut pixels);
            let label = LABELS.iter().position(|l| *l == &*drawn.truth.label).unwrap();
            Seen { features: histogram(&pixels), label, surface: drawn.surface as usize }
        })
        .collect()
}

#[allow(clippy::needless_range_loop)] // matrix arithmetic reads best with its indices
/// Solves `(X'X + lambda I) w = X'y` by Cholesky, for each column of `targets`.
fn ridge(seen: &[Seen], targets: &[Vec<f64>], lambda: f64) -> Vec<Vec<f64>> {
    let mut a = vec![vec![0.0; FEATURES]; FEATURES];
    for s in seen {
        for i in 0..FEATURES {
            for j in 0..=i {
                a[i][j] += s.features[i] * s.features[j];
            }
        }
    }
    for i in 0..FEATURES {
        a[i][i] += lambda;
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            a[i][j] = if i == j { (a[i][i] - dot).sqrt() } else { (a[i][j] - dot) / a[j][j] };
        }
    }
    let solve = |target: &Vec<f64>| {
        let mut w = vec![0.0; FEATURES];
        for (s, y) in seen.iter().zip(target) {
            w.iter_mut().zip(&s.features).for_each(|(w, f)| *w += f * y);
        }
        for i in 0..FEATURES {
            let dot: f64 = (0..i).map(|k| a[i][k] * w[k]).sum();
            w[i] = (w[i] - dot) / a[i][i];
        }
        for i in (0..FEATURES).rev() {
            let dot: f64 = (i + 1..FEATURES).map(|k| a[k][i] * w[k]).sum();
            w[i] = (w[i] - dot) / a[i][i];
        }
        w
    };
    targets.iter().map(solve).collect()
}

/// Mean recall over classes on `judge`, of a ridge classifier learnt on `learn`: the best over five strengths of
/// regularisation chosen on `judge` itself, which flatters the baseline.
fn balanced_accuracy(learn: &[Seen], judge: &[Seen], classes: usize, class: impl Fn(&Seen) -> usize) -> f64 {
    let share = |k: usize| learn.iter().filter(|s| class(s) == k).count().max(1) as f64 / learn.len() as f64;
    // One against the rest; a frequent class must not win by its number.
    let targets: Vec<Vec<f64>> = (0..classes)
        .map(|k| learn.iter().map(|s| (f64::from(u8::from(class(s) == k)) - share(k)) / share(k).sqrt()).collect())
        .collect();
    let accuracy = |lambda: f64| {
        let weights = ridge(learn, &targets, lambda);
        let score = |s: &Seen, k: usize| s.features.iter().zip(&weights[k]).map(|(f, w)| f * w).sum::<f64>();
        let (mut right, mut all) = (vec![0.0; classes], vec![0.0; classes]);
        for s in judge {
            let best = (0..classes).max_by(|&a, &b| score(s, a).total_cmp(&score(s, b))).unwrap();
            right[class(s)] += f64::from(u8::from(best == class(s)));
            all[class(s)] += 1.0;
        }
        right.iter().zip(&all).map(|(r, n): (&f64, &f64)| r / n.max(1.0)).sum::<f64>() / classes as f64
    };
    [1e-3, 1e-2, 0.1, 1.0, 10.0].into_iter().map(accuracy).fold(0.0, f64::max)
}

#[test]
fn colours_alone_do_not_tell_good_parts_from_bad_ones() {
    let mix = Mix { defect_rate: 0.5, bad_frame_rate: 0.0, ..Mix::default() };
    let renderer = Renderer::new(Stream::Line, 21, 1, mix);
    let half = LEARN / 2;
    let (mut learn, judge) = std::thread::scope(|scope| {
        let other = scope.spawn(|| look(0, half, &renderer));
        let mut rest = look(half, LEARN + JUDGE, &renderer);
        let judge = rest.split_off((LEARN - half) as usize);
        rest.extend(other.join().unwrap());
        (rest, judge)
    });
    learn.sort_by_key(|s| s.surface);
    let two = balanced_accuracy(&learn, &judge, 2, |s| usize::from(s.label != 0));
    let ten = balanced_accuracy(&learn, &judge, LABELS.len(), |s| s.label);
    let surfaces = balanced_accuracy(&learn, &judge, Surface::ALL.len(), |s| s.surface);
    println!(
        "histogram + ridge, balanced accuracy: good/defective {two:.3}, ten labels {ten:.3}, surfaces {surfaces:.3}"
    );
    assert!(two <= 0.75, "good and bad parts differ in their colours alone: {two:.3}");
    // The baseline itself works: it tells surfaces apart (0.25 is chance), and defects better than chance.
    assert!(surfaces >= 0.4 && two >= 0.5, "the baseline is broken: surfaces {surfaces:.3}, defects {two:.3}");
}
