//! The guards: what must not stand in a text that enters (番号法 art. 2(5), domain §3).
//!
//! Always: a hit says what was found and where, never the number itself. A number counts in its disguises: full-width or
//! Chinese digits, digits parted by spaces, hyphens or characters that nobody sees. What looks like a date or a telephone
//! number is left alone unless a label before it says otherwise. Absent: a number written out in another alphabet, one split
//! over two texts: no guard can find those. The check digit of resident record codes is not public, so one without its label is
//! not found either. Labelled basic data are looked for by [`basic_data`]; `docs/guards.md` says how often all this is right.

pub use super::basic::basic_data;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// An individual number (個人番号).
    IndividualNumber,
    /// A resident record code (住民票コード).
    ResidentRecordCode,
    /// A name (氏名) behind its label.
    Name,
    /// An address (住所) behind its label.
    Address,
    /// A sex (性別) behind its label.
    Sex,
    /// A date of birth (生年月日) behind its label.
    BirthDate,
}

impl Forbidden {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::IndividualNumber => "individual-number",
            Self::ResidentRecordCode => "resident-record-code",
            Self::Name => "labelled-name",
            Self::Address => "labelled-address",
            Self::Sex => "labelled-sex",
            Self::BirthDate => "labelled-birth-date",
        }
    }
}

/// A find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// What.
    pub found: Forbidden,
    /// The character at which it begins, from 0.
    pub at: usize,
}

/// How many characters may stand between a label and its number.
const LABEL_REACH: usize = 12;
const INDIVIDUAL_LABELS: [&str; 5] = ["個人番号", "マイナンバ", "ﾏｲﾅﾝﾊﾞ", "mynumber", "individualnumber"];
const RESIDENT_LABELS: [&str; 3] = ["住民票コード", "住民票ｺｰﾄﾞ", "residentrecordcode"];

/// Looks for everything that must not stand in a text that enters.
///
/// # Errors
/// The first [`Hit`].
pub fn text(text: &str) -> Result<(), Hit> {
    numbers(text)?;
    basic_data(text)
}

/// Looks for individual numbers and resident record codes.
///
/// # Errors
/// The first [`Hit`].
pub fn numbers(text: &str) -> Result<(), Hit> {
    // Fewer digits than the shortest number: most texts end here.
    if text.chars().filter_map(digit).nth(10).is_none() {
        return Ok(());
    }
    let tokens = tokens(text);
    for token in &tokens {
        if let Some(hit) = token.judge() {
            return Err(hit);
        }
    }
    Ok(())
}

/// Whether these digits stand in a text, in whatever disguise.
#[must_use]
pub fn holds_digits(text: &str, wanted: &[u8]) -> bool {
    let wanted: Vec<u8> = wanted.iter().filter_map(|ascii| digit(char::from(*ascii))).collect();
    if text.chars().filter_map(digit).nth(wanted.len().saturating_sub(1)).is_none() {
        return false;
    }
    tokens(text).iter().any(|token| {
        let all: Vec<u8> = token.groups.iter().flat_map(|group| group.digits.iter().copied()).collect();
        all.windows(wanted.len().max(1)).any(|window| window == wanted)
    })
}

/// Digits with nothing but single separators between them.
#[derive(Debug, Default)]
struct Token {
    groups: Vec<Group>,
    /// What stands before it, without white space and in small letters; the nearest character last.
    before: String,
}

/// Digits with nothing between them.
#[derive(Debug, Default)]
struct Group {
    at: usize,
    digits: Vec<u8>,
    /// What parted it from the group before.
    separator: Option<char>,
}

impl Token {
    fn judge(&self) -> Option<Hit> {
        let hit = |found, at| Some(Hit { found, at });
        let at = self.groups.first()?.at;
        let all = || self.groups.iter().flat_map(|group| group.digits.iter().copied());
        let labelled = |labels: &[&str]| labels.iter().any(|label| self.before.contains(label));
        if labelled(&INDIVIDUAL_LABELS) && all().count() == 12 && all().any(|digit| digit != 0) {
            return hit(Forbidden::IndividualNumber, at);
        }
        if labelled(&RESIDENT_LABELS) && all().count() == 11 {
            return hit(Forbidden::ResidentRecordCode, at);
        }
        let telephone = self.before.ends_with(['+', '＋']);
        for group in &self.groups {
            if is_individual_number(&group.digits) && !is_moment(&group.digits) && !telephone {
                return hit(Forbidden::IndividualNumber, group.at);
            }
        }
        self.runs().find(|run| Self::is_split_number(run)).and_then(|run| hit(Forbidden::IndividualNumber, run.first()?.at))
    }

