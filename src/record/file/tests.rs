//! What is taken for what, and where a number is found in a file.

use super::{super::guard::Forbidden, *};

const OWN: &str = "000000000000017";
/// An image of one point.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

fn file(name: &str, format: FileFormat, content: &[u8]) -> File {
    File { name: name.parse().unwrap(), format, content: Wiped::from(content.to_vec()).into(), person: OWN.parse().unwrap() }
}

fn judge(name: &str, format: FileFormat, content: &[u8]) -> Result<Legibility, FileRefusal> {
    Inspected::judge(&file(name, format, content), PdfReading::NotAPdf).map(|inspected| inspected.legibility())
}

fn at(page: Option<usize>, line: usize) -> Option<FilePlace> {
    Some(FilePlace { page, line: Some(line) })
}

/// A JPEG's outer form: a table, a frame, a scan with a stuffed byte and a restart.
fn jpeg() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    for (marker, content) in [(0xe0_u8, &b"JFIF\0"[..]), (0xc0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]), (0xda, &[1, 1, 0, 0, 63, 0])] {
        bytes.extend([0xff, marker]);
        bytes.extend(u16::try_from(content.len() + 2).unwrap().to_be_bytes());
        bytes.extend(content);
    }
    bytes.extend([1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xd9]);
    bytes
}

#[test]
fn a_file_is_what_its_bytes_are_from_the_first_to_the_last() {
    use FileFormat::{Csv, Jpeg, Pdf, Png, Text};
    let png = STANDARD.decode(PNG).unwrap();
    let jpeg = jpeg();
    assert_eq!(judge("a.png", Png, &png), Ok(Legibility::Unread));
    assert_eq!(judge("a.JPeG", Jpeg, &jpeg), Ok(Legibility::Unread));
    assert_eq!(judge("a.txt", Text, "\u{feff}こんにちは\r\n".as_bytes()), Ok(Legibility::Read));
    assert_eq!(judge("a.csv", Csv, "a,b\n\"1\n\",2\n".as_bytes()), Ok(Legibility::Read));
    let both = [png.as_slice(), b"PK\x03\x04"].concat();
    let trailing = [jpeg.as_slice(), b"%PDF-1.7 %%EOF"].concat();
    let cut = &jpeg[..jpeg.len() - 2];
    for (format, content) in [
        (Png, both.as_slice()),
        (Png, &png[..png.len() - 1]),
        (Png, &jpeg),
        (Jpeg, &trailing),
        (Jpeg, cut),
        (Jpeg, b"\xff\xd8\xff\xd9"),
        (Text, &png),
        (Text, b"a\0b"),
        (Text, b"%PDF-1.7\n%%EOF"),
        (Pdf, b"hello"),
        (Pdf, b"%PDF-1.7 without an end"),
        (Csv, &jpeg),
    ] {
        let name = format!("a.{}", format.endings()[0]);
        assert_eq!(judge(&name, format, content), Err(FileRefusal::OtherFormat), "{format:?} {content:?}");
    }
    assert_eq!(judge("a.txt", Text, "お知らせ".as_bytes()), Ok(Legibility::Read));
    assert_eq!(judge("a.txt", Text, &[0x82, 0xa8, 0x92, 0x6d]), Err(FileRefusal::ShiftJis));
    assert_eq!(judge("a.pdf", Text, b"a"), Err(FileRefusal::OtherEnding));
    assert_eq!(judge("txt", Text, b"a"), Err(FileRefusal::OtherEnding));
    assert_eq!(judge("a.txt", Text, b""), Err(FileRefusal::Empty));
    assert_eq!(judge("a.txt", Text, &vec![b'a'; FILE_BYTES]), Ok(Legibility::Read));
    assert_eq!(judge("a.txt", Text, &vec![b'a'; FILE_BYTES + 1]), Err(FileRefusal::TooLarge));
}

