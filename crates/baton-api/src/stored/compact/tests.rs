use baton_state::{Place, Seal, SealError};

use super::*;

/// Puts the place in front, and looks whether it is the same one when it is opened.
#[derive(Debug)]
struct Marked;

impl Seal for Marked {
    fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok([&place.context(), plain].concat())
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain = sealed.strip_prefix(place.context().as_slice());
        plain.map(<[u8]>::to_vec).ok_or_else(|| SealError::new("another place"))
    }
}

#[test]
fn a_summary_stands_where_its_item_stood() {
    let opened = check("key_a", r#"[{"type":"x"}, SEALED, {"type":"y"}]"#).unwrap();
    let items: Vec<Value> = serde_json::from_slice(&opened.input.unwrap()).unwrap();
    assert_eq!((items.len(), &items[0], &items[2]), (3, &json!({"type": "x"}), &json!({"type": "y"})));
    assert_eq!(items[1]["content"][0]["text"], format!("{BEFORE}They spoke of cats."));
}

#[test]
fn a_summary_of_another_caller_is_refused_with_its_path() {
    let refused = check("key_b", r#"[{"type":"x"}, SEALED]"#).unwrap_err();
    assert_eq!(refused.param(), Some("input[1].encrypted_content"));
}

#[test]
fn a_summary_that_was_changed_is_refused_with_its_path() {
    let input = r#"[{"type":"compaction","encrypted_content":"baton1_AAAA"}]"#;
    assert_eq!(check("key_a", input).unwrap_err().param(), Some("input[0].encrypted_content"));
    let input = r#"[{"type":"compaction","encrypted_content":"baton1_?"}]"#;
    assert_eq!(check("key_a", input).unwrap_err().param(), Some("input[0].encrypted_content"));
}

#[test]
fn a_summary_of_a_provider_stays_and_is_told_of() {
    let input = r#"[{"type":"x"},{"type":"compaction","encrypted_content":"gAAAA"}]"#;
    assert_eq!(check("key_a", input).unwrap(), Opened { input: None, foreign: Some(1) });
}

#[test]
fn what_has_no_summary_stays() {
    for input in [r#""the word \"compaction\"""#, r#"[{"role":"user","content":"\"compaction\""}]"#, "5", ""]
    {
        assert_eq!(check("key_a", input).unwrap(), Opened::default(), "{input}");
    }
}

#[test]
fn what_only_the_gateway_knows_is_found() {
    let ours = "resp_01a0c6e5a40070079707070707070707";
    for (body, names) in [
        (json!({"previous_response_id": ours}), true),
        (json!({"previous_response_id": "resp_1"}), false),
        (json!({"input": [{"type": "compaction", "encrypted_content": "baton1_AAAA"}]}), true),
        (json!({"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}), false),
        (json!({"input": "hi"}), false),
    ] {
        let object = RawObject::parse(body.to_string().into()).unwrap();
        assert_eq!(names_ours(&object), names, "{body}");
    }
}

/// Opens an input for a caller. What is sealed in it was made for `key_a`.
fn check(opened_by: &str, input: &str) -> Result<Opened, ApiError> {
    let compactions = Compactions::new(Arc::new(Marked));
    let sealed = compactions.seal("key_a", "They spoke of cats.").unwrap();
    let sealed = format!("{OURS}{}", BASE64_URL_SAFE_NO_PAD.encode(sealed));
    let item = json!({"type": "compaction", "id": "cmp_1", "encrypted_content": sealed}).to_string();
    open(&compactions, opened_by, &Bytes::from(input.replace("SEALED", &item)))
}
