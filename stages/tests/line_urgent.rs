//! Real-time priority: the threads that a triggered part waits for have it, and no other.

mod line_support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use line_support::*;
use scheduler::{Policy, get_self_policy, set_self_policy};
use stages::capture::Pace;
use stages::frame::FramePool;
use stages::line::Limits;
use stages::verdict::Verdict;

#[test]
fn a_triggered_lines_threads_run_before_others_where_the_system_lets_them() {
    let allowed = std::thread::spawn(|| set_self_policy(Policy::RoundRobin, 10).is_ok()).join().expect("a thread");
    if !allowed {
        println!("SKIPPED: this user has no right to real-time priority (RLIMIT_RTPRIO)");
        return;
    }
    for (pace, realtime_priority, expected) in
        [(Pace::Triggered, 10, "RoundRobin"), (Pace::Triggered, 0, "Other"), (Pace::OnDemand, 10, "Other")]
    {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let note = {
            let seen = seen.clone();
            move || {
                let name = std::thread::current().name().unwrap_or_default().to_owned();
                let policy = match get_self_policy() {
                    Ok(Policy::RoundRobin) => "RoundRobin",
                    Ok(Policy::Other) => "Other",
                    _ => "another",
                };
                seen.lock().expect("no panic").insert(name, policy);
            }
        };
        let at_source = note.clone();
        let mut left = 8;
        let pool = FramePool::new(16, FRAME_BYTES);
        let source = source(pace, move |_| {
            at_source();
            left -= 1;
            std::thread::sleep(Duration::from_millis(2));
            Ok(if left < 0 { stages::capture::Event::End } else { trigger(frame_from(&pool, 1)) })
        });
        let chain = vec![through("infer", 1, move |_| note()), decider(|_| Verdict::Pass)];
        let limits = Limits { realtime_priority, ..Limits::default() };
        let rig = Setup { limits, ..Setup::default() }.start(source, chain);
        assert!(rig.line.wait(PATIENCE));
        assert_eq!(rig.line.drain().pass, 8);
        let seen = seen.lock().expect("no panic");
        let expected = BTreeMap::from([("capture".to_owned(), expected), ("infer-0".to_owned(), expected)]);
        assert_eq!(*seen, expected, "{pace:?}, priority {realtime_priority}");
    }
    assert!(matches!(get_self_policy(), Ok(Policy::Other)), "whoever started the line is as before");
}
