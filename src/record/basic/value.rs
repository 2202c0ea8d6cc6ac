//! What looks like a name, an address, a sex or a date of birth.
//!
//! Always: judged by form, not by lists of people; words that forms and decisions use in the place of a value are none.
//! Absent: labels, and how they lead here.

use super::{Gap, fold::Folded};

fn is_kanji(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '々' | '〆')
}

fn is_hiragana(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{309f}')
}

fn is_katakana(character: char) -> bool {
    matches!(character, '\u{30a1}'..='\u{30ff}') && character != '・'
}

fn is_figure(character: char) -> bool {
    character.is_ascii_digit() || "〇一二三四五六七八九十元".contains(character)
}

/// What stands in the place of a name and is none, folded.
const NO_NAMES: &str = "\
    記載 記入 確認 変更 不要 省略 別紙 別添 必要 届 提出 申請 登録 公表 公開 不明 不詳 該当 未記 未定 未確 未登 未提 有無 なし 無し \
    同上 同し 様式 以下 住所 生年 性別 氏名 電話 番号 年齢 職業 続柄 世帯 対象 本人 保護 代理 担当 通知 支給 決定 区分 期間 年度 金額 \
    表示 入力 照合 一致 訂正 修正 削除 匿名 仮名 旧姓 通称 漢字 カナ かな ローマ 英字 全角 半角 文字 記号 外字 及ひ およひ また 又は なと \
    個人 法人 団体 会社 市長 町長 村長 知事 課長 職員 住民 市民 受給 申出 請求 承認 認定 給付 手当 相談 連絡 資格 理由 異動 職権 転入 \
    転出 出生 死亡 婚姻 離婚 非公 秘匿 保存 管理 使用 利用 印字 複数 自立 必須 任意 項目 情報 事項 原則 内容 方法 手続 制度 書類 資料 \
    名簿 台帳";
/// What a value that is no name ends with.
const NO_ENDS: &str = "課係局院署校社庁票欄届書用別的済中等者";
/// The most frequent surnames: behind a label without any gap nothing else tells a name from a compound word.
const SURNAMES: &str = "\
    佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 斎藤 清水 山崎 池田 橋本 阿部 石川 山下 中島 \
    石井 小川 前田 岡田 長谷川 藤田 後藤 近藤 村上 遠藤 青木 坂本 斉藤 福田 太田 西村 藤井 金子 岡本 藤原 中野 三浦 原田 松田";

/// A name in kanji or kana.
pub(super) fn name(text: &Folded, at: usize, gap: Gap) -> bool {
    let part = |at: usize| {
        let kanji = text.run(at, 8, is_kanji);
        let rest = if kanji.is_empty() { 12 } else { 6 };
        let behind = at + kanji.chars().count();
        let katakana = text.run(behind, rest, is_katakana);
        let kana = if katakana.is_empty() { text.run(behind, rest, is_hiragana) } else { katakana };
        // です and the like end a sentence, not a name.
        let said = ["てした", "てす", "てある", "と申", "さん", "様", "は", "か", "の", "を", "に", "と", "て"].iter();
        let kana = said.filter_map(|end| kana.split(end).next()).min_by_key(|kana| kana.len()).unwrap_or_default().to_owned();
        kanji + &kana
    };
    let first = part(at);
    let first = first.strip_suffix(['様', '殿', '氏', '君']).unwrap_or(&first);
    let length = first.chars().count();
    let end = at + length;
    let parted = text.character(end).is_some_and(|character| " ・".contains(character));
    let second = if parted { part(end + 1) } else { String::new() };
    if length == 0 || none(first) || (!second.is_empty() && none(&second)) {
        return false;
    }
    let kanji = first.chars().filter(|character| is_kanji(*character)).count();
    let kana = length - kanji;
    // 山田太郎, 佐藤さくら, ヤマダタロウ; or 林 実, マリア・サントス.
    let whole = ((3..=6).contains(&kanji) && kana <= 4)
        || (kanji == 2 && (1..=5).contains(&kana))
        || ((4..=12).contains(&length) && first.chars().all(is_katakana));
    let two = !second.is_empty() && length <= 8 && second.chars().count() <= 8 && (kanji > 0 || length >= 2);
    match gap {
        Gap::Ruled => two || whole || (kanji == length && length == 2 && ends(text, end)),
        Gap::Blank => two || (whole && ends(text, end)),
        Gap::Spoken => {
            let end = end + if two { second.chars().count() + 1 } else { 0 };
            // Hiragana may be the rest of a sentence; a name has です right behind.
            let sentence = first.chars().chain(second.chars()).any(is_hiragana);
            (two || whole) && if sentence { kanji > 0 && text.stands(end, "てす") } else { closes(text, end) }
        }
        Gap::Absent => SURNAMES.split(' ').any(|surname| first.starts_with(surname) && first.chars().count() > surname.chars().count()),
    }
}

