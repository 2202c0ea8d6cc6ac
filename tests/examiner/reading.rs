//! PDFs as people make them are read and guarded; those that somebody made to do harm harm nobody.

use crate::{
    ear, file, judged,
    pdf::{self, stream},
    reader,
};
use nakatsugi::{
    examiner::{Examiner, ExaminerEvent, Reader},
    record::{FILE_BYTES, FileFormat, FilePlace, FileRefusal, Legibility, PdfReading},
};
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

async fn judge(bytes: &[u8]) -> Result<Legibility, FileRefusal> {
    judged(&Examiner::new(reader(), None), file("a.pdf", FileFormat::Pdf, bytes)).await.unwrap()
}

/// The code and the place of a refusal.
async fn refused(bytes: &[u8]) -> (&'static str, Option<FilePlace>) {
    let refusal = judge(bytes).await.unwrap_err();
    (refusal.code(), refusal.place())
}

fn at(page: usize, line: usize) -> Option<FilePlace> {
    Some(FilePlace { page: Some(page), line: Some(line) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_found_on_its_page_and_line() {
    assert_eq!(judge(&pdf::text(&[&["Notice", "2026-01-01 09:00"], &["03-1234-5678"]])).await, Ok(Legibility::Read));
    let number = |text| pdf::text(&[&["first"], &["Notice", text]]);
    for text in ["No. 123456789018", "1234 5678 9018", "1234-5678-9018"] {
        assert_eq!(refused(&number(text)).await, ("individual-number", at(2, 2)), "{text}");
    }
    assert_eq!(refused(&number("000000000000017")).await, ("addressee-in-text", at(2, 2)));
    // Drawn in two halves, the second first.
    let disorder = stream("", b"BT /F 12 Tf 112.04 700 Td (789018) Tj ET BT /F 12 Tf 72 700 Td (123456) Tj ET");
    assert_eq!(refused(&pdf::pages(&[disorder], "", &[])).await, ("individual-number", at(1, 1)));
    // Invisible, as behind a scan.
    let unseen = stream("", b"BT 3 Tr /F 12 Tf 72 700 Td (123456789018) Tj ET");
    assert_eq!(refused(&pdf::pages(&[unseen], "", &[])).await, ("individual-number", at(1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_beside_the_pages_is_read_too() {
    let beside = |object: &[u8]| pdf::pages(&[pdf::lines(&["a"])], "", &[object.to_vec()]);
    for object in [
        &b"<</Type/Annot/Subtype/Text/Contents(1234 5678 9018)>>"[..],
        b"<</FT/Tx/V<FEFF003100320033003400350036003700380039003000310038>>>",
        b"[[[(No. 123456789018)]]]",
    ] {
        assert_eq!(refused(&beside(object)).await, ("individual-number", Some(FilePlace::default())));
    }
    let xmp = stream("/Type/Metadata/Subtype/XML", b"<dc:title>No. 123456789018</dc:title>");
    assert_eq!(refused(&beside(&xmp)).await, ("individual-number", Some(FilePlace::default())));
    assert_eq!(refused(&beside(b"<</Type/Filespec/F(a)/EF<</F 9 0 R>>>>")).await, ("file-in-file", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_machine_reads_whole_is_unread() {
    let drawing = stream("", b"0 0 100 100 re f");
    assert_eq!(judge(&pdf::pages(&[pdf::lines(&["a"]), drawing], "", &[])).await, Ok(Legibility::Unread));
    let layers = pdf::pages(&[pdf::lines(&["a"])], "", &[b"<</OCProperties<<>>>>".to_vec()]);
    assert_eq!(judge(&layers).await, Ok(Legibility::Unread));
    // A font whose codes mean what it likes.
    let font = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2/BaseFont/X\
        /CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>]>>";
    let page = stream("", b"BT /X 12 Tf 72 700 Td <00410042> Tj ET");
    assert_eq!(judge(&pdf::pages(&[page], "/ColorSpace<<>>", &[]).replace_font(font)).await, Ok(Legibility::Unread));
}

/// Puts another font in the place of Helvetica, under the name X.
trait ReplaceFont {
    fn replace_font(self, font: &[u8]) -> Vec<u8>;
}

impl ReplaceFont for Vec<u8> {
    fn replace_font(self, font: &[u8]) -> Vec<u8> {
        // The places in the table are wrong now; readers mend that.
        let text: String = self.iter().map(|byte| char::from(*byte)).collect();
        let font: String = font.iter().map(|byte| char::from(*byte)).collect();
        let text = text.replace("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", &font).replace("/F 3 0 R", "/X 3 0 R");
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
    }
}

/// A space and 258 more for each time, in the fixed code of RFC 1951 §3.2.6.
fn deflated(times: usize) -> Vec<u8> {
    let mut bits = Vec::<bool>::new();
    let mut push = |value: u32, length: u32, first_high: bool| {
        for bit in 0..length {
            let bit = if first_high { length - 1 - bit } else { bit };
            bits.push(value >> bit & 1 == 1);
        }
    };
    push(1, 1, false);
    push(1, 2, false);
    push(0x30 + u32::from(b' '), 8, true);
    for _ in 0..times {
        // Length 258 is code 285; distance 1 is code 0.
        push(0b1100_0101, 8, true);
        push(0, 5, true);
    }
    push(0, 7, true);
    let mut bytes = vec![0x78, 0x01];
    bytes.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | u8::from(*bit))));
    bytes.extend([0; 4]);
    bytes
}

/// Files that somebody made to do harm.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let page = |content: Vec<u8>| pdf::pages(&[content], "", &[]);
    let nested = |open: &str, close: &str, times: usize| {
        pdf::pages(&[pdf::lines(&["a"])], "", &[[open.repeat(times), close.repeat(times)].concat().into_bytes()])
    };
    let form = |number: usize| {
        let entries = format!("/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X {number} 0 R>>>>");
        stream(&entries, "/X Do ".repeat(30).as_bytes())
    };
    let forms: Vec<_> = (7..20).map(form).collect();
    let looped = pdf::file(&[b"<</Type/Catalog/Pages 2 0 R>>".to_vec(), b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>".to_vec()]);
    let table = b"%PDF-1.7\n1 0 obj\n<</Type/XRef/Size 4/W[0 0 0]/Index[0 9000000000]/Root 1 0 R/Length 0>>stream\n\nendstream\nendobj\n\
        startxref\n9\n%%EOF";
    vec![
        ("arrays in arrays", nested("[", "]", 200_000)),
        ("dictionaries in dictionaries", nested("<</A ", ">>", 100_000)),
        ("arrays in a page", page(stream("", "[".repeat(400_000).as_bytes()))),
        ("states upon states", page(stream("", "q ".repeat(400_000).as_bytes()))),
        ("a gigabyte of spaces", page(stream("/Filter/FlateDecode", &deflated(600_000)))),
        ("a page tree that is its own child", looped),
        ("forms in forms, 30 to the 13th", pdf::pages(&[stream("", b"/X Do")], "/XObject<</X 6 0 R>>", &forms)),
        ("a table of nine thousand million entries", table.to_vec()),
        ("a table before itself", {
            let text = String::from_utf8(pdf::text(&[&["a"]])).unwrap();
            let table = text.rfind("xref\n0").unwrap();
            text.replace("/Root", &format!("/Prev {table}/Root")).into_bytes()
        }),
        (
            "nothing of sense",
            [b"%PDF-1.7\n".to_vec(), (0..900_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(), b"%%EOF".to_vec()]
                .concat(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_file_costs_its_own_process_and_a_bounded_time() {
    let (listen, heard) = ear();
    let reader = Reader::by(env!("CARGO_BIN_EXE_nakatsugi").into(), listen);
    for (how, bytes) in hostile() {
        let began = Instant::now();
        let reading = reader.read(&bytes[..bytes.len().min(FILE_BYTES)]).await;
        let (took, events) = (began.elapsed(), std::mem::take(&mut *heard.lock().unwrap()));
        eprintln!("{how}: {} in {took:.2?} {events:?}", if matches!(reading, PdfReading::Read(_)) { "read" } else { "refused" });
        // Processor time is bounded at 4 seconds, the rest is the machine's.
        assert!(took < Duration::from_secs(35), "{how}: {took:?}");
        match reading {
            // Read to its end, and nothing in it: an official must look at it.
            PdfReading::Read(text) => assert!(text.pages.iter().all(|page| page.readings.iter().all(|text| text.len() < 100)), "{how}"),
            PdfReading::Unreadable => assert!(events.iter().all(|event| matches!(event, ExaminerEvent::ReaderBroken { .. })), "{how}"),
            other => panic!("{how}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_reader_a_pdf_is_refused() {
    let (listen, heard) = ear();
    for (program, cause) in [("/nowhere/nakatsugi", "not-started"), ("/bin/true", "no-answer"), ("/bin/false", "died")] {
        let examiner = Examiner::new(Reader::by(program.into(), listen.clone()), None);
        let judged = judged(&examiner, file("a.pdf", FileFormat::Pdf, &pdf::text(&[&["a"]]))).await.unwrap();
        assert_eq!(judged, Err(FileRefusal::Unreadable));
        let events = std::mem::take(&mut *heard.lock().unwrap());
        assert!(matches!(events[..], [ExaminerEvent::ReaderBroken { cause: told, .. }] if told == cause), "{program}: {events:?}");
    }
}

#[test]
fn the_process_is_confined_before_it_sees_a_byte() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nakatsugi"))
        .arg("read-pdf")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let of = |what: &str| fs::read_to_string(format!("/proc/{}/{what}", child.id())).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !of("status").contains("Seccomp:\t2") {
        assert!(Instant::now() < until, "{}", of("status"));
        std::thread::sleep(Duration::from_millis(10));
    }
    let limits = of("limits");
    for (name, most) in [("Max cpu time", "4"), ("Max file size", "0"), ("Max core file size", "0"), ("Max processes", "0")] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(line[name.len()..].split_whitespace().next(), Some(most), "{line}");
    }
    child.stdin.take().unwrap().write_all(&pdf::text(&[&["a"]])).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains(r#""readings":["a"]"#));
}
