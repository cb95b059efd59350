//! A number scattered over 64 bits, the same on every machine: cheap enough for every part and every row of a frame.

/// SplitMix64's next number after the state `number` (Steele, Lea and Flood, 2014).
pub fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_those_of_the_paper_s_generator() {
        // The first of java.util.SplittableRandom's twin with seed 0, as every implementation gives it.
        assert_eq!(super::scatter(0), 0xe220_a839_7b1d_cdaf);
    }
}
