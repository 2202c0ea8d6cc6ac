//! How deep a JSON text nests, told without parsing it.
//!
//! Always: brackets inside strings do not count. The text need not be JSON; whoever parses it says so.

/// Whether objects and arrays nest at most `limit` deep.
pub(super) fn within(json: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    None | Some(b'"') => break,
                    Some(b'\\') => drop(bytes.next()),
                    Some(_) => {}
                }
            },
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_arrays_count_and_strings_do_not() {
        assert!(within("1", 0) && !within("[]", 0));
        assert!(within(r#"{"a":[1,{"b":[]}],"c":[[]]}"#, 4) && !within(r#"{"a":[1,{"b":[]}],"c":[[]]}"#, 3));
        assert!(within(r#"["[[[[", "\"[[[", "\\"]"#, 1));
        assert!(!within(r#"["\\", [[]]]"#, 2));
        let deep = "[".repeat(17) + &"]".repeat(17);
        assert!(within(&deep, 17) && !within(&deep, 16));
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for text in ["]]]]", "\"", "\"\\", "{\"", "}{", "日本\"語"] {
            assert!(within(text, 1), "{text}");
        }
    }
}
