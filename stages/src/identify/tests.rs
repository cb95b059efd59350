//! The stage's own parts: the time that it may take, the rectangle that it cuts out.

use super::*;

#[test]
fn half_of_what_is_left_is_kept_for_the_stages_after_this_one() {
    let now = Instant::now();
    let in_ms = |ms| now + Duration::from_millis(ms);
    assert_eq!(time_to(in_ms(200), 40, now), in_ms(40));
    assert_eq!(time_to(in_ms(60), 40, now), in_ms(30));
    assert_eq!(time_to(now, 40, in_ms(5)), in_ms(5), "late already: no time at all");
}

#[test]
fn the_rectangle_is_cut_out_in_grey_or_refused_with_both_sizes() {
    let data: Vec<u8> = (0..12_u8).flat_map(|at| [at * 10; 3]).collect();
    let view = ImageView { width: 4, height: 3, format: PixelFormat::Rgb8, data: &data };
    let mut grey = Grey::default();
    region(view, Some([1, 1, 2, 2]), &mut grey).expect("inside");
    assert_eq!((grey.width, grey.height, grey.data.as_slice()), (2, 2, &[50, 60, 90, 100][..]));
    region(view, None, &mut grey).expect("all of it");
    assert_eq!(grey.data.len(), 12);
    for outside in [[3, 0, 2, 2], [0, 0, u32::MAX, u32::MAX], [u32::MAX, 0, 1, 1]] {
        let words = region(view, Some(outside), &mut grey).expect_err("outside");
        assert!(words.contains("the picture has 4 x 3 pixels"), "{words}");
    }
}