#[test]
fn a_number_in_a_text_or_a_table_is_refused_with_its_line() {
    let place = |name: &str, format, content: &str| {
        let refusal = judge(name, format, content.as_bytes()).unwrap_err();
        (refusal.code(), refusal.place())
    };
    assert_eq!(place("a.txt", FileFormat::Text, "one\ntwo １２３４-５６７８-９０１８"), ("individual-number", at(None, 2)));
    assert_eq!(place("a.txt", FileFormat::Text, "x\ny\n宛名 000000000000017"), ("addressee-in-text", at(None, 3)));
    assert_eq!(place("a.csv", FileFormat::Csv, "a,b\n1,2\n3,123456789018\n"), ("individual-number", at(None, 3)));
    // The label stands in another cell.
    assert_eq!(place("a.csv", FileFormat::Csv, "件名,住民票コード\nx,12345678901\n"), ("resident-record-code", at(None, 2)));
    assert_eq!(place("a.csv", FileFormat::Csv, "a,b\n1\n").0, "uneven-table");
    // Numbers of neighbouring cells are not one number.
    assert_eq!(judge("a.csv", FileFormat::Csv, b"a,b,c\n1234,5678,9018\n"), Ok(Legibility::Read));
}

#[test]
fn every_reading_of_every_page_passes_the_guards() {
    let page = |readings: &[&str], unreadable| PdfPage { readings: readings.iter().map(|text| (*text).to_owned()).collect(), unreadable };
    let pdf = file("a.pdf", FileFormat::Pdf, b"%PDF-1.7 %%EOF");
    let judge = |pages: Vec<PdfPage>, others: &[&str]| {
        let others = others.iter().map(|text| (*text).to_owned()).collect();
        Inspected::judge(&pdf, PdfReading::Read(PdfText { pages, others })).map(|inspected| inspected.legibility())
    };
    assert_eq!(judge(vec![page(&["a"], 0), page(&["b"], 0)], &["c"]), Ok(Legibility::Read));
    for pages in [vec![], vec![page(&["a"], 0), page(&[" \n"], 0)], vec![page(&["a"], 1)], vec![page(&[], 0)]] {
        assert_eq!(judge(pages, &[]), Ok(Legibility::Unread));
    }
    let hit = |at| Hit { found: Forbidden::IndividualNumber, at };
    let second = judge(vec![page(&["a"], 0), page(&["8109", "x\n123456789018"], 0)], &[]);
    assert_eq!(second, Err(FileRefusal::Forbidden(hit(2), at(Some(2), 2).unwrap())));
    assert_eq!(judge(vec![page(&["a"], 0)], &["123456789018"]), Err(FileRefusal::Forbidden(hit(0), FilePlace::default())));
    for (reading, refusal) in [
        (PdfReading::NotAPdf, FileRefusal::Unreadable),
        (PdfReading::Unreadable, FileRefusal::Unreadable),
        (PdfReading::Encrypted, FileRefusal::Encrypted),
        (PdfReading::HoldsFiles, FileRefusal::HoldsFiles),
        (PdfReading::TooManyPages, FileRefusal::TooManyPages),
    ] {
        assert_eq!(Inspected::judge(&pdf, reading), Err(refusal));
    }
}

#[test]
fn a_name_is_for_people_and_for_no_file_system() {
    let longest = format!("{}.txt", "あ".repeat(96));
    for name in ["a.pdf", "課税証明書（令和8年）.PDF", "a b.txt", longest.as_str()] {
        assert!(name.parse::<FileName>().is_ok(), "{name}");
    }
    let long = format!("{}.txt", "a".repeat(97));
    for name in ["", ".pdf", " a.pdf", "a.pdf ", "a.", "a/b.pdf", "..\\a.pdf", "a\n.pdf", "a\u{202e}fdp.exe", "a:b.txt", long.as_str()] {
        assert_eq!(name.parse::<FileName>(), Err(IdentifierError::FileName), "{name:?}");
    }
}
