//! Frames of an event stream, and the faults that can be laid over them.
//!
//! - **Invariant:** without a fault, the frames of a stream are written as the dialect made them.

use bytes::Bytes;
use serde_json::Value;

use super::script::{End, Fault};

/// One frame with what it means for the stream.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) bytes: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Before any content: role, `message_start`, ping.
    Opening,
    Content,
    /// Finish reason, usage and what else follows the content.
    Finish,
    /// The end marker.
    End,
}

impl Frame {
    pub(crate) fn text(kind: FrameKind, text: &str) -> Self {
        Self { kind, bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }

    pub(crate) fn data(kind: FrameKind, body: &Value) -> Self {
        Self { kind, bytes: format!("data: {body}\n\n").into() }
    }

    pub(crate) fn event(kind: FrameKind, name: &str, body: &Value) -> Self {
        Self { kind, bytes: format!("event: {name}\ndata: {body}\n\n").into() }
    }
}

/// The frames with `fault` laid over them, and how the stream ends.
pub(crate) fn spoil(mut frames: Vec<Frame>, fault: Option<Fault>, error: Frame) -> (Vec<Bytes>, End) {
    let content = frames.iter().position(|frame| frame.kind == FrameKind::Content).unwrap_or(frames.len());
    let mut end = End::Whole;
    match fault {
        Some(Fault::ErrorFirstFrame) => frames = vec![error],
        Some(Fault::ErrorAfterLifecycle) => {
            frames.truncate(content);
            frames.push(error);
        }
        Some(Fault::ErrorAfterContent) => {
            frames.truncate(content + 1);
            frames.push(error);
        }
        Some(Fault::ResetAfterContent) => {
            frames.truncate(content + 1);
            end = End::Reset;
        }
        Some(Fault::StallAfterContent) => {
            frames.truncate(content + 1);
            end = End::Stall;
        }
        Some(Fault::NoEndMarker) => frames.retain(|frame| frame.kind != FrameKind::End),
        Some(Fault::NoFinish) => {
            frames.retain(|frame| matches!(frame.kind, FrameKind::Opening | FrameKind::Content));
        }
        Some(Fault::TruncatedJson) => {
            frames.truncate(content + 1);
            if let Some(last) = frames.last_mut() {
                last.bytes.truncate(last.bytes.len() * 2 / 3);
            }
        }
        Some(Fault::InvalidUtf8) => {
            if let Some(frame) = frames.get_mut(content) {
                frame.bytes = break_utf8(&frame.bytes);
            }
        }
        Some(Fault::GarbageFrame) => {
            frames.truncate(content + 1);
            frames.push(Frame::text(FrameKind::Content, "data: {\"choices\":[{]\n\n"));
        }
        Some(Fault::DataAfterEnd) => {
            let again = frames.get(content).cloned();
            frames.extend(again);
        }
        _ => {}
    }
    (frames.into_iter().map(|frame| frame.bytes).collect(), end)
}

/// Puts a byte that no UTF-8 text has at the start of the first text that is content.
pub(crate) fn break_utf8(bytes: &Bytes) -> Bytes {
    const TEXTS: [&[u8]; 4] = [b"\"content\":\"", b"\"text\":\"", b"\"partial_json\":\"", b"\"delta\":\""];
    let starts = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
    let at = TEXTS.iter().filter_map(|mark| starts(mark).map(|at| at + mark.len())).min().unwrap_or(0);
    let mut broken = bytes.to_vec();
    broken.insert(at, 0xff);
    broken.into()
}
