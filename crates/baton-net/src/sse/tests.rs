use proptest::prelude::*;

use super::*;

/// Everything at once: a mark at the start, all line ends, comments, ids, lone fields, bad UTF-8.
const NASTY: &[u8] = b"\xEF\xBB\xBFdata: first\n\n\
    : ping\r\n\r\n\
    event: delta\r\ndata: {\"a\":1}\r\n\r\n\
    data:no space\r\r\
    data:  two spaces\ndata\ndata: third\n\n\
    id: 7\nretry: 10\n\n\
    event: a\nevent: b\ndata: \xFF\xFE\xC3\r\n\n\
    datax: no field\nDATA: nor this\n data: nor this\n\n\
    \xEF\xBB\xBFdata: a mark inside is no mark\n\n\
    \n\n\r\n\
    data: \r\n\r\n\
    event: only a name\n\n\
    data: [DONE]\n\n\
    data: cut off";

#[test]
fn a_plain_event_has_its_data() {
    check(b"data: hello\n\n", &[("", "hello")]);
}

#[test]
fn one_space_after_the_colon_is_dropped_and_no_more() {
    check(b"data:x\n\ndata: x\n\ndata:  x\n\n", &[("", "x"), ("", "x"), ("", " x")]);
}

#[test]
fn several_data_lines_are_joined_by_line_feeds() {
    check(b"data: a\ndata\ndata: b\n\n", &[("", "a\n\nb")]);
}

#[test]
fn every_line_end_ends_a_line() {
    check(b"data: a\r\rdata: b\n\ndata: c\r\n\r\n", &[("", "a"), ("", "b"), ("", "c")]);
}

#[test]
fn the_last_name_counts_and_ids_do_not() {
    check(b"id: 1\nevent: a\nretry: 5\nevent: b\ndata: x\n\n", &[("b", "x")]);
}

#[test]
fn a_byte_order_mark_is_dropped_at_the_start_only() {
    check(b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n", &[("", "a")]);
}

#[test]
fn comments_and_blank_lines_are_events_that_say_nothing() {
    check(b": ping\n\n\n\n:\n\n", &[]);
    assert_eq!(decode(&[b": ping\n\n\n\n:\n\n"]).len(), 4);
}

#[test]
fn an_event_without_its_blank_line_is_given_out_at_the_end() {
    check(b"data: a\n\ndata: b\n", &[("", "a"), ("", "b")]);
    check(b"data: a\n\ndata: b", &[("", "a"), ("", "b")]);
    check(b"event: last", &[("last", "")]);
}

#[test]
fn an_empty_stream_has_no_event() {
    check(b"", &[]);
}

#[test]
fn the_nasty_stream_is_read_as_the_slow_decoder_reads_it() {
    assert_eq!(spoken(&decode(&[NASTY])), slow(NASTY));
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    let whole = heal(&decode(&[NASTY]));
    for at in 0..=NASTY.len() {
        let (front, back) = NASTY.split_at(at);
        assert_eq!(heal(&decode(&[front, back])), whole, "cut at {at}");
    }
}

#[test]
fn two_cuts_anywhere_change_nothing() {
    let whole = heal(&decode(&[NASTY]));
    for first in 0..=NASTY.len() {
        for second in first..=NASTY.len() {
            let (front, back) = NASTY.split_at(second);
            let (front, middle) = front.split_at(first);
            assert_eq!(heal(&decode(&[front, middle, back])), whole, "cut at {first} and {second}");
        }
    }
}

#[test]
fn single_bytes_change_nothing() {
    let bytes: Vec<&[u8]> = NASTY.chunks(1).collect();
    assert_eq!(heal(&decode(&bytes)), heal(&decode(&[NASTY])));
}

#[test]
fn an_event_is_given_out_before_the_line_feed_of_a_cut_line_end() {
    let mut decoder = SseDecoder::new(100);
    decoder.push(Bytes::from_static(b"data: a\r\n\r"));
    assert_eq!(decoder.next_event().unwrap().unwrap().raw, "data: a\r\n\r");
    decoder.push(Bytes::from_static(b"\ndata: b\r\n\r\n"));
    let second = decoder.next_event().unwrap().unwrap();
    assert_eq!((&second.raw[..], &second.data[..]), (&b"\ndata: b\r\n\r\n"[..], &b"b"[..]));
}

#[test]
fn chunks_pushed_before_their_turn_are_kept() {
    let mut decoder = SseDecoder::new(100);
    for piece in [&b"data: a\n\nda"[..], b"ta: b\n", b"\ndata: c"] {
        decoder.push(Bytes::from_static(piece));
    }
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(event);
    }
    events.extend(decoder.finish().unwrap());
    assert_eq!(spoken(&events), slow(b"data: a\n\ndata: b\n\ndata: c"));
}

