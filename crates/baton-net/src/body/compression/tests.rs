use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const TEXT: &[u8] = b"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";

#[test]
fn what_was_packed_comes_out() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        assert_eq!(check(encoding, &pack(encoding, TEXT), 1000), TEXT.escape_ascii().to_string());
        assert_eq!(check(encoding, &pack(encoding, b""), 1000), "");
    }
}

#[test]
fn a_body_without_encoding_is_not_copied() {
    let body = Bytes::from_static(TEXT);
    let same = decompress(Encoding::Identity, body.clone(), TEXT.len()).unwrap();
    assert_eq!(same.as_ptr(), body.as_ptr());
    assert_eq!(check(Encoding::Identity, TEXT, 5), "the body unpacks to more than 5 bytes");
}

#[test]
fn members_and_frames_after_one_another_are_one_body() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let two = [pack(encoding, b"one "), pack(encoding, b"two")].concat();
        assert_eq!(check(encoding, &two, 1000), "one two");
    }
}

#[test]
fn a_body_at_the_limit_passes_and_one_byte_more_does_not() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let packed = pack(encoding, b"12345");
        assert_eq!(check(encoding, &packed, 5), "12345");
        assert_eq!(check(encoding, &packed, 4), "the body unpacks to more than 4 bytes");
    }
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = pack(encoding, &vec![0; 64 << 20]);
        assert!(bomb.len() < 100 << 10);
        let error = check(encoding, &bomb, usize::MAX);
        assert_eq!(error, "the body unpacks to more than 100 times its length");
    }
}

#[test]
fn a_bomb_in_many_members_is_stopped_by_its_ratio() {
    let bomb = pack(Encoding::Gzip, &vec![0; 1 << 20]).repeat(50);
    assert_eq!(
        check(Encoding::Gzip, &bomb, usize::MAX),
        "the body unpacks to more than 100 times its length"
    );
}

#[test]
fn a_small_body_of_blanks_is_no_bomb() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let packed = pack(encoding, &[b' '; RATIO_FLOOR]);
        assert!(packed.len() * RATIO_LIMIT < RATIO_FLOOR);
        assert_eq!(check(encoding, &packed, usize::MAX).len(), RATIO_FLOOR);
    }
}

#[test]
fn a_bomb_is_never_unpacked_past_its_limit() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = pack(encoding, &vec![0; 64 << 20]);
        let mut decompressor = Decompressor::new(encoding, 100_000).unwrap();
        decompressor.write(&bomb).unwrap_err();
        assert!(decompressor.codec.sink().made.len() <= 100_000);
    }
}

#[test]
fn a_zstd_frame_may_not_ask_for_a_huge_window() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(check(Encoding::Zstd, &packed, 1000), "the compressed body is damaged or cut");
}

#[test]
fn a_cut_body_is_an_error_at_every_place() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let packed = pack(encoding, TEXT);
        for end in 0..packed.len() {
            let error = check(encoding, &packed[..end], 1000);
            assert_eq!(error, "the compressed body is damaged or cut", "{encoding:?} cut at {end}");
        }
    }
}

#[test]
fn garbage_is_an_error() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        assert_eq!(check(encoding, TEXT, 1000), "the compressed body is damaged or cut");
        let then_garbage = [&pack(encoding, TEXT), TEXT].concat();
        assert_eq!(check(encoding, &then_garbage, 1000), "the compressed body is damaged or cut");
    }
}

#[test]
fn a_stream_comes_out_event_by_event() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let mut encoder = Packer::new(encoding);
        let mut decompressor = Decompressor::new(encoding, 1000).unwrap();
        for event in [&b"data: 1\n\n"[..], b"data: 2\n\n"] {
            assert_eq!(decompressor.push(&encoder.flushed(event)).unwrap(), event);
        }
        assert_eq!(decompressor.push(&encoder.finished()).unwrap(), "");
        assert_eq!(decompressor.finish().unwrap(), "");
    }
}

#[test]
fn a_stream_in_single_bytes_is_the_same() {
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let mut decompressor = Decompressor::new(encoding, 1000).unwrap();
        let mut whole = Vec::new();
        for byte in pack(encoding, TEXT).chunks(1) {
            whole.extend(decompressor.push(byte).unwrap());
        }
        whole.extend(decompressor.finish().unwrap());
        assert_eq!(whole, TEXT);
    }
}

#[test]
fn a_long_stream_is_stopped_at_its_limit() {
    let mut encoder = Packer::new(Encoding::Gzip);
    let mut decompressor = Decompressor::new(Encoding::Gzip, 15).unwrap();
    assert_eq!(decompressor.push(&encoder.flushed(b"0123456789")).unwrap().len(), 10);
    let error = decompressor.push(&encoder.flushed(b"0123456789")).unwrap_err();
    assert!(matches!(error, DecompressError::TooLarge { limit: 15 }));
}

#[test]
fn the_header_is_read_in_any_case_and_nothing_nested_is_taken() {
    let read = |value: &str| Encoding::parse(value).map_err(|error| error.to_string());
    assert_eq!(read(" GZip "), Ok(Encoding::Gzip));
    assert_eq!(read("x-gzip"), Ok(Encoding::Gzip));
    assert_eq!(read("zstd"), Ok(Encoding::Zstd));
    assert_eq!(read("identity"), Ok(Encoding::Identity));
    assert_eq!(read(""), Ok(Encoding::Identity));
    let refused = |value: &str| {
        Err(format!("content encoding `{value}` is not supported; send `gzip`, `zstd` or none"))
    };
    for value in ["gzip, gzip", "gzip,zstd", "br", "deflate", "gzip;q=1"] {
        assert_eq!(read(value), refused(value));
    }
    assert_eq!(read(&"ä".repeat(1000)), refused(&"ä".repeat(40)));
}

/// What the body unpacks to, or what went wrong.
fn check(encoding: Encoding, body: &[u8], limit: usize) -> String {
    match decompress(encoding, Bytes::copy_from_slice(body), limit) {
        Ok(whole) => whole.escape_ascii().to_string(),
        Err(error) => error.to_string(),
    }
}

fn pack(encoding: Encoding, text: &[u8]) -> Vec<u8> {
    let mut packer = Packer::new(encoding);
    let mut packed = packer.flushed(text);
    packed.extend(packer.finished());
    packed
}

enum Packer {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packer {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap()),
        }
    }

    fn flushed(&mut self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => text.to_vec(),
            Self::Gzip(encoder) => {
                encoder.write_all(text).unwrap();
                encoder.flush().unwrap();
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(text).unwrap();
                encoder.flush().unwrap();
                std::mem::take(encoder.get_mut())
            }
        }
    }

    fn finished(self) -> Vec<u8> {
        match self {
            Self::Identity => Vec::new(),
            Self::Gzip(encoder) => encoder.finish().unwrap(),
            Self::Zstd(encoder) => encoder.finish().unwrap(),
        }
    }
}
