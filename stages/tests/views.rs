//! Several cameras for one part: what belongs together becomes one frame, and what lacks a view is a part without a picture.

mod line_support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use line_support::{FnSource, PATIENCE};
use models::image::{Image, PixelFormat, encode_png};
use stages::capture::views::{Views, ViewsConfig};
use stages::capture::{Event, Fault, Pace, Source, SourceConfig, SourceError, Trigger};
use stages::frame::{Content, Frame};
use stages::regions::Area;
use stages::verdict::Cause;

fn grey(width: u32, height: u32, value: u8) -> Frame {
    let content = Content::Pixels { width, height, format: PixelFormat::Mono8 };
    Frame::from_vec(content, vec![value; (width * height) as usize], 0, None)
}

fn taken(at: Instant, frame: Frame) -> Trigger {
    Trigger { at, serial: None, frame: Ok(frame), truth: None, call: None }
}

/// A camera that shows these, each not before its time.
fn camera(shots: Vec<Trigger>) -> Box<dyn Source> {
    let mut shots = VecDeque::from(shots);
    Box::new(FnSource {
        pace: Pace::Triggered,
        next: move |wait: Duration| {
            if shots.front().is_some_and(|shot| shot.at <= Instant::now()) {
                return Ok(shots.pop_front().map_or(Event::Idle, Event::Trigger));
            }
            std::thread::sleep(wait);
            Ok(Event::Idle)
        },
    })
}

fn join(cameras: Vec<Box<dyn Source>>) -> Views {
    let named = ["top", "left", "right"].into_iter().map(str::to_owned).zip(cameras);
    Views::join(named.collect(), 20, 100).expect("they go together")
}

fn parts(views: &mut Views, count: usize) -> Vec<Trigger> {
    let until = Instant::now() + PATIENCE;
    let mut parts = Vec::new();
    while parts.len() < count && Instant::now() < until {
        if let Ok(Event::Trigger(part)) = views.next(Duration::from_millis(20)) {
            parts.push(part);
        }
    }
    parts
}

/// The grey level in the middle of each view.
fn seen(part: &Trigger) -> Result<Vec<(String, u8)>, Fault> {
    let frame = part.frame.as_ref().map_err(Clone::clone)?;
    let Content::Pixels { width, format, .. } = frame.content() else { panic!("pixels") };
    let level = |area: Area| {
        let at = (area.y + area.height / 2) * width + area.x + area.width / 2;
        frame.bytes()[at as usize * format.channels()]
    };
    Ok(frame.views().iter().map(|view| (view.name.to_string(), level(view.area))).collect())
}

#[test]
fn pictures_of_one_time_are_one_part_and_a_lacking_one_is_told() {
    let start = Instant::now();
    let ms = |ms: u64| start + Duration::from_millis(ms);
    // Part 2 lacks its picture from the left; of part 4 the right one is 30 ms late, which is outside of the window.
    let top = camera([0, 60, 120, 180].iter().zip(1..).map(|(&at, n)| taken(ms(at), grey(8, 6, n))).collect());
    let left = camera([5, 125, 181].iter().zip([1, 3, 4]).map(|(&at, n)| taken(ms(at), grey(4, 3, 100 + n))).collect());
    let right = camera([10, 50, 120, 210].iter().zip(1..).map(|(&at, n)| taken(ms(at), grey(2, 2, 200 + n))).collect());
    let mut views = join(vec![top, left, right]);
    let parts = parts(&mut views, 5);
    let whole = |n: u8| Ok(vec![("top".to_owned(), n), ("left".to_owned(), 100 + n), ("right".to_owned(), 200 + n)]);
    let lacks =
        |names: &str| Err(Fault { cause: Cause::NoFrame, detail: format!("no picture of view {names} within 20 ms") });
    let said: Vec<_> = parts.iter().map(seen).collect();
    assert_eq!(said, [whole(1), lacks("`left`"), whole(3), lacks("`right`"), lacks("`top`, `left`")]);
    let times: Vec<Instant> = parts.iter().map(|part| part.at).collect();
    assert_eq!(times, [ms(0), ms(50), ms(120), ms(180), ms(210)], "each counts from its first picture");
}

#[test]
fn grey_and_coloured_pictures_of_any_size_stand_side_by_side_untouched() {
    let noise = |width: u32, height: u32, format: PixelFormat| {
        let bytes = width as usize * height as usize * format.channels();
        Image { width, height, format, data: (0..bytes).map(|at| (at * 37 % 251) as u8).collect() }
    };
    let (one, two) = (noise(5, 7, PixelFormat::Mono8), noise(3, 4, PixelFormat::Rgb8));
    let now = Instant::now();
    let content = Content::Pixels { width: 5, height: 7, format: PixelFormat::Mono8 };
    let raw = taken(now, Frame::from_vec(content, one.data.clone(), 0, None));
    let file = taken(now, Frame::from_vec(Content::Encoded, encode_png(two.view()).expect("a file"), 0, None));
    let mut views = join(vec![camera(vec![raw]), camera(vec![file])]);
    let part = parts(&mut views, 1).remove(0);
    let frame = part.frame.expect("a frame");
    assert_eq!(frame.content(), Content::Pixels { width: 8, height: 7, format: PixelFormat::Rgb8 });
    let whole = Image { width: 8, height: 7, format: PixelFormat::Rgb8, data: frame.bytes().to_vec() };
    let cut = |name: &str| {
        let view = frame.views().iter().find(|view| &*view.name == name).expect("a view");
        let mut out = Image::empty();
        view.area.cut(whole.view(), &mut out).expect("inside");
        out
    };
    assert_eq!(cut("left"), two);
    assert_eq!(cut("top").data, one.data.iter().flat_map(|&grey| [grey; 3]).collect::<Vec<u8>>());
}