#[test]
fn an_event_in_one_chunk_is_a_slice_of_it() {
    let chunk = Bytes::from(b"event: delta\ndata: {}\n\ndata: [DONE]\n\n".to_vec());
    let memory = chunk.as_ptr_range();
    let mut decoder = SseDecoder::new(100);
    decoder.push(chunk);
    while let Some(event) = decoder.next_event().unwrap() {
        for part in [&event.raw, &event.event, &event.data] {
            assert!(part.is_empty() || memory.contains(&part.as_ptr()));
        }
    }
}

#[test]
fn a_burst_leaves_as_the_chunk_it_came_in() {
    let burst = Bytes::from(b"data: {\"n\":1}\n\n: ping\n\ndata: {\"n\":2}\n\n".repeat(20));
    let frames = pass(std::slice::from_ref(&burst), |_| true);
    assert_eq!(frames, std::slice::from_ref(&burst));
    assert_eq!(frames[0].as_ptr(), burst.as_ptr());
}

#[test]
fn a_withheld_event_parts_a_passage() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: hide\n\ndata: b\n\ndata: c\n\n");
    assert_eq!(pass(&[chunk], |event| event.data != "hide"), ["data: a\n\n", "data: b\n\ndata: c\n\n"]);
}

#[test]
fn events_of_two_chunks_are_two_frames() {
    // Slices of one buffer that lie side by side in memory, as a reader may hand them out.
    let mut back = Bytes::from(b"data: a\n\ndata: b\n\n".to_vec());
    let front = back.split_to(9);
    assert_eq!(pass(&[front, back], |_| true), ["data: a\n\n", "data: b\n\n"]);
}

#[test]
fn an_event_at_the_limit_passes_and_one_byte_more_does_not() {
    let stream = b"data: 12345\n\n";
    assert_eq!(with_limit(stream.len(), &[stream]).unwrap(), 1);
    assert_eq!(with_limit(stream.len() - 1, &[stream]), Err(SseError::TooLong { limit: 12 }));
    assert_eq!(with_limit(12, &[b"data: 1", b"2345\n\n"]), Err(SseError::TooLong { limit: 12 }));
}

#[test]
fn a_stream_without_line_ends_is_cut_at_the_limit_and_stays_cut() {
    let mut decoder = SseDecoder::new(1 << 20);
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    let mut pushed = 0;
    let error = loop {
        decoder.push(chunk.clone());
        pushed += chunk.len();
        if let Err(error) = decoder.next_event() {
            break error;
        }
    };
    assert_eq!(pushed, (1 << 20) + chunk.len());
    assert!(decoder.carry.capacity() <= 2 << 20);
    assert_eq!(decoder.next_event().unwrap_err(), error);
    assert_eq!(decoder.finish().unwrap_err(), error);
}

#[test]
fn no_byte_of_a_huge_event_is_searched_twice() {
    let mut decoder = SseDecoder::new(DEFAULT_EVENT_LIMIT);
    decoder.push(Bytes::from_static(b"data: "));
    for _ in 0..1000 {
        assert!(decoder.next_event().unwrap().is_none());
        // What was searched lies in the carry; only the new chunk is left to search.
        assert_eq!((decoder.scanned, decoder.chunk.len()), (0, 0));
        decoder.push(Bytes::from_static(b"0123456789"));
    }
    decoder.push(Bytes::from_static(b"\n\n"));
    assert_eq!(decoder.next_event().unwrap().unwrap().data.len(), 10_000);
}

proptest! {
    #[test]
    fn any_stream_with_any_cuts_reads_as_the_slow_decoder_reads_it(
        stream in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.sort_unstable();
        let mut chunks = Vec::new();
        let mut rest = &stream[..];
        for place in places.iter().rev() {
            let (front, back) = rest.split_at(*place);
            chunks.insert(0, back);
            rest = front;
        }
        chunks.insert(0, rest);
        let events = decode(&chunks);
        prop_assert_eq!(spoken(&events), slow(&stream));
        prop_assert_eq!(heal(&events), heal(&decode(&[&stream])));
    }
}

