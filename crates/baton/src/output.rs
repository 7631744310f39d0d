//! Writes for people: answers to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

/// Prints a line of an answer.
pub(crate) fn line(text: &str) {
    // A reader that went away (`baton keys list | head`) is no reason to fail.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Prints a value as JSON.
pub(crate) fn json(value: &serde_json::Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows with their columns under each other.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(cells.join("  ").trim_end());
    }
}

/// Prints a note that is not the answer.
pub(crate) fn note(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints what went wrong.
pub(crate) fn problem(text: &str) {
    let mark = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        "\u{1b}[31merror:\u{1b}[0m"
    } else {
        "error:"
    };
    note(&format!("{mark} {text}"));
}
