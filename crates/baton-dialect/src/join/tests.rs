//! Turns become one answer, in both lanes and for both dialects.

mod accumulate;
mod golden;
mod property;
mod small;
mod turns;

use super::*;
use crate::matrix_tests::Sse;

/// Hides transfers and the gateway's own tools.
pub(super) struct Names;

impl Gate for Names {
    fn call(&mut self, _: &str, name: &str) -> Show {
        if is_hidden_name(name) { Show::Hide } else { Show::Pass }
    }
}

fn is_hidden_name(name: &str) -> bool {
    name.starts_with("transfer_to_") || name.starts_with("server__")
}

/// A turn's stream: the upstream's dialect, the name to show, the bytes.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) upstream: Dialect,
    pub(super) model: String,
    pub(super) sse: String,
}

fn turn(upstream: Dialect, model: &str, sse: &str) -> Turn {
    Turn { upstream, model: model.to_owned(), sse: sse.to_owned() }
}

fn options(include_usage: bool) -> StreamOptions {
    StreamOptions {
        model: None,
        id: "made-id".to_owned(),
        created: 1_700_000_000,
        include_usage,
        request: None,
    }
}

const fn end(finish: FinishReason) -> JoinEnd<'static> {
    JoinEnd { finish, stop_sequence: None, usage: None, extras: &[] }
}

/// A stream that comes in one piece.
const WHOLE: usize = usize::MAX;

/// Plays turns through a joiner, each stream in pieces of this size. What the client gets, and what the turns
/// said.
fn play(
    joiner: &mut Joiner,
    turns: &[Turn],
    end: &JoinEnd<'_>,
    size: usize,
) -> (String, Vec<Vec<StreamEvent>>) {
    let mut out = Vec::new();
    let said = turns.iter().map(|turn| play_turn(joiner, turn, size, &mut out).unwrap()).collect();
    joiner.finish(end, &mut out);
    (String::from_utf8(out).unwrap(), said)
}

fn play_turn(
    joiner: &mut Joiner,
    turn: &Turn,
    size: usize,
    out: &mut Vec<u8>,
) -> Result<Vec<StreamEvent>, Fault> {
    joiner.begin(turn.upstream, &turn.model);
    let mut sse = Sse::default();
    let mut events = Vec::new();
    for piece in turn.sse.as_bytes().chunks(size) {
        for (event, data) in sse.push(piece) {
            joiner.pass(&event, &data.into(), &mut Names, out, &mut events)?;
        }
    }
    Ok(events)
}

/// What a client gets.
fn stream(
    client: Dialect,
    lane: JoinLane,
    turns: &[Turn],
    end: &JoinEnd<'_>,
    include_usage: bool,
) -> (String, Vec<Vec<StreamEvent>>) {
    play(&mut Joiner::new(client, lane, options(include_usage)), turns, end, WHOLE)
}
