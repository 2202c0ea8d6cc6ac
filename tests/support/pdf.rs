//! Small PDFs, made by hand: objects, a cross-reference table, and pages of Helvetica.

/// A file of these objects, numbered from 1; the first is the catalogue.
pub(crate) fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(objects) {
        places.push(bytes.len());
        bytes.extend(format!("{number} 0 obj\n").into_bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let table = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for place in places {
        bytes.extend(format!("{place:010} 00000 n \n").into_bytes());
    }
    bytes.extend(format!("trailer <</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1).into_bytes());
    bytes
}

/// A stream with these entries in its dictionary.
pub(crate) fn stream(entries: &str, content: &[u8]) -> Vec<u8> {
    let mut object = format!("<</Length {} {entries}>>\nstream\n", content.len()).into_bytes();
    object.extend(content);
    object.extend(b"\nendstream");
    object
}

/// A file whose pages have this content, one stream each, with more objects behind them; `resources` stand beside the font F.
pub(crate) fn pages(contents: &[Vec<u8>], resources: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let kids: String = (0..contents.len()).map(|page| format!("{} 0 R ", 4 + 2 * page)).collect();
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Kids[{kids}]/Count {}>>", contents.len()).into_bytes(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
    ];
    for (page, content) in contents.iter().enumerate() {
        let resources = format!("<</Font<</F 3 0 R>>{resources}>>");
        let head = format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {} 0 R/Resources{resources}>>", 5 + 2 * page);
        objects.extend([head.into_bytes(), content.clone()]);
    }
    objects.extend_from_slice(more);
    file(&objects)
}

/// The content of a page with these lines.
pub(crate) fn lines(lines: &[&str]) -> Vec<u8> {
    let shown: String = lines.iter().map(|line| format!("({line}) Tj 0 -16 Td ")).collect();
    stream("", format!("BT /F 12 Tf 72 720 Td {shown}ET").as_bytes())
}

/// A file with these pages of lines.
pub(crate) fn text(pages: &[&[&str]]) -> Vec<u8> {
    self::pages(&pages.iter().map(|page| lines(page)).collect::<Vec<_>>(), "", &[])
}