    /// The stretches of groups that the same separator parts, and the whole.
    fn runs(&self) -> impl Iterator<Item = &[Group]> {
        let alike = self.groups.chunk_by(|left, right| left.separator.is_none() || left.separator == right.separator);
        alike.chain(std::iter::once(self.groups.as_slice()))
    }

    /// Twelve digits in groups of one length, 4-4-4 as on the card, 6-6 or digit by digit; or 4-8 and 8-4, where one separator
    /// was forgotten.
    fn is_split_number(run: &[Group]) -> bool {
        let digits: Vec<u8> = run.iter().flat_map(|group| group.digits.iter().copied()).collect();
        let lengths: Vec<_> = run.iter().map(|group| group.digits.len()).collect();
        let split = match lengths.as_slice() {
            [4, 8] | [8, 4] => !is_moment(&digits),
            [] | [_] => false,
            // Thousands are written so.
            [3, 3, 3, 3] => run.iter().all(|group| group.separator != Some(',')),
            [first, rest @ ..] => rest.iter().all(|length| length == first),
        };
        split && is_individual_number(&digits)
    }
}

/// Every stretch of digits, with what stands before it.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut before = String::new();
    let mut current = Token::default();
    let mut separator = None;
    let mut end = |current: &mut Token, before: &mut String| {
        if !current.groups.is_empty() {
            tokens.push(std::mem::take(current));
            before.clear();
        }
    };
    for (at, character) in text.chars().enumerate() {
        if is_invisible(character) {
            continue;
        }
        if let Some(digit) = digit(character) {
            match current.groups.last_mut() {
                Some(group) if separator.is_none() => group.digits.push(digit),
                Some(_) => current.groups.push(Group { at, digits: vec![digit], separator }),
                None => {
                    current.before = std::mem::take(&mut before);
                    current.groups.push(Group { at, digits: vec![digit], separator: None });
                }
            }
            separator = None;
        } else if let Some(normal) = separating(character).filter(|_| !current.groups.is_empty()) {
            match separator {
                None => separator = Some(normal),
                // A hyphen between spaces is one separator.
                Some(first) if first == ' ' || normal == ' ' => separator = Some(if first == ' ' { normal } else { first }),
                Some(_) => {
                    end(&mut current, &mut before);
                    separator = None;
                }
            }
        } else {
            end(&mut current, &mut before);
            separator = None;
            match character {
                // What a sentence said before says nothing about the next.
                '。' | '\n' => before.clear(),
                _ if character.is_whitespace() => {}
                _ => before.extend(character.to_lowercase()),
            }
            if before.chars().count() > 4 * LABEL_REACH {
                before = before.chars().skip(2 * LABEL_REACH).collect();
            }
        }
    }
    end(&mut current, &mut before);
    for token in &mut tokens {
        let length = token.before.chars().count();
        token.before = token.before.chars().skip(length.saturating_sub(2 * LABEL_REACH)).collect();
    }
    tokens
}

fn digit(character: char) -> Option<u8> {
    const CHINESE: [char; 10] = ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    let place = |zero: char| u32::from(character).checked_sub(u32::from(zero)).filter(|place| *place < 10);
    let chinese = || CHINESE.iter().position(|digit| *digit == character).and_then(|place| u32::try_from(place).ok());
    place('0').or_else(|| place('０')).or_else(chinese).and_then(|place| u8::try_from(place).ok())
}

/// The separator that a character stands for.
const fn separating(character: char) -> Option<char> {
    match character {
        ' ' | '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\t' => Some(' '),
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '－' | 'ー' | 'ｰ' | '~' | '〜' => Some('-'),
        '.' | '．' | '・' | '･' | '_' | '＿' | '/' | '／' | '|' | '｜' => Some('.'),
        ',' | '，' | '、' => Some(','),
        _ => None,
    }
}

pub(super) const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Twelve digits whose last is the check digit of the others (平成26年総務省令85号 art. 5); all zeros are no number.
fn is_individual_number(digits: &[u8]) -> bool {
    const WEIGHTS: [u32; 11] = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let Some(([check], number)) = digits.split_last_chunk().map(|(number, check): (_, &[u8; 1])| (check, number)) else { return false };
    if number.len() != WEIGHTS.len() || digits.iter().all(|digit| *digit == 0) {
        return false;
    }
    let rest = number.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum::<u32>() % 11;
    u32::from(*check) == if rest <= 1 { 0 } else { 11 - rest }
}

