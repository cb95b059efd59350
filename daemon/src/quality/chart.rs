//! The control chart for the share of parts that did not pass (a p-chart), and the rules by which it is read.
//!
//! Sources: Shewhart, "Economic Control of Quality of Manufactured Product", 1931, for the limits at three standard deviations of the binomial;
//! Western Electric, "Statistical Quality Control Handbook", 1956, for the four rules. Both take a share for normally distributed, which is
//! rough where fewer than about five rejects are to be expected of a point.

use jiff::Timestamp;

/// What came between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// First moment.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
    /// Parts.
    pub parts: u64,
    /// Of these, those that did not pass.
    pub rejects: u64,
}

/// A point with its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What came.
    pub point: Point,
    /// Share of rejects; none without parts.
    pub share: Option<f64>,
    /// Lower control limit.
    pub low: f64,
    /// Upper control limit.
    pub high: f64,
    /// The rules that it breaks, 1 to 4.
    pub rules: Vec<u8>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Share of rejects over all points; none without parts.
    pub mean: Option<f64>,
    /// The points in their order.
    pub points: Vec<Judged>,
}

/// Rule 2: two of three beyond two deviations, rule 3: four of five beyond one, rule 4: eight of eight; all on the same side of the mean.
/// The point at which it is seen must be one of them.
const RULES: [(u8, usize, usize, f64); 3] = [(2, 2, 3, 2.0), (3, 4, 5, 1.0), (4, 8, 8, 0.0)];

/// Judges points. Those without parts say nothing and break no series.
pub fn judge(points: &[Point]) -> Chart {
    let sum = |of: fn(&Point) -> u64| points.iter().map(of).sum::<u64>();
    let (parts, rejects) = (sum(|it| it.parts), sum(|it| it.rejects));
    let mean = (parts > 0).then(|| rejects as f64 / parts as f64);
    let at = mean.unwrap_or(0.0);
    // Deviations from the mean of the points so far that have parts.
    let mut series: Vec<f64> = Vec::new();
    let judged = points.iter().map(|point| {
        let deviation = (at * (1.0 - at) / point.parts.max(1) as f64).sqrt();
        let share = (point.parts > 0).then(|| point.rejects as f64 / point.parts as f64);
        let mut rules = Vec::new();
        if let Some(share) = share {
            let z = if deviation > 0.0 { (share - at) / deviation } else { 0.0 };
            series.push(z);
            if z.abs() > 3.0 {
                rules.push(1);
            }
            rules.extend(RULES.iter().filter(|rule| breaks(&series, z, **rule)).map(|(rule, ..)| rule));
        }
        let (low, high) = ((at - 3.0 * deviation).max(0.0), (at + 3.0 * deviation).min(1.0));
        Judged { point: *point, share, low, high, rules }
    });
    Chart { mean, points: judged.collect() }
}

fn breaks(series: &[f64], z: f64, (_, enough, of, beyond): (u8, usize, usize, f64)) -> bool {
    let side = z.signum();
    let out = |z: &f64| z * side > beyond;
    let Some(last) = series.len().checked_sub(of) else {
        // Two of the first two are two of three as well.
        return out(&z) && series.iter().filter(|z| out(z)).count() >= enough;
    };
    out(&z) && series[last..].iter().filter(|z| out(z)).count() >= enough
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of 10,000 parts around a mean of about 10 %, a deviation being 0.3 %: the list says how many deviations each lies off.
    fn rules(deviations: &[f64]) -> Vec<Vec<u8>> {
        // Many points on the mean hold it where it is.
        let share = |z: &f64| 1000 + (30.0 * z).round() as i64;
        let mut rejects: Vec<u64> = (0..400).map(|at| if at % 2 == 0 { 1001 } else { 999 }).collect();
        rejects.extend(deviations.iter().map(|z| share(z) as u64));
        let at = |n: usize| Timestamp::from_second(3600 * n as i64).expect("in range");
        let point =
            |(n, rejects): (usize, &u64)| Point { from: at(n), to: at(n + 1), parts: 10_000, rejects: *rejects };
        let points: Vec<Point> = rejects.iter().enumerate().map(point).collect();
        let chart = judge(&points);
        assert!((chart.mean.expect("parts") - 0.1).abs() < 2e-4);
        chart.points[400..].iter().map(|it| it.rules.clone()).collect()
    }

    const NONE: Vec<u8> = Vec::new();

    #[test]
    fn one_point_beyond_three_deviations() {
        assert_eq!(rules(&[0.1, 3.3, -0.1]), [NONE, vec![1], NONE]);
        assert_eq!(rules(&[-3.3]), [vec![1]]);
        assert_eq!(rules(&[2.8]), [NONE]);
    }

    #[test]
    fn two_of_three_beyond_two_on_the_same_side() {
        assert_eq!(rules(&[2.3, 0.1, 2.3]), [NONE, NONE, vec![2]]);
        assert_eq!(rules(&[2.3, -0.1, -0.1, 2.3]), [NONE, NONE, NONE, NONE], "two of four");
        assert_eq!(rules(&[2.3, -2.3]), [NONE, NONE], "on both sides");
        assert_eq!(rules(&[-2.3, -2.3, 0.5]), [NONE, vec![2], NONE], "the third is none of them");
    }

    #[test]
    fn four_of_five_beyond_one_on_the_same_side() {
        assert_eq!(rules(&[1.3, 1.3, -0.2, 1.3, 1.3]).last(), Some(&vec![3]));
        assert_eq!(rules(&[1.3, 1.3, -0.2, 1.3, -1.3]).last(), Some(&NONE));
        assert_eq!(rules(&[-1.3, -1.3, -1.3, -1.3])[2..], [NONE, vec![3]]);
    }

    #[test]
    fn eight_on_the_same_side() {
        let seven = [0.5; 7];
        assert!(rules(&seven).iter().all(Vec::is_empty));
        assert_eq!(rules(&[0.5; 8]).last(), Some(&vec![4]));
        let broken: Vec<f64> = [0.5; 4].into_iter().chain([-0.5]).chain([0.5; 5]).collect();
        assert!(rules(&broken).iter().all(Vec::is_empty));
    }

    #[test]
    fn points_without_parts_say_nothing_and_nothing_is_no_chart() {
        let at = |n: i64| Timestamp::from_second(3600 * n).expect("in range");
        let point = |n: i64, parts, rejects| Point { from: at(n), to: at(n + 1), parts, rejects };
        let chart = judge(&[point(0, 100, 10), point(1, 0, 0), point(2, 400, 40)]);
        assert_eq!(chart.mean, Some(0.1));
        assert_eq!((chart.points[1].share, chart.points[1].rules.len()), (None, 0));
        // Three deviations of 100 parts at 10 %: 9 points; of 400 parts half of that.
        assert!((chart.points[0].high - 0.19).abs() < 1e-9 && (chart.points[0].low - 0.01).abs() < 1e-9);
        assert!((chart.points[2].high - 0.145).abs() < 1e-9);
        assert_eq!(judge(&[]).mean, None);
        assert!(judge(&[point(0, 50, 0), point(1, 50, 0)]).points.iter().all(|it| it.rules.is_empty()));
        assert!(judge(&[point(0, 50, 50), point(1, 50, 50)]).points.iter().all(|it| it.rules.is_empty()));
    }
}