fn none(word: &str) -> bool {
    NO_NAMES.split(' ').any(|no| word.contains(no)) || word.ends_with(|end| NO_ENDS.contains(end)) || "男女無空有".contains(word)
}

/// Whether a word ends here.
fn ends(text: &Folded, at: usize) -> bool {
    text.character(at).is_none_or(|character| !character.is_alphanumeric() || "様殿氏".contains(character))
}

/// Whether a sentence comes to its end here.
fn closes(text: &Folded, at: usize) -> bool {
    ["てす", "てした", "てある", "と申", "様", "さん", "。", "、", "(", "\n"].iter().any(|end| text.stands(at, end))
        || text.character(at).is_none()
}

/// Two or three words in capital letters or with capital initials.
pub(super) fn latin_name(text: &Folded, at: usize) -> bool {
    let mut here = at;
    let mut words = 0;
    while words < 4 && text.glyph(here).is_some_and(|glyph| glyph.capital) {
        here += text.run(here, 20, |character| character.is_ascii_alphabetic() || character == '-' || character == '\'').chars().count();
        words += 1;
        let gap = text.run(here, 2, |character| " ,".contains(character)).chars().count();
        if gap == 0 || text.character(here + gap).is_none_or(|next| !next.is_ascii_alphabetic()) {
            break;
        }
        here += gap;
    }
    (2..=3).contains(&words) && ends(text, here)
}

/// A prefecture, city or ward with a number behind it, a postal code; on a form the place alone is enough.
pub(super) fn address(text: &Folded, at: usize, gap: Gap) -> bool {
    let line = text.run(at, 60, |character| !"\n。".contains(character));
    let postal = line.trim_start_matches('〒');
    let postal: String = postal.chars().filter(|character| !" -".contains(*character)).take(7).collect();
    if line.starts_with('〒') && postal.chars().count() == 7 && postal.chars().all(|character| character.is_ascii_digit()) {
        return true;
    }
    let place: String =
        line.chars().take_while(|character| is_kanji(*character) || is_hiragana(*character) || is_katakana(*character)).collect();
    let behind = line.chars().skip(place.chars().count()).find(|character| *character != ' ').or(Some(' '));
    let numbered =
        behind.is_some_and(is_figure) || ["丁目", "番地", "番", "号"].iter().any(|unit| line.contains(unit) && line.contains(is_figure));
    // 市外, 他市, 本市: no place of its own.
    let named = place.char_indices().find(|(_, character)| "都道府県市区町村郡".contains(*character)).is_some_and(|(end, _)| {
        let before = place.get(..end).unwrap_or_default();
        !matches!(before, "" | "他" | "当" | "本" | "同" | "各" | "旧" | "前" | "新" | "現" | "全" | "両")
            && before.chars().all(|c| is_kanji(c) || is_katakana(c) || "つくはいわきさたまひたちなかむつみとりえひのふしあきる".contains(c))
    });
    let said =
        ["変更", "届", "異動", "要件", "確認", "不明", "不定", "登録", "特例", "有する", "記載", "以外", "内に", "外に", "同し"].iter();
    let spoken_of = said.clone().any(|word| place.contains(word)) || said.into_iter().any(|word| line.starts_with(word));
    match gap {
        Gap::Ruled => named && !spoken_of,
        Gap::Blank | Gap::Spoken | Gap::Absent => named && numbered && !spoken_of,
    }
}

