//! Who knows the truth: what the program has acknowledged, told by the program itself at that moment, kept outside it.
//!
//! Acknowledged is what the live events say: the store tells its subscribers after `fdatasync`. A thread reads the stream until the program
//! ends, so that whatever it said in its last instant is known.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use system_tests::Program;

/// Records by id, each as it was first shown.
pub(crate) type Records = BTreeMap<u64, Value>;

/// See the module.
#[derive(Default)]
pub(crate) struct Oracle {
    acknowledged: Arc<Mutex<Records>>,
}

impl Oracle {
    /// Listens to a program until it ends. Join the thread after that and before [`check`](Self::check).
    pub(crate) fn listen(&self, program: &Program) -> JoinHandle<()> {
        let url = format!("{}/api/v1/events", program.url);
        let acknowledged = self.acknowledged.clone();
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let answer = agent.get(url).call().expect("the events");
        thread::spawn(move || {
            let mut event = String::new();
            for line in BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok) {
                if let Some(name) = line.strip_prefix("event:") {
                    event = name.trim().to_owned();
                }
                // The last line may have been cut short with its program.
                if event == "inspection"
                    && let Some(data) = line.strip_prefix("data:")
                    && let Ok(record) = serde_json::from_str::<Value>(data)
                {
                    let mut all = acknowledged.lock().expect("sound");
                    let before = all.insert(id(&record), steady(record.clone()));
                    assert!(before.is_none(), "part {} was acknowledged twice", id(&record));
                }
            }
        })
    }

    /// How many records were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().expect("sound").len()
    }

    /// What was acknowledged.
    pub(crate) fn records(&self) -> Records {
        self.acknowledged.lock().expect("sound").clone()
    }

    /// Each acknowledged record is found, once, unchanged; the law holds. Gives everything that was found.
    pub(crate) fn check(&self, program: &Program) -> Records {
        // More is acknowledged while the pages are read.
        let acknowledged = self.records();
        let kept = everything(program);
        for (id, record) in &acknowledged {
            assert_eq!(kept.get(id), Some(record), "part {id} was acknowledged");
        }
        program.counts();
        kept
    }
}

/// Every record of the store, by pages; an id that comes twice is a failure.
pub(crate) fn everything(program: &Program) -> Records {
    let mut kept = Records::new();
    let mut path = "/api/v1/inspections?limit=200".to_owned();
    loop {
        let page = program.get(&path);
        for item in page["items"].as_array().expect("items") {
            assert_eq!(kept.insert(id(item), steady(item.clone())), None, "part {} is there twice", id(item));
        }
        match page["next"].as_u64() {
            Some(next) => path = format!("/api/v1/inspections?limit=200&before={next}"),
            None => return kept,
        }
    }
}

/// No trigger between the first and the last is unaccounted for.
pub(crate) fn without_gaps(records: &Records) {
    let ids: Vec<u64> = records.keys().copied().collect();
    let gap = ids.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(gap, None, "a trigger between these two parts is unaccounted for");
}

pub(crate) fn restarts(records: &Records) -> usize {
    records.values().filter(|record| record["cause"] == "restart").count()
}

fn id(record: &Value) -> u64 {
    record["id"].as_u64().expect("an id")
}

/// A record without what may change by right: whether a picture is at hand, what people said of it, a result that came late.
fn steady(mut record: Value) -> Value {
    let fields = record.as_object_mut().expect("an object");
    for name in ["has_image", "picture_let_go", "late_result", "review"] {
        fields.remove(name);
    }
    record
}
