use baton_model::RequestId;
use proptest::prelude::*;

use super::*;

#[test]
fn a_text_is_a_message() {
    assert_eq!(
        check(r#""hi \"there\"""#),
        r#"{"role":"user","content":[{"type":"input_text","text":"hi \"there\""}],"id":"msg_0","type":"message","status":"completed"}"#
    );
}

#[test]
fn a_short_message_is_written_out() {
    assert_eq!(
        check(r#"[{"role":"assistant","content":"a"},{"role":"developer","content":"b","type":"message"}]"#),
        r#"{"role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]}],"id":"msg_0","type":"message","status":"completed"}
{"role":"developer","content":[{"type":"input_text","text":"b"}],"type":"message","id":"msg_1","status":"completed"}"#
    );
}

#[test]
fn what_is_whole_stays_as_it_is() {
    let whole = r#"{ "type":"message", "id":"msg_x", "role":"user", "status":"incomplete", "content":[{"type":"input_image","image_url":"u","n":1.0}], "new":null }"#;
    assert_eq!(check(&format!("[ {whole} ]")), whole);
}

#[test]
fn calls_and_results_get_ids_and_a_status() {
    assert_eq!(
        check(
            r#"[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1","id":null}]"#
        ),
        r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}","id":"fc_0","status":"completed"}
{"type":"function_call_output","call_id":"c","output":"1","id":"fco_1","status":"completed"}"#
    );
}

#[test]
fn reasoning_and_kinds_that_are_not_known_get_an_id_only() {
    assert_eq!(
        check(
            r#"[{"type":"reasoning","summary":[],"encrypted_content":"e"},{"type":"of_tomorrow","x":1},{"type":"item_reference","id":"msg_7"}]"#
        ),
        r#"{"type":"reasoning","summary":[],"encrypted_content":"e","id":"rs_0"}
{"type":"of_tomorrow","x":1,"id":"item_1"}
{"type":"item_reference","id":"msg_7"}"#
    );
}

#[test]
fn an_empty_list_has_no_items() {
    assert_eq!(check("[]"), "");
}

#[test]
fn what_is_no_input_is_refused_with_its_place() {
    assert_eq!(check("7"), "input: `input` must be a string or a list of items");
    assert_eq!(check("{}"), "input: `input` must be a string or a list of items");
    assert_eq!(
        check(r#"[{"role":"user","content":"a"},"b"]"#),
        "input[1]: an item must be an object with each key once"
    );
    assert_eq!(check(r#"[{"a":1,"a":2}]"#), "input[0]: an item must be an object with each key once");
    assert_eq!(check(r#"[{"type":"message","id":7}]"#), "input[0].id: an item's `id` must be a string");
}

#[test]
fn ids_follow_from_the_response_and_the_place() {
    let ids = |number, input: &[u8]| {
        let items = of_request(response(number), input).unwrap();
        items.iter().map(|item| item.id().to_owned()).collect::<Vec<_>>()
    };
    let two = br#"[{"role":"user","content":"a"},{"role":"user","content":"a"}]"#;
    assert_eq!(ids(1, two), ids(1, two));
    assert_ne!(ids(1, two)[0], ids(1, two)[1]);
    assert_ne!(ids(1, two), ids(2, two));
    let body = RawJson::parse(r#"{"output":[{"role":"assistant","content":"a"}]}"#).unwrap();
    assert_ne!(of_output(response(1), &body).unwrap()[0].id(), ids(1, two)[0]);
}

#[test]
fn an_output_is_read_where_there_is_one() {
    let read = |body: &str| {
        let items = of_output(response(1), &RawJson::parse(body).unwrap());
        items.map(|items| items.iter().map(|item| item.json().get().to_owned()).collect::<Vec<_>>())
    };
    let item = r#"{"id":"fc_1","type":"function_call","status":"completed","arguments":"{}"}"#;
    assert_eq!(read(&format!(r#"{{"id":"r","output":[{item}]}}"#)).unwrap(), [item]);
    assert_eq!(read(r#"{"id":"r"}"#).unwrap(), Vec::<String>::new());
    assert_eq!(read(r#"{"output":null}"#).unwrap(), Vec::<String>::new());
    assert_eq!(read(r#"{"output":7}"#).unwrap_err().path(), "output");
    assert_eq!(read(r#"{"output":[7]}"#).unwrap_err().path(), "output[0]");
}

#[test]
fn a_page_is_listed_as_on_the_wire() {
    let items = of_request(response(1), br#"[{"type":"x","id":"a"},{"type":"x","id":"b"}]"#).unwrap();
    let list = ItemPage { limit: 1, after: None, order: Order::Asc }.of(items).unwrap();
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"object":"list","data":[{"type":"x","id":"a"}],"first_id":"a","last_id":"a","has_more":true}"#
    );
    let list = ItemPage { limit: 1, after: None, order: Order::Asc }.of(Vec::new()).unwrap();
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#
    );
}

proptest! {
    /// Whoever goes from page to page comes to the end, also where a client has given one id twice; and
    /// where none stands twice, sees each item once.
    #[test]
    fn pages_lead_to_the_end(ids in prop::collection::vec(0_u8..30, 0..30), limit in 1_usize..7, newest_first: bool) {
        let items: Vec<_> = ids.iter().map(|id| format!(r#"{{"type":"x","id":"{id}"}}"#)).collect();
        let items = of_request(response(1), format!("[{}]", items.join(",")).as_bytes()).unwrap();
        let order = if newest_first { Order::Desc } else { Order::Asc };
        let (mut seen, mut after) = (Vec::new(), None);
        for _ in 0..=ids.len() {
            let list = ItemPage { limit, after: after.take(), order }.of(items.clone()).unwrap();
            seen.extend(list.data.iter().map(|item| item.id().parse::<u8>().unwrap()));
            prop_assert!(list.data.len() <= limit);
            if !list.has_more {
                break;
            }
            after = list.last_id.map(String::from);
        }
        prop_assert!(after.is_none(), "it does not end");
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() == ids.len() {
            let mut expected = ids;
            if newest_first {
                expected.reverse();
            }
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn what_is_stored_comes_back(texts in prop::collection::vec(".*", 0..5)) {
        let messages: Vec<_> = texts.iter().map(|content| Said { role: "user", content }).collect();
        let input = serde_json::to_string(&messages).unwrap();
        let items = of_request(response(1), input.as_bytes()).unwrap();
        let stored = RawJson::parse(to_list(&items)).unwrap();
        prop_assert_eq!(&from_list(&stored).unwrap(), &items);
        let again = of_request(response(2), stored.get().as_bytes()).unwrap();
        prop_assert_eq!(again, items, "items that are whole do not change");
    }
}

fn response(number: u8) -> ResponseId {
    ResponseId::of(RequestId::from_parts(1_790_000_000_000, [number; 10]))
}

/// The items of an input, one in a line; ids that were made are shown by their place. Or what is wrong.
#[track_caller]
fn check(input: &str) -> String {
    let items = match of_request(response(1), input.as_bytes()) {
        Ok(items) => items,
        Err(error) => return format!("{}: {error}", error.path()),
    };
    let shown = items.iter().enumerate().map(|(number, item)| {
        let (prefix, digits) = item.id().split_once('_').unwrap();
        let text = item.json().get();
        if digits.len() < 32 {
            text.to_owned()
        } else {
            text.replace(item.id(), &format!("{prefix}_{number}"))
        }
    });
    shown.collect::<Vec<_>>().join("\n")
}
