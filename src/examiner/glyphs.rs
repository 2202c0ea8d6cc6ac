//! From glyphs with places to lines of text, in two orders: as the file draws them, and as they stand on the page.
//!
//! Always: no order loses a glyph, but for one that is drawn over itself (bold by drawing twice). Absent: words and columns;
//! a wide gap becomes a colon, so that a label stays with its value and numbers of two columns stay apart.

use hayro_interpret::kurbo::{Affine, Point, Vec2};
use std::cmp::Ordering;

/// How many units a glyph's em has.
const EM: f64 = 1000.0;
/// How far a glyph may stand off its line, as part of its em.
const OFF_LINE: f64 = 0.5;
/// How far a glyph may stand before where the one before it ends.
const BACK: f64 = 0.6;
/// A gap from which on there is a space, and one from which on something else begins.
const SPACE: f64 = 0.2;
const APART: f64 = 2.0;
/// How near a glyph must be to the same one to be its shadow.
const SHADOW: f64 = 0.25;

/// A glyph in the coordinates of its own direction of writing.
#[derive(Debug, Clone)]
struct Placed {
    text: String,
    /// The direction, in degrees.
    direction: i32,
    /// Along the line, and across lines, downwards.
    along: f64,
    across: f64,
    em: f64,
}

/// The glyphs of a page, in the order in which they are drawn.
#[derive(Debug, Default)]
pub(super) struct Glyphs(Vec<Placed>);

impl Glyphs {
    /// A glyph whose origin and em this transformation places.
    pub(super) fn push(&mut self, text: &str, place: Affine, vertical: bool) {
        let origin = place * Point::ORIGIN;
        let (across_x, down_y) = ((place * Point::new(EM, 0.0)) - origin, (place * Point::new(0.0, -EM)) - origin);
        let forward: Vec2 = if vertical { down_y } else { across_x };
        let em = if vertical { across_x.hypot() } else { down_y.hypot() };
        let length = forward.hypot();
        if !(em.is_finite() && length.is_finite() && em > 0.0 && length > 0.0) {
            // It cannot be seen; it is read in its turn.
            let (along, across) = self.0.last().map_or((0.0, 0.0), |last| (last.along + last.em / 2.0, last.across));
            self.0.push(Placed { text: text.to_owned(), direction: 0, along, across, em: 1.0 });
            return;
        }
        let unit = forward / length;
        let place = origin.to_vec2();
        #[expect(clippy::cast_possible_truncation, reason = "an angle in degrees is small")]
        let direction = unit.atan2().to_degrees().round() as i32;
        self.0.push(Placed { text: text.to_owned(), direction, along: place.dot(unit), across: place.dot(Vec2::new(unit.y, -unit.x)), em });
    }

    /// The text line by line, in each order.
    pub(super) fn readings(mut self) -> Vec<String> {
        let drawn = lines(&self.0);
        self.0.sort_by(|left, right| {
            left.direction.cmp(&right.direction).then(left.across.partial_cmp(&right.across).unwrap_or(Ordering::Equal))
        });
        let mut ordered: Vec<Placed> = Vec::with_capacity(self.0.len());
        for line in self
            .0
            .chunk_by_mut(|left, right| left.direction == right.direction && right.across - left.across < OFF_LINE * left.em.min(right.em))
        {
            line.sort_by(|left, right| left.along.partial_cmp(&right.along).unwrap_or(Ordering::Equal));
            let mut kept: Vec<Placed> = Vec::with_capacity(line.len());
            for glyph in line.iter() {
                let near = |other: &&Placed| (glyph.along - other.along).abs() < SHADOW * glyph.em;
                if !kept.iter().rev().take_while(near).any(|other| other.text == glyph.text) {
                    // One line, whatever the small steps in it add up to.
                    let across = line_across(&kept, glyph);
                    kept.push(Placed { across, ..glyph.clone() });
                }
            }
            ordered.extend(kept);
        }
        let standing = lines(&ordered);
        if standing == drawn { vec![drawn] } else { vec![drawn, standing] }
    }
}

