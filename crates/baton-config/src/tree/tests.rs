use std::fmt::Write;

use super::*;

/// The tree on one line: each key and value with its place.
#[track_caller]
fn check(text: &str) -> String {
    match parse(text) {
        Ok(node) => show(&node),
        Err(error) => error.message,
    }
}

fn show(node: &Node) -> String {
    let at = |span: Span| format!("{}:{}+{}", span.line, span.column, span.len);
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => format!("{text:?}@{}", at(node.span)),
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let mut out = String::from("{");
            for (key, value) in entries {
                write!(out, "{}@{} {} ", key.text, at(key.span), show(value)).unwrap();
            }
            out + "}"
        }
    }
}

#[test]
fn keys_and_values_have_their_place_in_characters() {
    assert_eq!(
        check("ä: 1\nb:\n  - x\n  - {c: \"ü\"}"),
        r#"{ä@1:1+1 "1"@1:4+1 b@2:1+1 ["x"@3:5+1, {c@4:6+1 "ü"@4:9+3 }] }"#
    );
}

#[test]
fn scalars_keep_the_text_they_are_written_with() {
    assert_eq!(
        check("[0.10, 1e3, 007, 0x1F, true, yes, +1, 1_000, .5, 12345678901234567890123]"),
        r#"["0.10"@1:2+4, "1e3"@1:8+3, "007"@1:13+3, "0x1F"@1:18+4, "true"@1:24+4, "yes"@1:30+3, "+1"@1:35+2, "1_000"@1:39+5, ".5"@1:46+2, "12345678901234567890123"@1:50+23]"#
    );
}

#[test]
fn an_aliased_value_has_the_text_of_its_anchor_and_the_place_of_its_use() {
    assert_eq!(check("a: &x 0.50\nb: *x"), r#"{a@1:1+1 "0.50"@1:7+4 b@2:1+1 "0.50"@2:4+2 }"#);
}

#[test]
fn nothing_is_a_null() {
    for text in ["", "# only a comment", "null", "~", "---\n"] {
        assert_eq!(check(text), "null", "{text}");
    }
}

#[test]
fn a_key_that_stands_twice_is_kept_twice() {
    assert_eq!(check("a: x\na: y"), r#"{a@1:1+1 "x"@1:4+1 a@2:1+1 "y"@2:4+1 }"#);
}

#[test]
fn a_merge_key_is_a_key_like_others() {
    assert_eq!(check("<<: {a: x}"), r#"{<<@1:1+2 {a@1:6+1 "x"@1:9+1 } }"#);
}

#[test]
fn what_is_no_plain_document_is_refused() {
    assert_eq!(check("a: !!python/object x"), "a tag is not allowed here");
    assert_eq!(check("a: x\n---\nb: y"), "the file holds more than one YAML document");
    assert_eq!(check("a: *x"), "the alias names an anchor that was not set before");
    assert_eq!(check("a: &x [*x]"), "the anchor holds itself");
    assert_eq!(check("a: [x"), "not valid YAML: unclosed bracket '['");
}

#[test]
fn a_bomb_is_refused_however_it_is_built() {
    let laughs = |width: usize, depth: usize| {
        let mut text = format!("a0: &a0 [{}]\n", ["x"; 9].join(","));
        for level in 1..depth {
            let aliases = vec![format!("*a{}", level - 1); width].join(",");
            writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
        }
        text
    };
    let too_large = "the file is nested too deep, or grows too large by its anchors";
    assert_eq!(check(&laughs(9, 12)), too_large);
    assert_eq!(check(&laughs(2, 40)), too_large);
    assert_eq!(check(&"x: [".repeat(60)), too_large);
    assert_eq!(check(&format!("{}x{}", "[".repeat(40), "]".repeat(40))), too_large);
    assert_eq!(check(&"[".repeat(500_000)), "not valid YAML: recursion limit exceeded");
    assert_eq!(check(&"- ".repeat(200_000)), too_large);
    assert_eq!(check(&"- x\n".repeat(100_000)), too_large);
}
