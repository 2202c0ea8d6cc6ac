//! The guard against the four basic data (基本4情報): a name, address, sex or date of birth that stands behind its label.
//!
//! Always: a hit needs a label and a value that looks like what the label promises, so that a text that only speaks of names
//! or addresses passes; it says what was found and where the label begins, never the value. How often it is right and wrong
//! is measured (`measure`) and published in `docs/guards.md`. Absent: data without a label, above all a bare name; no guard
//! can find that.

mod fold;
#[cfg(test)]
mod measure;
mod value;

use super::guard::{Forbidden, Hit};
use fold::Folded;

/// A label, folded, and what it promises.
const LABELS: [(&str, Forbidden); 30] = [
    ("氏名", Forbidden::Name),
    ("姓名", Forbidden::Name),
    ("名前", Forbidden::Name),
    ("なまえ", Forbidden::Name),
    ("ふりかな", Forbidden::Name),
    ("フリカナ", Forbidden::Name),
    ("シメイ", Forbidden::Name),
    ("fullname", Forbidden::Name),
    ("name", Forbidden::Name),
    ("住所", Forbidden::Address),
    ("居住地", Forbidden::Address),
    ("現住地", Forbidden::Address),
    ("シュウショ", Forbidden::Address),
    ("シユウシヨ", Forbidden::Address),
    ("address", Forbidden::Address),
    ("性別", Forbidden::Sex),
    ("セイヘツ", Forbidden::Sex),
    ("sex", Forbidden::Sex),
    ("gender", Forbidden::Sex),
    ("生年月日", Forbidden::BirthDate),
    ("出生年月日", Forbidden::BirthDate),
    ("生年月", Forbidden::BirthDate),
    ("誕生日", Forbidden::BirthDate),
    ("出生日", Forbidden::BirthDate),
    ("セイネンカッヒ", Forbidden::BirthDate),
    ("dateofbirth", Forbidden::BirthDate),
    ("birthdate", Forbidden::BirthDate),
    ("birthday", Forbidden::BirthDate),
    ("dob", Forbidden::BirthDate),
    ("born", Forbidden::BirthDate),
];

/// How a label leads to what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// By a colon, a bracket, a tab's worth of ruling: a form.
    Ruled,
    /// By space or a line end.
    Blank,
    /// By は or が, as a sentence does.
    Spoken,
    /// By nothing.
    Absent,
}

/// Looks for a labelled name, address, sex or date of birth.
///
/// # Errors
/// The first [`Hit`].
pub fn basic_data(text: &str) -> Result<(), Hit> {
    // Figures, days and money: most values end here.
    if !text.chars().any(char::is_alphabetic) {
        return Ok(());
    }
    let folded = Folded::of(text);
    let births = text.contains('生');
    for at in 0..folded.len() {
        let born = || (births && value::born(&folded, at)).then_some(Forbidden::BirthDate);
        let found = labelled(&folded, at).or_else(born);
        if let (Some(found), Some(glyph)) = (found, folded.glyph(at)) {
            return Err(Hit { found, at: glyph.at });
        }
    }
    Ok(())
}

/// What a label that begins here promises, if what stands behind it keeps the promise.
fn labelled(text: &Folded, at: usize) -> Option<Forbidden> {
    let first = text.character(at).filter(|first| begins_a_label(*first))?;
    LABELS.iter().filter(|(label, _)| label.starts_with(first)).find_map(|(label, kind)| {
        let end = text.after(at, label)?;
        let latin = first.is_ascii();
        if latin && !is_word(text, at, end) {
            return None;
        }
        let (gap, value) = gap(text, end);
        let holds = match kind {
            Forbidden::Name if latin => gap == Gap::Ruled && value::latin_name(text, value),
            Forbidden::Name => !is_a_things(text, at, label) && value::name(text, value, gap),
            Forbidden::Address if latin => gap == Gap::Ruled && value::latin_address(text, value),
            Forbidden::Address => value::address(text, value, gap),
            Forbidden::Sex => value::sex(text, value, gap),
            Forbidden::BirthDate => value::birth_date(text, value),
            Forbidden::IndividualNumber | Forbidden::ResidentRecordCode => false,
        };
        holds.then_some(*kind)
    })
}

/// Whether a label begins with this character; most characters of a text are none such.
const fn begins_a_label(first: char) -> bool {
    matches!(
        first,
        '氏' | '姓'
            | '名'
            | 'な'
            | 'ふ'
            | 'フ'
            | 'シ'
            | '住'
            | '居'
            | '現'
            | '性'
            | 'セ'
            | '生'
            | '出'
            | '誕'
            | 'f'
            | 'n'
            | 'a'
            | 's'
            | 'g'
            | 'd'
            | 'b'
    )
}

/// Whether a Latin label stands alone, or as what people are asked for.
fn is_word(text: &Folded, from: usize, to: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| text.character(at)).is_some_and(|character| character.is_ascii_alphanumeric());
    if letter(Some(to)) || letter(from.checked_sub(1)) {
        return false;
    }
    // A file's name, a machine's address.
    const THINGS: [&str; 20] = [
        "file", "user", "host", "domain", "server", "class", "table", "column", "product", "item", "company", "display", "ip", "mac",
        "mail", "email", "code", "brand", "form", "facility",
    ];
    let before: String = (0..from).rev().take(12).filter_map(|at| text.character(at)).skip_while(|c| " -_".contains(*c)).collect();
    let word: String = before.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().chars().rev().collect();
    !THINGS.contains(&word.as_str())
}

/// Whether 名前 stands behind the name of a thing: 制度の名前, but not 子の名前.
fn is_a_things(text: &Folded, at: usize, label: &str) -> bool {
    const PERSONS: &str = "人者主子母父童妻夫児方様";
    let before = |back: usize| at.checked_sub(back).and_then(|at| text.character(at));
    label == "名前" && before(1) == Some('の') && !before(2).is_some_and(|character| PERSONS.contains(character))
}