fn line_across(kept: &[Placed], glyph: &Placed) -> f64 {
    kept.first().map_or(glyph.across, |first| first.across)
}

/// The text of glyphs in this order.
fn lines(glyphs: &[Placed]) -> String {
    let mut text = String::new();
    let mut last: Option<&Placed> = None;
    for glyph in glyphs {
        if let Some(last) = last {
            let em = last.em.max(glyph.em);
            let gap = (glyph.along - last.along - advance(last)) / em;
            let same_line = last.direction == glyph.direction && (glyph.across - last.across).abs() < OFF_LINE * em && gap > -BACK;
            match gap {
                _ if !same_line => text.push('\n'),
                APART.. => text.push('：'),
                SPACE.. => text.push(' '),
                _ => {}
            }
        }
        text.push_str(&glyph.text);
        last = Some(glyph);
    }
    text
}

/// About how far the next glyph stands: half an em for Latin letters, one for others.
fn advance(glyph: &Placed) -> f64 {
    let narrow = |character: char| character.is_ascii() || matches!(character, '\u{ff61}'..='\u{ff9f}');
    glyph.text.chars().map(|character| if narrow(character) { 0.6 } else { 1.0 }).sum::<f64>() * glyph.em
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Glyphs of 10 points.
    fn page(glyphs: &[(&str, f64, f64)], turn: f64, vertical: bool) -> Vec<String> {
        let mut page = Glyphs::default();
        for (text, x, y) in glyphs {
            page.push(text, Affine::rotate(turn) * Affine::translate((*x, *y)) * Affine::scale(0.01), vertical);
        }
        page.readings()
    }

    fn row(text: &str, x: f64, y: f64, step: f64) -> Vec<(String, f64, f64)> {
        text.chars().zip(0_u32..).map(|(character, at)| (character.to_string(), x + step * f64::from(at), y)).collect()
    }

    fn borrowed(glyphs: &[(String, f64, f64)]) -> Vec<(&str, f64, f64)> {
        glyphs.iter().map(|(text, x, y)| (text.as_str(), *x, *y)).collect()
    }

    #[test]
    fn lines_words_and_columns_are_told_apart_in_any_direction() {
        let all =
            [row("ab", 0.0, 100.0, 5.0), row("cd", 15.0, 100.0, 5.0), row("ef", 100.0, 100.0, 5.0), row("gh", 0.0, 85.0, 5.0)].concat();
        for turn in [0.0, 0.5, std::f64::consts::FRAC_PI_2, 3.0] {
            assert_eq!(page(&borrowed(&all), turn, false), ["ab cd：ef\ngh"], "{turn}");
        }
    }

    #[test]
    fn columns_of_vertical_writing_are_read_downwards() {
        let column: Vec<_> = row("1234", 0.0, 0.0, 10.0).into_iter().map(|(text, along, _)| (text, 50.0, 500.0 - along)).collect();
        let next: Vec<_> = row("5678", 0.0, 0.0, 10.0).into_iter().map(|(text, along, _)| (text, 35.0, 500.0 - along)).collect();
        assert_eq!(
            page(&borrowed(&[column, next].concat()), 0.0, true),
            ["1234 5678".replace(' ', "\n").replace("1234", "1 2 3 4").replace("5678", "5 6 7 8")]
        );
    }

    #[test]
    fn what_is_drawn_in_disorder_or_twice_is_read_as_it_stands() {
        let mut glyphs = row("123456", 0.0, 0.0, 5.0);
        glyphs.swap(0, 4);
        glyphs.swap(1, 5);
        assert_eq!(page(&borrowed(&glyphs), 0.0, false)[1], "123456");
        let twice = [row("1122", 0.0, 0.0, 5.0), row("1122", 0.4, 0.0, 5.0)].concat();
        assert_eq!(page(&borrowed(&twice), 0.0, false), ["1122\n1122", "1122"]);
    }
}