/// A number, and a word of Japanese addresses in Latin letters.
pub(super) fn latin_address(text: &Folded, at: usize) -> bool {
    const UNITS: [&str; 12] =
        ["-shi", "-ku", "-cho", "-machi", "-ken", "-gun", "-mura", " city", "japan", " ward", " street", "prefecture"];
    let line = text.run(at, 100, |character| character != '\n');
    line.contains(|character: char| character.is_ascii_digit()) && !line.contains('@') && UNITS.iter().any(|unit| line.contains(unit))
}

/// 男 or 女 in one of their words, and not a choice between them.
pub(super) fn sex(text: &Folded, at: usize, gap: Gap) -> bool {
    let word = text.run(at, 12, |character| is_kanji(character) || character.is_ascii_alphanumeric());
    let sign = matches!(word.as_str(), "m" | "f" | "1" | "2" | "male" | "female");
    let kanji = matches!(word.as_str(), "男" | "女" | "男性" | "女性" | "男子" | "女子");
    let behind = at + word.chars().count();
    let rest: String =
        text.run(behind, 6, |character| character != '。').chars().filter(|character| !" ・/,、|□☐○()\n".contains(*character)).collect();
    let choice = ["男", "女", "m", "f", "その", "また", "又", "もし", "の", "を", "から", "1:", "2:", ":"]
        .iter()
        .any(|other| rest.starts_with(other));
    !choice && (kanji || (sign && gap == Gap::Ruled))
}

/// A day, and no limit of age.
pub(super) fn birth_date(text: &Folded, at: usize) -> bool {
    date(text, at).is_some_and(|end| !limits(text, end))
}

/// A day with 生 or 生まれ behind it, which is as good as a label.
pub(super) fn born(text: &Folded, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.character(at));
    let begins = |character| is_figure(character) || matches!(character, '明' | '大' | '昭' | '平' | '令' | 'm' | 't' | 's' | 'h' | 'r');
    if before.is_some_and(|character| character.is_ascii_digit()) || !text.character(at).is_some_and(begins) {
        return false;
    }
    let Some(end) = date(text, at) else { return false };
    let end = end + text.run(end, 1, |character| character == ' ').len();
    let word = ["生まれ", "生れ", "生"].iter().find(|word| text.stands(end, word));
    word.is_some_and(|word| {
        let behind = end + word.chars().count();
        !limits(text, behind) && !text.character(behind).is_some_and(|character| is_kanji(character) || character == 'の')
    })
}

fn limits(text: &Folded, at: usize) -> bool {
    let at = at + text.run(at, 1, |character| character == ' ').len();
    ["以前", "以後", "以降", "から", "まて", "より", "~", "-", "に達", "時点", "現在", "生まれの", "生まれ以", "前に", "を基準"]
        .iter()
        .any(|limit| text.stands(at, limit))
}

/// Where a day ends that begins here: an era or four digits of a year, month and day; or eight digits.
fn date(text: &Folded, at: usize) -> Option<usize> {
    const ERAS: [&str; 10] = ["明治", "大正", "昭和", "平成", "令和", "m", "t", "s", "h", "r"];
    let blank = |at: usize| at + text.run(at, 1, |character| character == ' ').len();
    let figures = |at: usize, most: usize| {
        let figures = text.run(at, most + 1, is_figure);
        let count = figures.chars().count();
        (count > 0 && count <= most).then_some((figures, at + count))
    };
    let digits = text.run(at, 9, |character| character.is_ascii_digit());
    if digits.len() == 8 {
        let number = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
        let day = (1868..=2199).contains(&number(0, 4)) && (1..=12).contains(&number(4, 6)) && (1..=31).contains(&number(6, 8));
        return day.then_some(at + 8);
    }
    let year = match ERAS.iter().find(|era| text.stands(at, era)) {
        Some(era) => figures(blank(at + era.chars().count()), 3)?.1,
        None => {
            let (year, end) = figures(at, 4)?;
            if year.chars().count() != 4 {
                return None;
            }
            end
        }
    };
    let part = |at: usize, units: &str| {
        let at = blank(at);
        let unit = text.character(at).filter(|unit| units.contains(*unit) || "./-".contains(*unit))?;
        let (_, end) = figures(blank(at + 1), 3)?;
        Some((unit, end))
    };
    let (_, month) = part(year, "年")?;
    let (_, day) = part(month, "月")?;
    let end = blank(day);
    Some(if text.character(end) == Some('日') { end + 1 } else { day })
}
