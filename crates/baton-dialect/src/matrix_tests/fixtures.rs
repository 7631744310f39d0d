//! Finds the fixtures and keeps the snapshots beside them.

use std::path::{Path, PathBuf};

use baton_model::Dialect;

pub(super) fn each(sort: &str, run: impl Fn(Dialect, &str, &[u8]) -> String) {
    each_fixture(sort, |dialect, name, body| {
        let text = run(dialect, name, body);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(folder(dialect, sort));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

pub(crate) fn each_fixture(sort: &str, run: impl Fn(Dialect, &str, &[u8])) {
    for dialect in Dialect::ALL {
        for path in fixtures(dialect, sort) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            run(dialect, &name, &load(&path));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the crate, the fixtures are files")]
pub(super) fn load(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn folder(dialect: Dialect, sort: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(dialect.as_str()).join(sort)
}

pub(super) fn fixtures(dialect: Dialect, sort: &str) -> Vec<PathBuf> {
    let Ok(entries) = folder(dialect, sort).read_dir() else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json" || end == "sse"));
    paths.sort();
    paths
}

/// JSON with line breaks, in the order and with the numbers as they were written.
pub(super) fn pretty(json: &[u8]) -> String {
    let json = std::str::from_utf8(json).unwrap();
    let mut out = String::new();
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let mut characters = json.chars().peekable();
    while let Some(found) = characters.next() {
        if in_string {
            out.push(found);
            in_string = found != '"' || escaped;
            escaped = found == '\\' && !escaped;
            continue;
        }
        match found {
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => out.push(found),
            '{' | '[' => {
                depth += 1;
                out.push(found);
                indent(&mut out, depth);
            }
            '}' | ']' if out.ends_with(['{', '[']) => out.push(found),
            '}' | ']' => {
                depth -= 1;
                indent(&mut out, depth);
                out.push(found);
            }
            ',' => {
                out.push(found);
                indent(&mut out, depth);
            }
            ':' => out.push_str(": "),
            found if found.is_whitespace() => {}
            found => {
                in_string = found == '"';
                out.push(found);
            }
        }
    }
    out
}
