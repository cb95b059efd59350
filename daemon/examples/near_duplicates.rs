//! What tells two shots of one part from two parts of one surface: by this the floors of `models_train::near` were chosen.
//!
//!     cargo run -p inspectd --example near_duplicates -- TRUNK [PARTS [SEED]]
//!
//! For each drawn surface PARTS parts are drawn, and each a second time with other noise, moved, turned and lit a little: a duplicate.
//! Every other pair is none. Both likenesses of every pair are measured, and for each floor how many duplicates it would lose and how
//! many pairs of different parts it would let through. TRUNK is ImageNet's: it has never seen a drawn surface.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use models::image::{Image, PixelFormat};
use models::weights::load_trunk;
use models_train::augment::Augment;
use models_train::near::{Embed, Seen, TrunkEmbed, centre, compare, copied, likeness, shot_again};
use models_train::samples::Sample;
use stages::capture::synthetic::{Ask, Mix, Renderer, Stream, Surface};

/// As a small camera would give them.
const SIDE: u32 = 256;
const COSINES: [f32; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const AGREEMENTS: [f32; 6] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [trunk, rest @ ..] = &arguments[..] else { anyhow::bail!("give the trunk's file") };
    let number = |at: usize, usual: u64| rest.get(at).map_or(Ok(usual), |text| text.parse());
    let (parts, seed) = (number(0, 40)?, number(1, 1)?);
    let embed = TrunkEmbed::new(&load_trunk(trunk.as_ref())?, None)?;
    for surface in Surface::ALL {
        println!("\n{surface:?}, {parts} parts, each shot twice");
        let (first, second) = shots(surface, parts, seed);
        pairs(&embed, &first, &second)?;
        clusters(&embed, &first, &second, seed)?;
    }
    Ok(())
}

/// The parts of one surface, and each shot again.
fn shots(surface: Surface, parts: u64, seed: u64) -> (Vec<Image>, Vec<Image>) {
    let mix = Mix { surfaces: vec![surface], bad_frame_rate: 0.0, ..Mix::default() };
    // One tile: all parts are cut from the same casting, so to speak. It is the hardest case.
    let renderer = Renderer::new(Stream::Line, seed, 1, mix);
    let draw = |shot: u64| -> Vec<Image> {
        let mut renderer = renderer.clone().with_shot(shot);
        let one = |index| {
            let mut data = Vec::new();
            let drawn = renderer.render(index, Ask::AsItComes, [SIDE; 2], &mut data);
            Image { width: drawn.width, height: drawn.height, format: PixelFormat::Rgb8, data }
        };
        (0..parts).map(one).collect()
    };
    // A part that was taken off and laid back: half of a degree, half of a per cent, the lamp a little older.
    let laid_back = Augment { rotation_deg: 0.5, translation: 0.005, brightness: 0.02, ..Augment::none() };
    let again = |(index, image): (u64, Image)| {
        let mut sample = Sample { image, labels: vec![0], weight: 1.0, mask: None };
        laid_back.apply_at(&mut sample, seed, index);
        sample.image
    };
    (draw(0), (0..).zip(draw(1)).map(again).collect())
}

fn seen(embed: &TrunkEmbed, images: &[Image], from: usize) -> anyhow::Result<Vec<Seen>> {
    let prepared: Vec<Image> = images.iter().map(|image| embed.prepare(image)).collect();
    let vectors = embed.embed(&prepared)?.into_iter().zip(&prepared);
    Ok((from..).zip(vectors).map(|(index, (vector, image))| Seen::new(index, vector, image)).collect())
}

/// Every floor by itself, and both together.
fn pairs(embed: &TrunkEmbed, first: &[Image], second: &[Image]) -> anyhow::Result<()> {
    let (mut first, mut second) = (seen(embed, first, 0)?, seen(embed, second, 0)?);
    // The set of a real data folder: each part once, some twice. Its mean is that of the parts.
    centre(&mut first, &mut second);
    let same: Vec<[f32; 2]> = first.iter().zip(&second).map(|(a, b)| likeness(a, b)).collect();
    let others = |at: usize| (0..at).map(move |other| (at, other));
    let different: Vec<[f32; 2]> =
        (0..first.len()).flat_map(others).map(|(a, b)| likeness(&first[a], &first[b])).collect();
    let below = |floor: [f32; 2]| same.iter().filter(|[c, a]| *c < floor[0] || *a < floor[1]).count();
    let above = |floor: [f32; 2]| different.iter().filter(|[c, a]| *c >= floor[0] && *a >= floor[1]).count();
    let row = |name: String, floor: [f32; 2]| {
        let (lost, let_through) = (below(floor), above(floor));
        println!(
            "  {name:<28} loses {lost:>3} of {}, lets {let_through:>4} of {} through",
            same.len(),
            different.len()
        );
    };
    COSINES.iter().for_each(|&cosine| row(format!("cosine {cosine}"), [cosine, -1.0]));
    AGREEMENTS.iter().for_each(|&agreement| row(format!("agreement {agreement}"), [-1.0, agreement]));
    for cosine in COSINES {
        AGREEMENTS.iter().for_each(|&agreement| {
            row(format!("cosine {cosine}, agreement {agreement}"), [cosine, agreement]);
        });
    }
    Ok(())
}

/// The whole method with the floors that it has: a folder with each part and every fourth one's second shot.
fn clusters(embed: &TrunkEmbed, first: &[Image], second: &[Image], seed: u64) -> anyhow::Result<()> {
    let twice: Vec<usize> = (0..first.len()).step_by(4).collect();
    let images: Vec<Image> = first.iter().chain(twice.iter().map(|&part| &second[part])).cloned().collect();
    let copies: Vec<usize> = copied(images.len(), seed);
    let imagined: Vec<Image> = copies.iter().map(|&at| shot_again(&embed.prepare(&images[at]), at, seed)).collect();
    let mut again = seen(embed, &imagined, 0)?;
    again.iter_mut().zip(&copies).for_each(|(copy, &original)| copy.index = original);
    let near = compare(seen(embed, &images, 0)?, again, None);
    let part = |index: usize| if index < first.len() { index } else { twice[index - first.len()] };
    let found = twice.iter().enumerate().filter(|(nth, part)| {
        let pair = [**part, first.len() + nth];
        near.clusters.iter().any(|cluster| pair.iter().all(|one| cluster.contains(one)))
    });
    let mixed = near.clusters.iter().filter(|cluster| cluster.iter().any(|&one| part(one) != part(cluster[0])));
    println!(
        "  found {} of {} second shots at cosine {:.3}, agreement {:.3}; {} clusters mix parts",
        found.count(),
        twice.len(),
        near.cosine,
        near.agreement,
        mixed.count()
    );
    Ok(())
}