/// Whether twelve digits are a date with hour and minute, `202601010900`.
fn is_moment(digits: &[u8]) -> bool {
    let number =
        |from: usize, length: usize| digits.iter().skip(from).take(length).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let (year, month, day, hour, minute) = (number(0, 4), number(4, 2), number(6, 2), number(8, 2), number(10, 2));
    (1868..=2199).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [&str; 4] = ["123456789018", "548836529885", "201707180060", "983205673214"];

    fn found(text: &str) -> Option<Forbidden> {
        numbers(text).err().map(|hit| hit.found)
    }

    #[test]
    fn a_number_is_found_in_its_disguises() {
        let wide = |text: &str| -> String { text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect() };
        let chinese = |text: &str| -> String {
            text.bytes().map(|b| ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'][usize::from(b - b'0')]).collect()
        };
        let split = |text: &str, length: usize, by: &str| {
            text.as_bytes().chunks(length).map(|part| std::str::from_utf8(part).unwrap().to_owned()).collect::<Vec<_>>().join(by)
        };
        for number in NUMBERS {
            let disguises = [
                number.to_owned(),
                wide(number),
                chinese(number),
                split(number, 4, "-"),
                split(number, 4, " "),
                split(number, 4, "　"),
                split(number, 4, "－"),
                split(number, 4, " - "),
                split(number, 4, "\u{200b}"),
                split(number, 4, ","),
                split(number, 4, "｜"),
                wide(&split(number, 4, "/")),
                format!("{} {}", &number[..4], &number[4..]),
                format!("{}-{} {}", &number[..4], &number[4..8], &number[8..]),
                split(number, 1, " "),
                split(number, 6, "-"),
                format!("申請者の番号は{number}です。"),
                format!("no.{number},"),
                format!("{number}{}", "年"),
            ];
            for text in disguises {
                assert_eq!(found(&text), Some(Forbidden::IndividualNumber), "{text}");
            }
        }
        assert_eq!(numbers("あいう 123456789018").unwrap_err().at, 4);
    }

    #[test]
    fn dates_telephones_and_other_numbers_are_left_alone() {
        for text in [
            "2026-01-01 09:00",
            "202601010900",
            "201707180000",
            "2026/11/23 10:15:30",
            "03-1234-5678",
            "090-1234-5678",
            "09012345678",
            "+819012345678",
            "+81 90 1234 5678",
            "000000000000",
            "123456789010",
            "1234567890181",
            "4111 1111 1111 1111",
            "1234-5678-9018-2026",
            "7000012050002",
            "154,300 yen",
            "123,456,789,018",
            "令和8年11月23日",
            "",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn a_known_number_is_found_in_every_disguise() {
        let number = b"000000123456789";
        for text in ["番号000000123456789", "０００００ ０１２３４ ５６７８９", "00000-01234-56789", "1000000123456789"] {
            assert!(holds_digits(text, number), "{text}");
        }
        for text in ["", "123456789", "00000012345678", "000000123456788"] {
            assert!(!holds_digits(text, number), "{text}");
        }
    }

    #[test]
    fn a_label_outweighs_what_a_number_looks_like() {
        for text in [
            "個人番号：201707180000",
            "マイナンバー 2017-0718-0000",
            "My Number: 20170718 0000",
            "個人番号（本人）　１２３４５６７８９０１８",
        ] {
            assert_eq!(found(text), Some(Forbidden::IndividualNumber), "{text}");
        }
        for text in ["住民票コード 12345678901", "住民票コード：１２３４５－６７８９０－１"] {
            assert_eq!(found(text), Some(Forbidden::ResidentRecordCode), "{text}");
        }
        assert_eq!(found("個人番号は記載しません。受付 2026-0101-0901"), None);
        assert_eq!(found("12345678901"), None);
    }

    /// One in ten random runs of twelve digits passes the check digit; nothing else should be taken for a number.
    #[test]
    fn the_false_alarm_rate_is_that_of_the_check_digit() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let count = |random: &mut dyn FnMut() -> String| (0..20_000).filter(|_| found(&random()).is_some()).count();
        let serials = count(&mut || format!("受付番号 {:012}", random() % 1_000_000_000_000));
        assert!((1_500..2_100).contains(&serials), "{serials} of 20000");
        let moments = count(&mut || {
            let r = random();
            format!("{}-{:02}-{:02} {:02}:{:02}", 1990 + r % 40, 1 + r / 64 % 12, 1 + r / 4096 % 28, r / 65_536 % 24, r / 1_048_576 % 60)
        });
        let telephones = count(&mut || {
            let r = random();
            format!("0{}-{:04}-{:04}", 1 + r % 9, r / 16 % 10_000, r / 1_048_576 % 10_000)
        });
        let amounts = count(&mut || format!("所得 {} 円、控除 {} 円", random() % 10_000_000, random() % 1_000_000));
        assert_eq!((moments, telephones, amounts), (0, 0, 0));
    }
}
