//! The conveyor as the line sees it: its beat, its settings, its truth.

use super::*;

fn trigger(source: &mut Synthetic) -> Trigger {
    for _ in 0..100 {
        match source.next(Duration::from_millis(200)).unwrap() {
            Event::Trigger(trigger) => return trigger,
            Event::Idle => {}
            Event::End => panic!("the line ended early"),
        }
    }
    panic!("no trigger in 20 s");
}

fn small() -> SyntheticConfig {
    SyntheticConfig { size: 128, surfaces: vec![Surface::Cast], ..SyntheticConfig::default() }
}

#[test]
fn parts_come_in_order_with_serial_and_truth_and_then_end() {
    let mut source = Synthetic::open(SyntheticConfig { parts: Some(6), bad_frame_rate: 0.0, ..small() }).unwrap();
    assert_eq!(source.pace(), Pace::OnDemand);
    for index in 0..6 {
        let part = trigger(&mut source);
        let frame = part.frame.unwrap();
        assert_eq!(part.serial.as_deref(), Some(format!("S{index:06}").as_str()));
        assert_eq!(frame.sequence(), index);
        assert_eq!(frame.bytes().len(), 128 * 128 * 3);
        assert!(part.truth.is_some_and(|truth| !truth.bad_frame));
    }
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::End));
    assert!(matches!(source.next(Duration::ZERO).unwrap(), Event::End), "and stays ended");
}

#[test]
fn a_rate_is_kept_from_below_and_an_early_question_is_idle() {
    let config = SyntheticConfig { rate: Some(50.0), jitter: 0.5, ..small() };
    let mut source = Synthetic::open(config).unwrap();
    assert_eq!(source.pace(), Pace::Triggered);
    let first = trigger(&mut source).at;
    let last = (0..10).map(|_| trigger(&mut source).at).last().unwrap();
    // Ten beats of 20 ms, less the jitter of half a beat: never faster, however loaded the machine is.
    assert!(last - first >= Duration::from_millis(150), "{:?}", last - first);

    let mut slow = Synthetic::open(SyntheticConfig { rate: Some(0.1), jitter: 0.0, ..small() }).unwrap();
    trigger(&mut slow);
    assert!(matches!(slow.next(Duration::from_millis(5)).unwrap(), Event::Idle));
}

#[test]
fn a_held_pool_costs_a_triggered_line_pictures_but_no_trigger() {
    let mut source = Synthetic::open(SyntheticConfig { rate: Some(2000.0), ..small() }).unwrap();
    let mut held = Vec::new();
    let lost = (0..POOL_FRAMES + AHEAD + 2)
        .filter_map(|_| {
            let part = trigger(&mut source);
            assert!(part.truth.is_some());
            part.frame.map(|frame| held.push(frame)).err()
        })
        .collect::<Vec<_>>();
    assert_eq!(held.len(), POOL_FRAMES);
    assert!(lost.iter().all(|fault| fault.cause == Cause::Overload && fault.detail.contains("64 frames")));
    held.clear();
    assert!((0..20).any(|_| trigger(&mut source).frame.is_ok()), "the line recovers");
}

#[test]
fn a_held_pool_makes_a_line_on_demand_wait() {
    let mut source = Synthetic::open(small()).unwrap();
    let held: Vec<_> = (0..POOL_FRAMES).map(|_| trigger(&mut source)).collect();
    assert!(matches!(source.next(Duration::from_millis(120)).unwrap(), Event::Idle));
    drop(held);
    assert_eq!(trigger(&mut source).serial.as_deref(), Some("S000064"), "no part was skipped");
}

#[test]
fn every_bad_setting_is_named() {
    let config = SyntheticConfig {
        rate: Some(-1.0),
        jitter: 2.0,
        defect_rate: f32::NAN,
        bad_frame_rate: -0.1,
        size: 3,
        surfaces: vec![],
        ..SyntheticConfig::default()
    };
    let Err(error) = Synthetic::open(config) else { panic!("opened") };
    for name in ["rate", "jitter", "defect_rate", "bad_frame_rate", "size", "surfaces"] {
        assert!(error.0.contains(&format!("`source.{name}`")), "{name} is missing in: {error}");
    }
    assert!(SyntheticConfig::default().problems().is_empty());
}

#[test]
fn the_source_is_chosen_and_set_in_a_configuration() {
    let text = "kind = 'synthetic'\nseed = 7\nrate = 12.5\nsurfaces = ['cast', 'brushed_metal']\nparts = 3";
    let crate::capture::SourceConfig::Synthetic(config) = toml::from_str(text).unwrap() else {
        panic!("another source")
    };
    assert_eq!((config.seed, config.rate, config.parts), (7, Some(12.5), Some(3)));
    assert_eq!(config.surfaces, [Surface::Cast, Surface::BrushedMetal]);
    let unknown = toml::from_str::<crate::capture::SourceConfig>("kind = 'synthetic'\nsped = 7").unwrap_err();
    assert!(unknown.to_string().contains("sped"), "{unknown}");
}
