//! Runs the reading of a request often enough for an instruction counter.
//!
//! `valgrind --tool=callgrind features_cost 1000 read` reads an 8 KB text 1,000 times; `estimate` counts
//! the tokens of 100 KB instead, `none` does neither: the difference is the cost.

#![expect(clippy::print_stdout, reason = "the sum keeps the work from being removed")]

use std::error::Error;
use std::hint::black_box;

use baton_policy::{Shape, estimate_tokens, read_task};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: u32 =
        arguments.next().ok_or("usage: features_cost ROUNDS read|code|estimate|none")?.parse()?;
    let what = arguments.next().unwrap_or_default();
    let prose = "The committee met on Tuesday, 14 May, and heard that costs had risen by 12 % since the \
                 last report; nobody could say why, and two members asked for the figures again.\n"
        .repeat(52);
    let code = "pub fn plan(inputs: &Inputs) -> Plan { let rows = inputs.candidates.iter().map(row); }\n"
        .repeat(100);
    let body = prose.repeat(12);
    let shape = Shape { messages: 1, ..Shape::default() };
    // The tables are built at the first reading, once in the life of a gateway.
    let mut sum = u64::from(read_task("warm up", &shape).confidence);
    for _ in 0..rounds {
        sum += match what.as_str() {
            "read" => u64::from(read_task(black_box(&prose), &shape).confidence),
            "code" => u64::from(read_task(black_box(&code), &shape).confidence),
            "estimate" => estimate_tokens(black_box(body.get(..100_000).unwrap_or(&body)).as_bytes()),
            _ => 0,
        };
    }
    println!("{sum}");
    Ok(())
}
