//! Writes parts of the synthetic line as pictures, one folder per label: data to try `inspectd eval`, `models certify` and
//! `models export` on: `cargo run -p stages --example parts -- DIR [PARTS] [SEED]`.
//!
//! Half of the parts are good. They are of the line's random stream, so the shipped model cannot have learned any of them.

use std::path::PathBuf;

use models::image::{ImageView, PixelFormat, encode_png};
use stages::capture::synthetic::{Ask, Defect, Mix, Renderer, Stream};

const SIDE: u32 = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: parts DIR [PARTS] [SEED]")?);
    let parts: u64 = args.next().map_or(Ok(400), |text| text.parse())?;
    let seed = args.next().map_or(Ok(4711), |text| text.parse())?;
    let mut renderer = Renderer::new(Stream::Line, seed, 4, Mix { bad_frame_rate: 0.0, ..Mix::default() });
    let mut data = Vec::new();
    for index in 0..parts {
        let defect = Defect::ALL[index as usize / 2 % Defect::ALL.len()];
        let (label, ask) = if index % 2 == 0 { ("good", Ask::Good) } else { (defect.label(), Ask::With(defect)) };
        let drawn = renderer.render(index, ask, [SIDE; 2], &mut data);
        let view = ImageView { width: drawn.width, height: drawn.height, format: PixelFormat::Rgb8, data: &data };
        let folder = dir.join(label);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{index:05}.png")), encode_png(view)?)?;
    }
    Ok(())
}
