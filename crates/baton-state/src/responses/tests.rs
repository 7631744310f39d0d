use baton_model::RequestId;

use super::*;

#[test]
fn an_id_has_the_digits_of_its_request() {
    let request = RequestId::from_parts(1_790_000_000_000, [7; 10]);
    let id = ResponseId::of(request);
    assert_eq!(id.to_string().strip_prefix("resp_"), request.to_string().strip_prefix("req_"));
    assert_eq!((id.to_string().parse(), id.request()), (Ok(id), request));
}

#[test]
fn a_providers_id_is_none_of_ours() {
    for foreign in [
        "",
        "resp_",
        "resp_1",
        "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        // A random UUID, and one written in another way.
        "resp_0e2b1f4c5d6e4f708192a3b4c5d6e7f8",
        "resp_01A0C6E5A40070070707070707070707",
        "msg_01a0c6e5a40070070707070707070707",
        "01a0c6e5a40070070707070707070707",
    ] {
        assert_eq!(foreign.parse::<ResponseId>(), Err(NotOurs), "{foreign}");
    }
    assert!("resp_01a0c6e5a40070079707070707070707".parse::<ResponseId>().is_ok());
}

#[test]
fn every_status_is_read_as_it_is_written() {
    let all = ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"];
    let ends = all.map(|text| {
        let status: ResponseStatus = text.parse().unwrap();
        assert_eq!(status.as_str(), text);
        status.is_end()
    });
    assert_eq!(ends, [false, false, true, true, true, true]);
    assert!("done".parse::<ResponseStatus>().is_err());
}

#[test]
fn what_is_shown_of_a_response_has_no_content() {
    let stored = StoredResponse {
        id: ResponseId::of(RequestId::from_parts(1, [1; 10])),
        subject: Subject::principal("key"),
        run: None,
        previous: None,
        status: ResponseStatus::Completed,
        created_ms: 1,
        ended_ms: None,
        expires_ms: 2,
        input: items::of_request(ResponseId::of(RequestId::from_parts(1, [1; 10])), b"\"hush\"").unwrap(),
        body: RawJson::parse("\"hush\"").unwrap(),
    };
    assert!(!format!("{stored:?} {:?}", stored.input).contains("hush"));
}
