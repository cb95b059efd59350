//! Jobs go only where they can, one at a time, and outlive the process.

use super::*;

fn jobs() -> (tempfile::TempDir, Jobs) {
    let dir = tempfile::tempdir().expect("a folder");
    let jobs = Jobs::open(dir.path());
    (dir, jobs)
}

#[test]
fn one_at_a_time_and_each_goes_only_where_it_can() {
    let (dir, jobs) = jobs();
    let by: Arc<str> = "eve".into();
    let first = jobs.start(&by, "by hand", 0).expect("a job").number;
    assert!(matches!(jobs.start(&by, "by hand", 0), Err(JobError::Busy(busy)) if busy == first));
    assert!(matches!(jobs.resume(first), Err(JobError::State { .. })), "it is not paused");
    assert!(matches!(jobs.delete(first), Err(JobError::State { .. })), "it has not ended");
    assert_eq!(jobs.pause(first).expect("paused").state, JobState::Paused);
    assert!(matches!(jobs.start(&by, "by hand", 0), Err(JobError::Busy(_))), "a paused one has not ended");
    assert_eq!(jobs.resume(first).expect("goes on").state, JobState::Waiting);
    assert_eq!(jobs.cancel(first).expect("ended").state, JobState::Cancelled);
    assert!(matches!(jobs.cancel(first), Err(JobError::State { .. })));
    let second = jobs.start(&by, "200 new labels", 7).expect("a job");
    assert!(second.number > first);
    jobs.delete(first).expect("gone");
    assert!(matches!(jobs.detail(first), Err(JobError::Unknown(_))));

    // As a kill leaves it: running.
    jobs.keep(&mut jobs.lock(), Job { state: JobState::Running, ..second }).expect("kept");
    std::fs::create_dir_all(dir.path().join("jobs/99")).expect("a folder");
    std::fs::write(dir.path().join("jobs/99/job.json"), b"{ torn").expect("a file");
    let again = Jobs::open(dir.path());
    let states: Vec<JobState> = again.list().iter().map(|(job, _)| job.state).collect();
    assert_eq!(states, [JobState::Waiting], "it goes on; what cannot be read is left alone");
}

#[test]
fn a_candidate_is_judged_again_so_often_and_no_oftener() {
    let (_dir, jobs) = jobs();
    let job = jobs.start(&"eve".into(), "by hand", 0).expect("a job");
    let refused = |words: &str| {
        let error = jobs.judge_again(job.number).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
    };
    refused("done");
    let done = Job { state: JobState::Done, judged: 1, ..job.clone() };
    jobs.keep(&mut jobs.lock(), done.clone()).expect("kept");
    refused("made room");
    std::fs::write(place(&jobs.dir, job.number).candidate(), b"bytes").expect("a file");
    assert_eq!(jobs.judge_again(job.number).expect("once more").state, JobState::Waiting);
    assert_eq!(jobs.cancel(job.number).expect("given up").state, JobState::Done, "it has its candidate all the same");
    jobs.keep(&mut jobs.lock(), Job { judged: MOST_LOOKS, ..done }).expect("kept");
    refused("five times");
    let alphas: Vec<f64> = (0..MOST_LOOKS).map(|look| run::terms_of_look(Default::default(), look).alpha).collect();
    assert!(alphas.iter().sum::<f64>() < 2.0 * alphas[0] && alphas[4] > 0.001, "{alphas:?}");
}

#[test]
fn jobs_long_past_keep_their_record_alone() {
    let (_dir, jobs) = jobs();
    let by: Arc<str> = "eve".into();
    let place = |number: u64| place(&jobs.dir, number);
    for number in 1..=WHOLE as u64 + 3 {
        jobs.start(&by, "by hand", 0).expect("a job");
        fs::create_dir_all(place(number).data().join("line")).expect("a folder");
        for file in [place(number).data().join("line/1.jpg"), place(number).candidate(), place(number).champion()] {
            fs::write(file, b"bytes").expect("a file");
        }
        place(number).note("a word");
        fs::write(place(number).0.join("candidate.bundle.partial"), b"bytes").expect("a file");
        // The last one still runs.
        if number <= WHOLE as u64 + 2 {
            jobs.cancel(number).expect("ended");
        }
        jobs.tidy();
    }
    for (number, whole) in (1..=WHOLE as u64 + 3).map(|number| (number, number > 2)) {
        assert_eq!(place(number).data().join("line/1.jpg").exists(), whole, "data of {number}");
        assert_eq!(
            place(number).candidate().exists() && place(number).champion().exists(),
            whole,
            "bundles of {number}"
        );
        assert_eq!(place(number).0.join("candidate.bundle.partial").exists(), whole, "checkpoint of {number}");
        let detail = jobs.detail(number).expect("on record");
        assert_eq!(detail.log.iter().filter(|line| line.contains("made room")).count(), usize::from(!whole), "once");
    }
    assert_eq!(jobs.list().len(), WHOLE + 3);
}
