//! How often the guard is right and wrong, on texts made by rule; the figures stand in `docs/guards.md`.
//!
//! Always: who lives in these texts is made up, and the lists here share nothing with the rules but the words that any form
//! has. `cargo test --lib basic::measure -- --nocapture` prints the figures.

use super::basic_data;
use crate::record::guard::Forbidden;

const FAMILIES: [&str; 24] = [
    "加納",
    "相馬",
    "服部",
    "渡部",
    "長谷部",
    "五十嵐",
    "東海林",
    "森",
    "林",
    "原",
    "桜庭",
    "新垣",
    "比嘉",
    "南雲",
    "西園寺",
    "久保田",
    "大場",
    "宮本",
    "本間",
    "野々村",
    "江藤",
    "黒木",
    "安達",
    "都築",
];
const GIVEN: [&str; 20] = [
    "太一",
    "花",
    "実",
    "さくら",
    "ひなた",
    "健太郎",
    "未来",
    "一",
    "千代子",
    "マリ",
    "正",
    "真理子",
    "あい",
    "樹",
    "公平",
    "登",
    "美咲",
    "ノリコ",
    "葵",
    "次郎",
];
const READINGS: [&str; 8] =
    ["カノウ タイチ", "ソウマ ハナ", "ハットリ ミノル", "イガラシ サクラ", "ﾓﾘ ｹﾝﾀﾛｳ", "ニシゾノ ヒナタ", "オオバ マリコ", "ﾐﾔﾓﾄ ｱｵｲ"];
const PLACES: [&str; 12] = [
    "神奈川県藤沢市鵠沼東3-1-7",
    "藤沢市辻堂元町2丁目5番8号",
    "横浜市西区みなとみらい2-2-1",
    "北海道札幌市中央区北1条西2丁目",
    "東京都八王子市元本郷町三丁目24番1号",
    "千葉県つくし野市青葉台9-9",
    "京都府与謝郡与謝野町字岩滝1798番地1",
    "大阪市北区中之島1丁目3-20",
    "沖縄県島尻郡八重瀬町字東風平1188",
    "さいたま市浦和区常盤６－４－４",
    "三重県度会郡大紀町滝原1610番地1",
    "〒251-0054 藤沢市朝日町12番",
];
const SEXES: [&str; 6] = ["男", "女", "男性", "女性", "男", "女"];
const REMARKS: [&str; 24] = [
    "所得割額は前年分の確定申告に基づき算定した。",
    "氏名の変更届を受理し、同日付で資格を更新した。",
    "氏名、住所、生年月日及び性別の4情報は記載しないこと。",
    "住所要件を満たさないため、支給停止とした。",
    "住所地特例の適用を受ける被保険者である。",
    "住所異動の届出があったため、異動日以降の月割とする。",
    "性別による区別はない。",
    "年齢、性別を問わず対象となる。",
    "生年月日の確認は窓口で行った。",
    "平成20年4月2日以降に生まれた児童を対象とする。",
    "平成19年4月1日以前生まれの者を除く。",
    "認定期間は令和8年4月1日から令和9年3月31日まで。",
    "障害者手帳の再交付を申請中。",
    "保護者の氏名欄は空欄のまま受け付けた。",
    "代理人が届け出た。氏名は別紙のとおり。",
    "給付額 45,000円(令和8年11月分)。",
    "要介護3から要介護4へ区分変更。",
    "受診日 2026-11-02、判定 B、要精密検査。",
    "施設の所在地は市内である。",
    "住所：市外。転入前の市町村へ照会中。",
    "名前の読み方は本人に確認のうえ訂正済み。",
    "医療機関の名称：藤沢中央病院。",
    "性別欄：男・女・その他から選択。",
    "世帯主との続柄は子。扶養人数は2人。",
];

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

fn wide(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c }).collect()
}

/// A day as people write it.
fn day(random: &mut Random) -> String {
    let (year, month, mday) = (1930 + random.below(88), 1 + random.below(12), 1 + random.below(28));
    let (era, letter, base) = if year < 1989 { ("昭和", "S", 1925) } else { ("平成", "H", 1988) };
    match random.below(6) {
        0 => format!("{era}{}年{month}月{mday}日", year - base),
        1 => format!("{year}年{month}月{mday}日"),
        2 => format!("{year}-{month:02}-{mday:02}"),
        3 => format!("{letter}{}.{month}.{mday}", year - base),
        4 => format!("{year}{month:02}{mday:02}"),
        _ => format!("{year}/{month}/{mday}"),
    }
}

/// A labelled datum in a form's or a sentence's dress.
fn labelled(kind: Forbidden, random: &mut Random) -> String {
    let (labels, value): (&[&str], String) = match kind {
        Forbidden::Name if random.below(4) == 0 => (&["フリガナ", "ﾌﾘｶﾞﾅ", "ふりがな"], random.of(&READINGS).to_owned()),
        Forbidden::Name => {
            let gap = random.of(&["", "", " ", "　"]);
            (&["氏名", "お名前", "対象児童の氏名", "氏　名", "姓名"], format!("{}{gap}{}", random.of(&FAMILIES), random.of(&GIVEN)))
        }
        Forbidden::Address => (&["住所", "現住所", "住　所", "居住地"], random.of(&PLACES).to_owned()),
        Forbidden::Sex => (&["性別", "性　別"], random.of(&SEXES).to_owned()),
        _ => (&["生年月日", "生 年 月 日", "誕生日"], day(random)),
    };
    let label = random.of(labels);
    let text = match random.below(7) {
        0 => format!("{label}：{value}"),
        1 => format!("{label}: {value}"),
        2 => format!("【{label}】{value}"),
        3 => format!("{label}　{value}"),
        4 => format!("{label}\n{value}"),
        5 => format!("{label}は{value}です。"),
        _ => format!("{label}＝「{value}」"),
    };
    let text = match random.below(4) {
        0 => wide(&text),
        1 => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        _ => text,
    };
    let (before, behind) = (random.of(&REMARKS[..1]), random.of(&["", "以上のとおり。"]));
    if random.below(2) == 0 { text } else { format!("{before}\n{text}\n{behind}") }
}

#[test]
fn labelled_data_are_found_and_ordinary_texts_pass() {
    const EACH: usize = 5_000;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (kind, least) in [(Forbidden::Name, 0.95), (Forbidden::Address, 0.97), (Forbidden::Sex, 0.99), (Forbidden::BirthDate, 0.99)] {
        let mut missed = Vec::new();
        for _ in 0..EACH {
            let text = labelled(kind, &mut random);
            if basic_data(&text).is_ok() {
                missed.push(text);
            }
        }
        let found = (EACH - missed.len()) as f64 / EACH as f64;
        println!(
            "{}: {:.1} % of {EACH} found; missed, for example {:?}",
            kind.code(),
            100.0 * found,
            missed.iter().take(12).collect::<Vec<_>>()
        );
        assert!(found >= least, "{}: {found}", kind.code());
    }
    let mut alarms = Vec::new();
    for _ in 0..EACH {
        let text = (0..1 + random.below(5)).map(|_| random.of(&REMARKS)).collect::<Vec<_>>().join(random.of(&["", "\n", " "]));
        if let Err(hit) = basic_data(&text) {
            alarms.push((hit, text));
        }
    }
    println!("false alarms: {} of {EACH}, for example {:?}", alarms.len(), alarms.iter().take(5).collect::<Vec<_>>());
    assert!(alarms.is_empty());
}
