use std::path::Path;

use baton_dialect::Changed;

use super::*;

/// Every stream of the dialects' fixtures, through every lane, cut at every byte: what the client
/// gets and what is noted is the same as uncut.
#[test]
fn where_the_upstreams_bytes_are_cut_changes_nothing() {
    let mut streams = 0;
    for (upstream, name, bytes) in fixtures() {
        let cross = if upstream == Dialect::OpenaiChat { "anthropic" } else { "openai" };
        for lane in ["hidden", "renamed", cross] {
            let whole = check(upstream, lane, &[&bytes]);
            for at in 0..bytes.len() {
                let (left, right) = bytes.split_at(at);
                let cut = check(upstream, lane, &[left, right]);
                assert_eq!(cut, whole, "{name} through {lane}, cut at {at}");
            }
            streams += 1;
        }
    }
    assert!(streams >= 50, "only {streams} streams were found");
}

#[test]
fn an_answer_without_an_end_mark_gets_one_and_a_torn_one_does_not() {
    let chunk = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#;
    let finish = chunk.replace(r#"{"content":"hi"},"finish_reason":null"#, r#"{},"finish_reason":"stop""#);
    let whole = check(Dialect::OpenaiChat, "fast", &[format!("{chunk}\n\n{finish}\n\n").as_bytes()]);
    assert!(whole.contains("data: [DONE]"), "{whole}");
    let torn = check(Dialect::OpenaiChat, "fast", &[format!("{chunk}\n\n").as_bytes()]);
    assert!(torn.ends_with("fault truncated: the upstream closed its stream before the end"), "{torn}");
}

/// Feeds the chunks and tells everything that came out, as one text.
fn check(upstream: Dialect, lane: &str, chunks: &[&[u8]]) -> String {
    let options = || StreamOptions {
        model: Some("provider/model".to_owned()),
        id: "id".to_owned(),
        created: 1,
        include_usage: true,
        request: None,
    };
    let mut pump = match lane {
        "fast" => Pump::fast(upstream, false, None, None),
        "hidden" => Pump::fast(upstream, true, None, None),
        "renamed" => Pump::fast(upstream, false, Some("provider/model".to_owned()), None),
        "openai" => Pump::slow(Dialect::OpenaiChat, upstream, options(), &Changed::default()),
        _ => Pump::slow(Dialect::AnthropicMessages, upstream, options(), &Changed::default()),
    };
    let mut seen = Seen::default();
    let mut result = Ok(());
    for chunk in chunks {
        result = result.and_then(|()| pump.feed(Bytes::copy_from_slice(chunk), &mut seen));
    }
    let result = result.and_then(|()| pump.close(&mut seen));
    let out = pump.take().concat();
    // With which event the late LF of a blank line goes is the only difference a cut may make: it
    // can leave one blank line more, which means nothing.
    let text =
        String::from_utf8_lossy(&out).replace('\r', "").replace("\n\n\n", "\n\n").trim_end().to_owned();
    let noted =
        format!("{:?} {:?} {:?} {:?}", seen.finish, seen.usage, seen.upstream_id, seen.upstream_model);
    match result {
        Ok(()) => format!("{text}\n{noted}"),
        // What a fault was found in differs with the cut, that there was one and what came before does not.
        Err(fault) => format!("{text}\n{noted}\nfault {}: {}", fault.kind, fault.message),
    }
}

fn fixtures() -> Vec<(Dialect, String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../baton-dialect/fixtures");
    let mut all = Vec::new();
    for dialect in Dialect::ALL {
        let folder = root.join(dialect.as_str()).join("stream");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sse") {
                all.push((dialect, path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    all
}
