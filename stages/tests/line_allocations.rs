//! A warm line allocates nothing large: frames come from the source's pool, tensors are used again.
#![allow(unsafe_code)] // counting allocations takes a global allocator, and its trait is unsafe

mod line_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use line_support::*;
use models::bundle::Manifest;
use models::image::PixelFormat;
use models::prediction::{Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::capture::{Event, Pace};
use stages::frame::{Content, FramePool};
use stages::inspection::Inspection;
use stages::line::{Limits, Line, LineConfig, standard};
use stages::recipe::RecipeInForce;
use stages::record::{LateResult, Picture, RecordError, Recorder};

const LARGE: usize = 64 * 1024;
static ARMED: AtomicBool = AtomicBool::new(false);
static LARGE_ONES: AtomicU64 = AtomicU64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count(size: usize) {
    if size >= LARGE && ARMED.load(Ordering::Relaxed) {
        LARGE_ONES.fetch_add(1, Ordering::Relaxed);
        LARGEST.fetch_max(size as u64, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Keeps nothing: a store that grows would be measured too.
struct Forgetful;

impl Recorder for Forgetful {
    fn opened(&self, _: u64, _: jiff::Timestamp) -> Result<(), RecordError> {
        Ok(())
    }
    fn record(&self, _: Inspection, _: Option<Picture>) -> Result<(), RecordError> {
        Ok(())
    }
    fn late(&self, _: LateResult) -> Result<(), RecordError> {
        Ok(())
    }
}

/// Slow during the warm-up, so that parts pile up before `infer` and as many tensors are in use as ever can be.
struct Slow(FakeModel);

impl Model for Slow {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }
    fn digest(&self) -> &Arc<str> {
        self.0.digest()
    }
    fn provider(&self) -> Provider {
        self.0.provider()
    }
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        if !ARMED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.0.predict(tensor)
    }
}

const WARM_UP: usize = 150;
const MEASURED: usize = 150;
const SIDE: usize = 320;

#[test]
fn a_warm_line_allocates_nothing_large() {
    let model = Slow(FakeModel::new(Preprocess::imagenet(256)));
    let recipe = RecipeInForce::new(recipe_with(1, 20_000, 0.5).recipe.clone(), Arc::new(model)).expect("sound");
    let limits = Limits { workers: 2, hang_ms: 20_000, ..Limits::default() };
    // The window (seven workers and four stages), and what the recorder may still hold.
    let pool = FramePool::new(11 + limits.pinned_frames, SIDE * SIDE * 3);
    let picture: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| (i * 31 % 190) as u8 + 20).collect();
    let mut sent = 0;
    let source = source(Pace::OnDemand, move |wait| {
        sent += 1;
        if sent == WARM_UP {
            ARMED.store(true, Ordering::SeqCst);
        }
        if sent == WARM_UP + MEASURED {
            ARMED.store(false, Ordering::SeqCst);
            return Ok(Event::End);
        }
        let mut buffer = pool.take(wait + PATIENCE).expect("frames come back");
        buffer.extend_from_slice(&picture);
        let content = Content::Pixels { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Rgb8 };
        Ok(trigger(Ok(buffer.into_frame(content, sent as u64, None))))
    });
    let chain = standard(&limits);
    let line = Line::start(LineConfig {
        name: "line".into(),
        first_id: 1,
        source,
        stages: chain,
        recipe: Arc::new(recipe),
        recorder: Arc::new(Forgetful),
        serials: None,
        checker: None,
        sinks: vec![],
        limits,
    });
    let line = line.expect("the line starts");
    assert!(line.wait(PATIENCE));
    let counts = line.drain();
    assert_eq!(counts.pass as usize, WARM_UP + MEASURED - 1, "{counts:?}");
    let (large, largest) = (LARGE_ONES.load(Ordering::SeqCst), LARGEST.load(Ordering::SeqCst));
    assert_eq!(large, 0, "{large} allocations of {LARGE} bytes or more, the largest {largest}");

    // The meter itself works.
    ARMED.store(true, Ordering::SeqCst);
    drop(std::hint::black_box(vec![1u8; LARGE]));
    ARMED.store(false, Ordering::SeqCst);
    assert_eq!(LARGE_ONES.load(Ordering::SeqCst), 1);
}