/// A list of (name, data), and raw bytes that add up to the stream, whole or in single bytes.
#[track_caller]
fn check(stream: &[u8], expected: &[(&str, &str)]) {
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    for chunks in [&[stream][..], &single] {
        let events = decode(chunks);
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, data)| (name.as_bytes().to_vec(), data.as_bytes().to_vec()))
            .collect();
        assert_eq!(spoken(&events), expected);
        assert_eq!(events.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>(), stream);
    }
}

fn decode(chunks: &[&[u8]]) -> Vec<SseEvent> {
    let mut decoder = SseDecoder::new(DEFAULT_EVENT_LIMIT);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = decoder.next_event().unwrap() {
            events.push(event);
        }
    }
    events.extend(decoder.finish().unwrap());
    assert!(decoder.finish().unwrap().is_none());
    events
}

fn with_limit(limit: usize, chunks: &[&'static [u8]]) -> Result<usize, SseError> {
    let mut decoder = SseDecoder::new(limit);
    let mut events = 0;
    for chunk in chunks {
        decoder.push(Bytes::from_static(chunk));
        while decoder.next_event()?.is_some() {
            events += 1;
        }
    }
    Ok(events)
}

/// Forwards the events that `keep` wants and says what frames leave.
fn pass(chunks: &[Bytes], keep: fn(&SseEvent) -> bool) -> Vec<Bytes> {
    let mut decoder = SseDecoder::new(DEFAULT_EVENT_LIMIT);
    let mut frames = Vec::new();
    for chunk in chunks {
        let mut passage = Passage::default();
        decoder.push(chunk.clone());
        while let Some(event) = decoder.next_event().unwrap() {
            if keep(&event) {
                frames.extend(passage.add(&event));
            }
        }
        frames.extend(passage.take());
        assert!(passage.is_empty());
    }
    frames
}

type Spoken = Vec<(Vec<u8>, Vec<u8>)>;

fn spoken(events: &[SseEvent]) -> Spoken {
    events
        .iter()
        .filter(|event| !event.is_comment())
        .map(|event| (event.event.to_vec(), event.data.to_vec()))
        .collect()
}

/// All events, with a late line feed put back to the event whose blank line it belongs to.
fn heal(events: &[SseEvent]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut healed: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = Vec::new();
    for event in events {
        let mut raw = event.raw.to_vec();
        if let Some((before, ..)) = healed.last_mut()
            && before.last() == Some(&b'\r')
            && raw.first() == Some(&b'\n')
        {
            before.push(raw.remove(0));
        }
        if !raw.is_empty() {
            healed.push((raw, event.event.to_vec(), event.data.to_vec()));
        }
    }
    healed
}

/// The rules of the standard, one after the other, over the whole stream.
fn slow(stream: &[u8]) -> Spoken {
    let stream = stream.strip_prefix(BOM).unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut at = 0;
    while at < stream.len() {
        match (stream[at], stream.get(at + 1)) {
            (b'\r', Some(b'\n')) => {
                at += 1;
                lines.push(Vec::new());
            }
            (b'\r' | b'\n', _) => lines.push(Vec::new()),
            (byte, _) => lines.last_mut().unwrap().push(byte),
        }
        at += 1;
    }
    let mut events = Vec::new();
    let (mut name, mut data): (Vec<u8>, Option<Vec<u8>>) = (Vec::new(), None);
    // One blank line more ends what the stream left open.
    lines.push(Vec::new());
    for line in lines {
        if line.is_empty() {
            events.push((std::mem::take(&mut name), data.take().unwrap_or_default()));
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value.to_vec(),
            b"data" => match &mut data {
                None => data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            _ => {}
        }
    }
    events.retain(|(name, data)| !(name.is_empty() && data.is_empty()));
    events
}

/// Streams out of pieces that mean something, so that most cases are near an edge.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"\n"[..],
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data",
        b"data:",
        b"data: ",
        b"event",
        b"event: ",
        b":",
        b" ",
        b"id: 1",
        b"x",
        b"{\"a\":1}",
        b"\xFF",
        b"\0",
        BOM,
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
