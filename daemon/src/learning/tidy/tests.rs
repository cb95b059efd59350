//! Long random lives of a register: nothing that is in force or on the way back is ever removed, and what is kept is bounded.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// A register without a disk.
#[derive(Default)]
struct Life {
    /// Oldest first.
    models: Vec<Model>,
    promotions: Vec<Promotion>,
    in_force: Option<Arc<str>>,
    /// Models that decided before, the newest last: where ways back lead.
    trail: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
enum Step {
    /// A kind is registered, and in force at once.
    Kind,
    /// A training ends.
    Training,
    /// One of the newest models is put in force.
    Promote(usize),
    Rollback,
}

impl Life {
    fn new() -> Life {
        let mut life = Life::default();
        life.add(Origin::Recipe);
        life.in_force = Some(life.models[0].digest.clone());
        life
    }

    fn now(&self) -> Arc<str> {
        self.in_force.clone().expect("one is in force")
    }

    fn add(&mut self, origin: Origin) -> Arc<str> {
        let digest: Arc<str> = format!("{:016x}", self.models.len()).into();
        self.models.push(Model {
            digest: digest.clone(),
            name: String::new(),
            labels: Vec::new(),
            parent: self.in_force.clone(),
            origin,
            at: Timestamp::UNIX_EPOCH,
            by: "eve".into(),
            gate: None,
            removed_at: None,
        });
        digest
    }

    fn put_in_force(&mut self, digest: Arc<str>, rollback: bool) {
        let previous = self.now();
        if digest == previous {
            return;
        }
        let (base, by) = (self.models[0].digest.clone(), "eve".into());
        let at = Timestamp::UNIX_EPOCH;
        let promotion =
            Promotion { digest: digest.clone(), previous, base, at, by, reason: None, forced: false, rollback };
        self.promotions.push(promotion);
        self.in_force = Some(digest);
    }

    /// As the register's own: refused where the file is gone.
    fn is_there(&self, digest: &str) -> bool {
        self.models.iter().any(|model| *model.digest == *digest && model.removed_at.is_none())
    }

    /// Models within reach of a few ways back, as far as they are there.
    fn way_back(&self) -> Vec<Arc<str>> {
        let start = self.now();
        let back = std::iter::successors(Some(&start), |digest| before(&self.promotions, digest));
        back.take(WAY_BACK + 1).filter(|digest| self.is_there(digest)).cloned().collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Kind => {
                let kind = self.add(Origin::FewShot { label: "burr".into(), shots: 1 });
                self.trail.push(self.now());
                self.put_in_force(kind, false);
            }
            Step::Training => drop(self.add(Origin::Job { number: 1, dataset: String::new() })),
            Step::Promote(back) => {
                let digest = self.models[self.models.len().saturating_sub(1 + back)].digest.clone();
                if self.is_there(&digest) && digest != self.now() {
                    self.trail.push(self.now());
                    self.put_in_force(digest, false);
                }
            }
            Step::Rollback => {
                let to = before(&self.promotions, &self.now()).cloned().filter(|digest| self.is_there(digest));
                to.into_iter().for_each(|digest| self.put_in_force(digest, true));
            }
        }
    }

    fn tidy(&mut self) {
        let newest_first: Vec<Model> = self.models.iter().rev().cloned().collect();
        let gone = dispensable(&newest_first, &self.promotions, &[&self.now()]);
        for model in &mut self.models {
            if gone.contains(&model.digest) {
                model.removed_at = Some(Timestamp::UNIX_EPOCH);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => Just(Step::Kind), 4 => Just(Step::Training), 2 => (0_usize..40).prop_map(Step::Promote), 2 => Just(Step::Rollback)]
}

proptest! {
    #[test]
    fn what_decides_or_can_decide_by_a_way_back_is_never_removed(steps in prop::collection::vec(step(), 1..300)) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
            let way_back = life.way_back();
            life.tidy();
            prop_assert_eq!(life.way_back(), way_back, "the way back");
            prop_assert!(life.is_there(&life.now()), "what is in force");
            let last = life.promotions.last();
            prop_assert!(last.is_none_or(|last| life.is_there(&last.digest)), "what a restart puts in force");
            prop_assert!(last.is_none_or(|last| life.is_there(&last.previous)), "what is still loaded");
            let files = life.models.iter().filter(|model| model.removed_at.is_none()).count();
            prop_assert!(files <= 1 + KINDS + 2 * CANDIDATES + 5 * WAY_BACK, "{files} files");
        }
    }

    #[test]
    fn five_kinds_can_be_taken_back_one_after_the_other(kinds in 1_usize..40) {
        let mut life = Life::new();
        for _ in 0..kinds {
            life.step(&Step::Kind);
            life.tidy();
        }
        for _ in 0..kinds.min(WAY_BACK) {
            let before = life.now();
            life.step(&Step::Rollback);
            life.tidy();
            prop_assert_eq!(Some(life.now()), life.trail.pop());
            prop_assert_ne!(life.now(), before);
        }
    }
}

#[test]
fn a_candidate_keeps_the_model_that_it_was_measured_against() {
    let mut life = Life::new();
    life.step(&Step::Kind);
    let champion = life.now();
    life.step(&Step::Training);
    let candidate = life.models.last().expect("a candidate").digest.clone();
    for _ in 0..3 * KINDS {
        life.step(&Step::Kind);
        life.tidy();
    }
    assert!(life.is_there(&candidate) && life.is_there(&champion));
    let kinds = life.models.iter().filter(|it| it.removed_at.is_none() && it.origin != Origin::Recipe).count();
    assert!(kinds < 3 * KINDS, "{kinds} are kept");
    for _ in 0..=CANDIDATES {
        life.step(&Step::Training);
        life.tidy();
    }
    assert!(!life.is_there(&candidate) && !life.is_there(&champion), "newer ones are there");
}