#[test]
fn a_camera_that_is_away_or_sends_rubbish_costs_its_parts_and_no_other() {
    let start = Instant::now();
    let shots = |count: u64| (0..count).map(move |n| taken(start + Duration::from_millis(50 * n), grey(4, 4, n as u8)));
    let away = Box::new(FnSource {
        pace: Pace::Triggered,
        next: |wait: Duration| {
            std::thread::sleep(wait);
            Err(SourceError("link down".to_owned()))
        },
    });
    let mut views = join(vec![camera(shots(3).collect()), away]);
    let heard = Arc::new(Mutex::new(None));
    let mut lacking = 0;
    while lacking < 3 && start.elapsed() < PATIENCE {
        match views.next(Duration::from_millis(20)) {
            Ok(Event::Trigger(part)) => {
                assert_eq!(part.frame.err().map(|fault| fault.cause), Some(Cause::NoFrame));
                lacking += 1;
            }
            Err(error) => *heard.lock().unwrap() = Some(error.to_string()),
            Ok(_) => {}
        }
    }
    assert_eq!(heard.lock().unwrap().as_deref(), Some("view `left`: link down"));

    let short = Content::Pixels { width: 9, height: 9, format: PixelFormat::Mono8 };
    let now = Instant::now();
    for (rubbish, cause) in [
        (Ok(Frame::from_vec(short, vec![0; 3], 0, None)), Cause::Truncated),
        (Ok(Frame::from_vec(Content::Encoded, b"no picture".to_vec(), 0, None)), Cause::Unreadable),
        (Err(Fault { cause: Cause::Overload, detail: "no buffer".into() }), Cause::Overload),
    ] {
        let spoilt = Trigger { at: now, serial: None, frame: rubbish, truth: None, call: None };
        let mut views = join(vec![camera(vec![taken(now, grey(4, 4, 1))]), camera(vec![spoilt])]);
        let fault = parts(&mut views, 1).remove(0).frame.err().expect("no frame");
        assert_eq!(fault.cause, cause);
        assert!(fault.detail.starts_with("view `left`: "), "{}", fault.detail);
    }
}

#[test]
fn folders_are_joined_by_name_and_what_lacks_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    for (view, names) in [("top", ["a1", "a2", "a3", "a5"]), ("left", ["a1", "a3", "a4", "a5"])] {
        std::fs::create_dir(dir.path().join(view)).expect("made");
        for name in names {
            let image = Image { width: 4, height: 4, format: PixelFormat::Mono8, data: vec![view.len() as u8; 16] };
            std::fs::write(dir.path().join(view).join(format!("{name}.png")), encode_png(image.view()).unwrap())
                .unwrap();
        }
    }
    let text = "window_ms = 10\n[[views]]\nname = 'top'\nsource = { kind = 'folder', path = 'top', serial_from_name = true }\n\
                [[views]]\nname = 'left'\nsource = { kind = 'folder', path = 'left' }";
    let config: ViewsConfig = toml::from_str(text).expect("readable");
    let mut source = SourceConfig::Views(config);
    assert_eq!(source.problems(), Vec::<String>::new());
    source.relative_to(dir.path());
    let mut views = source.open().expect("open");
    assert_eq!(views.pace(), Pace::OnDemand);
    let mut said = Vec::new();
    loop {
        match views.next(Duration::from_millis(50)).expect("no trouble") {
            Event::Trigger(part) => {
                said.push((part.serial.map(|it| it.to_string()), part.frame.err().map(|it| it.detail)));
            }
            Event::Idle => {}
            Event::End => break,
        }
    }
    let lacks = |view: &str, name: &str| Some(format!("no picture of view `{view}` for {name}"));
    assert_eq!(
        said,
        [
            (Some("a1".into()), None),
            (Some("a2".into()), lacks("left", "a2")),
            (Some("a3".into()), None),
            (None, lacks("top", "a4")),
            (Some("a5".into()), None),
        ]
    );
}

#[test]
fn what_is_wrong_with_views_is_said_before_a_camera_is_opened() {
    let view = |name: &str, source: &str| format!("[[views]]\nname = '{name}'\nsource = {{ {source} }}\n");
    let (synthetic, folder) = ("kind = 'synthetic'", "kind = 'folder', path = ''");
    for (text, words) in [
        (view("a", synthetic), "`source.views` has 1: give 2 to 8 cameras"),
        (view("a", synthetic) + &view("a", synthetic), "`source.views[1].name` is `a`, which another"),
        (view("", synthetic) + &view("a", synthetic), "`source.views[0].name` is \"\""),
        (view("b", synthetic) + &view("a", folder), "`source.views[1].source.path` is empty"),
        ("window_ms = 0\n".to_owned() + &view("b", synthetic) + &view("a", synthetic), "`source.window_ms` is 0"),
        ("window_ms = 500\n".to_owned() + &view("b", synthetic) + &view("a", synthetic), "`source.wait_ms` is 300"),
        (view("b", "kind = 'views', views = []") + &view("a", synthetic), "views do not nest"),
    ] {
        let config: ViewsConfig = toml::from_str(&text).expect("readable");
        let problems = SourceConfig::Views(config).problems().join("\n");
        assert!(problems.contains(words), "{words}: {problems}");
    }
    let mixed = view("a", synthetic) + &view("b", "kind = 'synthetic', rate = 5.0");
    let config: ViewsConfig = toml::from_str(&mixed).expect("readable");
    let refused = Views::open(&config).err().expect("refused").to_string();
    assert!(refused.contains("views `a` and `b` do not go together"), "{refused}");
}