/// What stands between a label that ends here and its value, and where the value begins.
fn gap(text: &Folded, end: usize) -> (Gap, usize) {
    // (カナ), 欄, 変更後: what narrows a label before its colon.
    let aside = |at: usize| {
        let close = if text.character(at) == Some('(') { (at + 1..at + 14).find(|at| text.character(*at) == Some(')')) } else { None };
        close.map_or(at, |close| close + 1)
    };
    let narrowed = |at: usize| {
        let word = text.run(at, 6, |character| !" \n:=|()[]、。,「」".contains(character) && !character.is_ascii_digit());
        let end = at + word.chars().count();
        let ruled = text.character(end).is_some_and(|character| ":=|".contains(character));
        if ruled && !word.contains('は') { end } else { at }
    };
    let mut at = narrowed(aside(end));
    let mut gap = Gap::Absent;
    let spoken = ["は、", "は", "か"].iter().find(|word| text.stands(at, word));
    if let (Some(word), true) = (spoken, at == aside(end)) {
        return (Gap::Spoken, skip_blank(text, at + word.chars().count()));
    }
    while let Some(character) = text.character(at) {
        match character {
            ' ' | '\n' if gap != Gap::Ruled => gap = Gap::Blank,
            ' ' | '\n' => {}
            ':' | '=' | '|' | '→' | '⇒' | '>' | '】' | ']' | '』' | '」' | '}' | ')' | '"' | '\'' | ',' | '/' | '─' | '│' | '…' | '.' =>
            {
                gap = Gap::Ruled;
            }
            _ => break,
        }
        at += 1;
    }
    // Quotation marks and brackets around the value.
    while text.character(at).is_some_and(|character| "「『([【\"' ".contains(character)) {
        at += 1;
    }
    (gap, at)
}

fn skip_blank(text: &Folded, at: usize) -> usize {
    at + text.run(at, 8, |character| " \n「『(\"'".contains(character)).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&'static str> {
        basic_data(text).err().map(|hit| hit.found.code())
    }

    #[test]
    fn a_labelled_datum_is_found_in_its_disguises() {
        for (expected, texts) in [
            (
                "labelled-name",
                [
                    "氏名：山田太郎",
                    "【氏名】　山田　太郎",
                    "氏　名 佐藤花子",
                    "対象者の氏名は鈴木一郎です。",
                    "氏名は都築ひなたです。",
                    "氏名は森　実です。",
                    "ﾌﾘｶﾞﾅ:ﾔﾏﾀﾞ ﾀﾛｳ",
                    "お名前＝高橋 さくら",
                    "氏名（漢字）：渡部 園子",
                    "⽒名｜田中実",
                    "Name: Taro Yamada",
                ]
                .as_slice(),
            ),
            (
                "labelled-address",
                &[
                    "住所：神奈川県藤沢市朝日町1番地の1",
                    "現住所　藤沢市朝日町１－１",
                    "住　所：〒251-8601 藤沢市朝日町1-1",
                    "住所は横浜市中区本町6-50-10です",
                    "住所変更後：東京都千代田区霞が関2-1-2",
                    "Address: 1-1 Asahi-cho, Fujisawa-shi",
                ],
            ),
            ("labelled-sex", &["性別：男", "性　別　女性", "性別は女性です。", "Sex: F", "［性別］男性", "性別女"]),
            (
                "labelled-birth-date",
                &[
                    "生年月日：昭和60年3月3日",
                    "生年月日 1985/03/03",
                    "生 年 月 日：S60.3.3",
                    "誕生日は平成元年1月8日です",
                    "生年月日=19850303",
                    "㍼60年3月3日生",
                    "1985年3月3日生まれ、藤沢市在住",
                    "生年月日：一九八五年三月三日",
                    "DOB: 1985-03-03",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(found(text), Some(expected), "{text}");
            }
        }
        assert_eq!(basic_data("備考。 性別：男").unwrap_err().at, 4);
    }

    #[test]
    fn every_label_is_looked_for_and_folded() {
        for (label, _) in LABELS {
            assert!(begins_a_label(label.chars().next().unwrap()), "{label}");
            let folded = Folded::of(label);
            assert!(folded.stands(0, label) && folded.len() == label.chars().count(), "{label}");
        }
    }

    #[test]
    fn a_text_that_only_speaks_of_them_passes() {
        for text in [
            "氏名は記載しません。",
            "氏名：別紙のとおり",
            "氏名は必須項目です。",
            "氏名は仮のものです。",
            "氏名は個人情報です。",
            "氏名は任意です。",
            "氏名は漢字です。",
            "氏名：わかりません",
            "氏名、住所、生年月日及び性別を確認した。",
            "氏名変更届を受理した。",
            "氏名欄は空欄とする。",
            "氏名 住所 性別 生年月日",
            "氏名：",
            "氏名：＊＊＊",
            "住所地特例の対象",
            "住所：市外",
            "住所要件：市内に3か月以上居住",
            "住所変更の届出があった。",
            "性別：男・女",
            "性別　男 女 その他",
            "性別は問わない。",
            "性別：男女共通",
            "男性の平均は52.3、女性の平均は50.1",
            "生年月日：不詳",
            "生年月日が平成19年4月1日以前の者",
            "生年月日：平成19年4月2日以降の方が対象",
            "平成20年4月2日生まれの児童",
            "令和8年11月23日に支給決定",
            "出産予定日：2027-03-03",
            "file name: Annual Report",
            "IP address: 10.0.0.1-cho",
            "制度の名前：自立支援",
            "課税",
            "2026-11-23",
            "",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
