//! What does not compile: reading without a scope, proofs made by hand, settling twice (`tests/compile_fail`).
//!
//! Always: each file names the error that it must fail with, by the compiler's code and words that stand in its message, and
//! fails with no other; the one that must compile shows that the rest do not fail for want of a name. Absent: the
//! compiler's whole output, which changes with every version.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The library as this test was linked with, and where its dependencies lie.
fn libraries() -> Vec<PathBuf> {
    let folder = env::current_exe().unwrap().parent().unwrap().to_owned();
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_ours(path)).collect();
    found.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    found.reverse();
    found
}

fn is_ours(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libnakatsugi-") && name.ends_with(".rlib"))
}

/// What the compiler says of a file: the code and message of each error.
fn errors(library: &Path, file: &Path) -> Vec<(String, String)> {
    let compiler = Path::new(env!("CARGO")).with_file_name("rustc");
    let out = tempfile::tempdir().unwrap();
    let mut compile = Command::new(compiler);
    compile.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--error-format", "json", "--out-dir"]);
    compile.arg(out.path()).arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    compile.arg("--extern").arg(format!("nakatsugi={}", library.display())).arg(file);
    let output = String::from_utf8(compile.output().unwrap().stderr).unwrap();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors = lines.filter(|line| line["level"] == "error" && !line["message"].as_str().unwrap().starts_with("aborting"));
    errors.map(|line| (line["code"]["code"].as_str().unwrap_or_default().to_owned(), line["message"].to_string())).collect()
}

#[test]
fn what_must_not_compile_fails_for_its_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    // Other builds of the library, with other features, may lie beside ours.
    let permitted = folder.join("permitted.rs");
    let library = libraries().into_iter().find(|library| errors(library, &permitted).is_empty());
    let library = library.unwrap_or_else(|| panic!("the right way does not compile: {:?}", errors(&libraries()[0], &permitted)));
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("// expect: ")).unwrap();
        let errors = errors(&library, &file);
        let Some((code, words)) = expected.split_once(' ') else {
            assert_eq!((expected, errors), ("nothing", Vec::new()));
            continue;
        };
        assert!(!errors.is_empty(), "{} compiles", file.display());
        for (found, message) in &errors {
            assert!(found == code && message.contains(words), "{}: {found} {message}", file.display());
        }
        count += 1;
    }
    assert!(count >= 23, "files are missing");
}
