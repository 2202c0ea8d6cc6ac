//! A text without its disguises: what the eye reads as the same is the same.
//!
//! Always: compatibility forms are taken apart (full and half width, squared eras, circled letters; Unicode NFKD), voiced
//! marks and what nobody sees are dropped, letters are small, white space is one space or one line end; every character
//! remembers where it stood. Absent: what it means.

use super::super::guard::is_invisible;
use unicode_normalization::UnicodeNormalization as _;

/// A character of the folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyph {
    /// The folded character.
    pub(super) character: char,
    /// Which character of the text it came from.
    pub(super) at: usize,
    /// Whether it was a capital letter.
    pub(super) capital: bool,
}

/// A text without its disguises.
#[derive(Debug, Default)]
pub(super) struct Folded(Vec<Glyph>);

impl Folded {
    pub(super) fn of(text: &str) -> Self {
        let mut folded = Self(Vec::with_capacity(text.len() / 2));
        for (at, character) in text.chars().enumerate() {
            if character.is_ascii() {
                folded.push(character, at);
            } else if !is_invisible(character) {
                std::iter::once(character).nfkd().for_each(|part| folded.push(part, at));
            }
        }
        folded
    }

    fn push(&mut self, character: char, at: usize) {
        let capital = character.is_uppercase();
        let character = match character {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => '\n',
            space if space.is_whitespace() => ' ',
            '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}' => return,
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            other => other.to_lowercase().next().unwrap_or(other),
        };
        let blank = |glyph: &Glyph| glyph.character == ' ' || glyph.character == '\n';
        match (character, self.0.last_mut()) {
            (' ', Some(last)) if blank(last) => {}
            ('\n', Some(last)) if blank(last) => last.character = '\n',
            (_, Some(_) | None) => self.0.push(Glyph { character, at, capital }),
        }
    }

    pub(super) fn glyph(&self, at: usize) -> Option<Glyph> {
        self.0.get(at).copied()
    }

    pub(super) fn character(&self, at: usize) -> Option<char> {
        self.glyph(at).map(|glyph| glyph.character)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where these words end, if they stand here; spaces between their characters do not count.
    pub(super) fn after(&self, at: usize, words: &str) -> Option<usize> {
        let mut here = at;
        for (count, wanted) in words.chars().enumerate() {
            if count > 0 && self.character(here) == Some(' ') {
                here += 1;
            }
            if self.character(here) != Some(wanted) {
                return None;
            }
            here += 1;
        }
        Some(here)
    }

    /// Whether these words stand exactly here.
    pub(super) fn stands(&self, at: usize, words: &str) -> bool {
        words.chars().enumerate().all(|(count, wanted)| self.character(at + count) == Some(wanted))
    }

    /// The characters of a stretch in which this holds, at most so many.
    pub(super) fn run(&self, at: usize, most: usize, holds: impl Fn(char) -> bool) -> String {
        self.0.iter().skip(at).take(most).map(|glyph| glyph.character).take_while(|character| holds(*character)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Folded::of(text).0.iter().map(|glyph| glyph.character).collect()
    }

    #[test]
    fn disguises_fall_away() {
        assert_eq!(folded("Ｎａｍｅ： ﾌﾘｶﾞﾅ フリガナ ㍼60　 \t\r\n x"), "name: フリカナ フリカナ 昭和60\nx");
        assert_eq!(folded("氏\u{200b}名\u{ad}⽒名"), "氏名氏名");
        assert_eq!(folded(""), "");
    }

    #[test]
    fn characters_remember_where_they_stood() {
        let folded = Folded::of("あ\u{200b}  性 別:女");
        let label = (0..folded.len()).find(|at| folded.after(*at, "性別").is_some()).unwrap();
        assert_eq!(folded.glyph(label).unwrap().at, 4);
        assert_eq!(folded.after(label, "性別"), Some(label + 3));
    }
}
