//! What a PDF says: the text of its pages, in the orders in which it may be read, and the texts beside the pages.
//!
//! Always: what cannot be told is counted as unreadable and never left out silently. Absent: images, what an optional layer
//! hides (a file with layers counts as unreadable), and files within the file, which are refused.

use super::glyphs::Glyphs;
use crate::record::{PAGES, PdfPage, PdfReading, PdfText};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache, InterpreterSettings,
    InterpreterWarning, SoftMask,
    font::{Glyph, GlyphRun},
    hayro_cmap::{BfString, WritingMode},
    hayro_syntax::{
        DecryptionError, LoadPdfError, Pdf,
        object::{Array, Dict, MaybeRef, Name, Object},
    },
    interpret_page,
    kurbo::{Affine, BezPath, Rect},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// How deep the objects of a file may nest before the rest counts as unreadable.
const DEPTH: usize = 32;

/// Reads a PDF. It may panic, and worse.
pub(super) fn read(bytes: Vec<u8>) -> PdfReading {
    let pdf = match Pdf::new(bytes) {
        Ok(pdf) => pdf,
        Err(LoadPdfError::Decryption(DecryptionError::PasswordProtected)) => return PdfReading::Encrypted,
        Err(LoadPdfError::Decryption(_) | LoadPdfError::Invalid) => return PdfReading::Unreadable,
    };
    if pdf.pages().len() > PAGES {
        return PdfReading::TooManyPages;
    }
    let mut beside = Beside::default();
    for object in pdf.objects() {
        beside.object(&object, DEPTH);
    }
    if beside.files {
        return PdfReading::HoldsFiles;
    }
    let about = pdf.metadata();
    let named = [&about.title, &about.author, &about.subject, &about.keywords, &about.creator, &about.producer];
    beside.texts.extend(named.into_iter().flatten().map(|text| decoded(text)));

    let warned = Arc::new(AtomicU32::new(beside.unreadable));
    let heard = Arc::clone(&warned);
    let settings = InterpreterSettings {
        // What an image shows is not read in any case.
        warning_sink: Arc::new(move |warning| {
            if matches!(warning, InterpreterWarning::UnsupportedFont) {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        }),
        ..InterpreterSettings::default()
    };
    let cache = InterpreterCache::new();
    let mut pages = Vec::new();
    for page in pdf.pages().iter() {
        let (width, height) = page.render_dimensions();
        let bounds = Rect::new(0.0, 0.0, width.into(), height.into());
        let mut context = Context::new(Affine::IDENTITY, bounds, &cache, pdf.xref(), settings.clone());
        let mut listener = Listener::default();
        interpret_page(page, &mut context, &mut listener);
        let unreadable = listener.unreadable.saturating_add(warned.swap(0, Ordering::Relaxed));
        pages.push(PdfPage { readings: listener.glyphs.readings(), unreadable });
    }
    PdfReading::Read(PdfText { pages, others: beside.texts })
}

/// What stands in the objects of a file, beside the pages.
#[derive(Default)]
struct Beside {
    texts: Vec<String>,
    files: bool,
    unreadable: u32,
}

impl Beside {
    fn object(&mut self, object: &Object<'_>, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        match object {
            Object::String(text) => self.texts.push(decoded(text.as_bytes())),
            Object::Dict(dict) => self.dict(dict, depth),
            Object::Array(array) => self.array(array, depth),
            Object::Stream(stream) => {
                self.dict(stream.dict(), depth);
                // What the file says about itself (XMP).
                if stream.dict().get::<Name<'_>>(b"Subtype").is_some_and(|kind| kind.as_str() == "XML") {
                    match stream.decoded() {
                        Ok(xml) => self.texts.push(String::from_utf8_lossy(&xml).into_owned()),
                        Err(_) => self.unreadable = self.unreadable.saturating_add(1),
                    }
                }
            }
            Object::Null(_) | Object::Boolean(_) | Object::Number(_) | Object::Name(_) => {}
        }
    }

    fn dict(&mut self, dict: &Dict<'_>, depth: usize) {
        self.files |= dict.contains_key(b"EF") || dict.contains_key(b"EmbeddedFiles");
        self.unreadable = self.unreadable.saturating_add(u32::from(dict.contains_key(b"OCProperties")));
        for (_, value) in dict.entries() {
            // What is referred to is an object of its own, and met there.
            if let MaybeRef::NotRef(value) = value {
                self.object(&value, depth);
            }
        }
    }

    fn array(&mut self, array: &Array<'_>, depth: usize) {
        for value in array.raw_iter() {
            if let MaybeRef::NotRef(value) = value {
                self.object(&value, depth);
            }
        }
    }
}

/// A text string (ISO 32000-1 §7.9.2.2): UTF-16 or UTF-8 if it says so; otherwise the encoding's ASCII part is all that the guards need.
fn decoded(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks::<2>().0.iter().map(|pair| read(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Hears every glyph of a page.
#[derive(Default)]
struct Listener {
    glyphs: Glyphs,
    unreadable: u32,
}

impl<'a> Device<'a> for Listener {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        for glyph in run.glyphs() {
            let place = props.transform * glyph.transform();
            match glyph.as_unicode() {
                Some(BfString::Char(character)) if !is_private(character) => {
                    self.glyphs.push(&character.to_string(), place, run.writing_mode() == WritingMode::Vertical);
                }
                Some(BfString::String(text)) if !text.contains(is_private) => {
                    self.glyphs.push(&text, place, run.writing_mode() == WritingMode::Vertical);
                }
                Some(_) | None => self.unreadable = self.unreadable.saturating_add(1),
            }
            // A glyph may be a drawing, with text in it.
            if let Glyph::Type3(drawn) = &**glyph {
                drawn.interpret(self, props.transform, glyph.transform(), &props.paint);
            }
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

/// Characters that mean what their font likes.
const fn is_private(character: char) -> bool {
    matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fffd}')
}
