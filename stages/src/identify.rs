//! The `identify` stage: which part this is. It reads the code in the picture where the recipe's `[identity]` asks for one; every
//! other origin of a serial number is settled when the part is opened ([`Naming`]).
//!
//! A serial number never costs a part its verdict: a code that is not read leaves a part without one, and says so in its record. Nor does
//! it cost a part its deadline: reading happens on a thread of its own ([`desk`]), and the stage waits for it no longer than
//! `budget_ms`, and no longer than half of what is left until the part's deadline. So a line that falls behind reads shorter, and
//! what comes after this stage always has at least as much time as it has used.

pub mod code;
mod config;
mod desk;
mod naming;
mod pattern;
pub mod serial;

use std::sync::Arc;
use std::time::{Duration, Instant};

use models::image::{ImageView, PixelFormat};
use opencv::core::{Mat, Rect};
use opencv::imgproc;
use opencv::prelude::*;

pub use self::config::{Identification, Origin};
pub use self::naming::{Naming, Serials};
pub use self::pattern::{LotPattern, Pattern};

use self::code::{Code, Found, Grey};
use self::desk::Desk;
use crate::inspection::{Identity, IdentityState};
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::Verdict;

/// Makes the `identify` stage.
pub struct Identify {
    /// Threads that identify at once; each has one more that reads.
    pub workers: usize,
}

impl StageFactory for Identify {
    fn name(&self) -> &'static str {
        "identify"
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Worker { desk: None })
    }

    fn is_asked(&self, recipe: &RecipeInForce) -> bool {
        recipe.recipe.identity.from == Origin::Code
    }
}

struct Worker {
    /// Opened with the first picture that is to be read.
    desk: Option<Desk>,
}

impl Stage for Worker {
    fn process(&mut self, mut part: Part) -> Flow {
        let recipe = part.recipe.clone();
        let config = &recipe.recipe.identity;
        if config.from == Origin::Code {
            let deadline = part.triggered + Duration::from_millis(u64::from(recipe.recipe.deadline_ms));
            let until = time_to(deadline, config.budget_ms, Instant::now());
            let (serial, identity) = told(self.read(&part, config, until), config);
            part.serial = serial;
            part.identity = Some(identity);
        }
        Flow::Next(part)
    }
}

/// Until when a code may be looked for.
fn time_to(deadline: Instant, budget_ms: u32, now: Instant) -> Instant {
    let half = deadline.saturating_duration_since(now) / 2;
    now + half.min(Duration::from_millis(u64::from(budget_ms)))
}

impl Worker {
    fn read(&mut self, part: &Part, config: &Identification, until: Instant) -> Result<Code, String> {
        let Some(view) = part.view() else { return Err("the part arrived without pixels".to_owned()) };
        if self.desk.is_none() {
            self.desk = Some(Desk::open().map_err(|error| format!("no new thread: {error}"))?);
        }
        let Some(desk) = &mut self.desk else { return Err("no reader".to_owned()) };
        let began = Instant::now();
        let found = desk.read(|grey| region(view, config.region, grey), &config.formats, until)?;
        match found {
            Found::Code(code) => Ok(code),
            Found::Nothing => Err("no code was found".to_owned()),
            Found::TimeUp => Err(format!("no code was found in {} ms", began.elapsed().as_millis())),
        }
    }
}

/// What a code, or its absence, says of a part.
fn told(code: Result<Code, String>, config: &Identification) -> (Option<Arc<str>>, Identity) {
    let unread = |detail: String| Identity::unread(Origin::Code, config.consecutive, detail);
    match code {
        Err(why) => (None, unread(why)),
        Ok(Code { text, format }) => match naming::extracted(&text, config.pattern.as_ref()) {
            Ok(serial) => {
                let read = Identity::read(Origin::Code, config.consecutive);
                (Some(serial), Identity { format: Some(format), ..read })
            }
            Err(why) => {
                let said = format!("a code ({}) was read, but {why}", format.word());
                (None, Identity { format: Some(format), ..unread(said) })
            }
        },
    }
}

/// What a part gets that must have a serial number and has none: it does not pass. Parts from outside any line are not judged by it.
pub fn demanded(decision: Decision, part: &Part) -> Decision {
    let missing = part.identity.as_ref().filter(|identity| identity.state == IdentityState::Unread);
    match missing {
        Some(identity) if part.recipe.recipe.identity.required && decision.verdict == Verdict::Pass => {
            let why = identity.detail.as_deref().unwrap_or("nothing was read");
            Decision {
                verdict: Verdict::Review,
                detail: Some(format!("good, but without the serial number that the recipe requires: {why}")),
                ..decision
            }
        }
        _ => decision,
    }
}

/// The rectangle that is searched, in grey.
fn region(view: ImageView<'_>, rectangle: Option<[u32; 4]>, out: &mut Grey) -> Result<(), String> {
    let [left, top, width, height] = rectangle.unwrap_or([0, 0, view.width, view.height]);
    if u64::from(left) + u64::from(width) > u64::from(view.width)
        || u64::from(top) + u64::from(height) > u64::from(view.height)
    {
        return Err(format!(
            "`identity.region` reaches to {} x {}, the picture has {} x {} pixels",
            u64::from(left) + u64::from(width),
            u64::from(top) + u64::from(height),
            view.width,
            view.height
        ));
    }
    out.width = width;
    out.height = height;
    out.data.resize(width as usize * height as usize, 0);
    let rectangle = Rect::new(left as i32, top as i32, width as i32, height as i32);
    copied(view, rectangle, &mut out.data).map_err(|error| format!("OpenCV: {}", error.message))
}

fn copied(view: ImageView<'_>, rectangle: Rect, out: &mut [u8]) -> opencv::Result<()> {
    let channels = view.format.channels() as i32;
    let flat = Mat::new_rows_cols_with_data(view.height as i32, view.width as i32 * channels, view.data)?;
    let pixels = flat.reshape(channels, view.height as i32)?;
    let part = Mat::roi(&pixels, rectangle)?;
    let mut grey = Mat::new_rows_cols_with_data_mut(rectangle.height, rectangle.width, out)?;
    match view.format {
        PixelFormat::Mono8 => part.copy_to(&mut grey),
        PixelFormat::Rgb8 => imgproc::cvt_color_def(&part, &mut grey, imgproc::COLOR_RGB2GRAY),
    }
}

#[cfg(test)]
mod tests;
