//! A sheet to draw on: A4, points from the upper left corner, the fonts that every reader has.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

/// Width and height of A4, in points.
pub(super) const SIZE: (f32, f32) = (595.0, 842.0);

/// Red, green and blue, 0 to 1.
pub(super) type Colour = (f32, f32, f32);

/// Which face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Plain,
    Bold,
}

/// The sheet.
pub(super) struct Page {
    content: Content,
}

impl Page {
    pub(super) fn new() -> Page {
        Page { content: Content::new() }
    }

    /// A rectangle, filled.
    pub(super) fn fill(&mut self, (left, top): (f32, f32), (width, height): (f32, f32), (r, g, b): Colour) {
        self.content.set_fill_rgb(r, g, b).rect(left, SIZE.1 - top - height, width, height).fill_nonzero();
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: &[(f32, f32)], width: f32, dash: &[f32], (r, g, b): Colour) {
        let Some(((x, y), rest)) = points.split_first() else { return };
        self.content.set_stroke_rgb(r, g, b).set_line_width(width);
        self.content.set_dash_pattern(dash.iter().copied(), 0.0);
        self.content.move_to(*x, SIZE.1 - y);
        for (x, y) in rest {
            self.content.line_to(*x, SIZE.1 - y);
        }
        self.content.stroke();
    }

    /// A diamond around a point.
    pub(super) fn diamond(&mut self, (x, y): (f32, f32), half: f32, (r, g, b): Colour) {
        let y = SIZE.1 - y;
        self.content.set_fill_rgb(r, g, b).move_to(x, y + half).line_to(x + half, y).line_to(x, y - half);
        self.content.line_to(x - half, y).close_path().fill_nonzero();
    }

    /// Text, its base line beginning there.
    pub(super) fn text(&mut self, (x, y): (f32, f32), (face, size): (Face, f32), (r, g, b): Colour, text: &str) {
        let name = if face == Face::Bold { Name(b"B") } else { Name(b"P") };
        self.content.begin_text().set_fill_rgb(r, g, b).set_font(name, size).next_line(x, SIZE.1 - y);
        self.content.show(Str(&latin(text))).end_text();
    }

    /// Text that ends there.
    pub(super) fn text_to(&mut self, (x, y): (f32, f32), font: (Face, f32), colour: Colour, text: &str) {
        self.text((x - width(font, text), y), font, colour, text);
    }

    /// The file.
    pub(super) fn finish(self, title: &str) -> Vec<u8> {
        let [catalog, tree, page, content, plain, bold, info] = [1, 2, 3, 4, 5, 6, 7].map(Ref::new);
        let mut pdf = Pdf::new();
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("inspectd"));
        pdf.catalog(catalog).pages(tree);
        pdf.pages(tree).kids([page]).count(1);
        let mut sheet = pdf.page(page);
        sheet.media_box(Rect::new(0.0, 0.0, SIZE.0, SIZE.1)).parent(tree).contents(content);
        sheet.resources().fonts().pair(Name(b"P"), plain).pair(Name(b"B"), bold);
        sheet.finish();
        for (font, name) in [(plain, Name(b"Helvetica")), (bold, Name(b"Helvetica-Bold"))] {
            pdf.type1_font(font).base_font(name).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        pdf.stream(content, &self.content.finish());
        pdf.finish()
    }
}

/// In the fonts' own encoding (Windows-1252, of which these are the same as in Latin-1); what it lacks becomes `?`.
fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match c {
            '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}' => c as u8,
            '–' => 0x96,
            '…' => 0x85,
            _ => b'?',
        })
        .collect()
}

/// Width of a text in points.
pub(super) fn width((face, size): (Face, f32), text: &str) -> f32 {
    let wide = if face == Face::Bold { 1.06 } else { 1.0 };
    text.chars().map(advance).sum::<u32>() as f32 / 1000.0 * size * wide
}

/// Advance of a character of Helvetica, in thousandths; accents are as wide as their letters. Source: Adobe's Core 14 AFM files.
fn advance(c: char) -> u32 {
    match c {
        'i' | 'j' | 'l' | '\'' => 222,
        ' ' | '!' | ',' | '.' | '/' | ':' | ';' | '[' | ']' | 'f' | 't' | 'I' | '|' => 278,
        '(' | ')' | '-' | 'r' | '`' => 333,
        '"' => 355,
        'J' | 'c' | 'k' | 's' | 'v' | 'x' | 'y' | 'z' => 500,
        '+' | '<' | '=' | '>' | '~' => 584,
        'F' | 'T' | 'Z' => 611,
        '&' | 'A' | 'B' | 'E' | 'K' | 'P' | 'S' | 'V' | 'X' | 'Y' => 667,
        'w' | 'C' | 'D' | 'H' | 'N' | 'R' | 'U' => 722,
        'G' | 'O' | 'Q' => 778,
        'm' | 'M' => 833,
        '%' => 889,
        'W' => 944,
        '@' => 1015,
        _ => 556,
    }
}
