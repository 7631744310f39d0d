//! Writes what a run found as the document that is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use baton_model::Dialect;

use super::facet::{Fate, Row};
use super::pairs;
use super::run::Run;
use crate::{Feature as F, LOSSES, Loss};

const HEAD: &str = "# What a translation keeps

This page is written by `cargo xtask matrix` from a run of the tests, and CI fails when it is out of date.
A conversation goes from a client of each dialect to a provider of each dialect and back, whole and streamed. A
streamed answer is put together as the vendor's SDK does it and must equal the whole one. Columns are
*client → provider*. Where client and provider speak one dialect and nothing has to be changed, Baton forwards the
body itself; the columns of one dialect show what is kept where it goes through the conversation model all the same,
as in a run of several models.

`kept`: as it was. `as`: said in the way that the other dialect has, see the note. `in part`: kept within the bounds
that the other API has, and named beyond. `lost`: the other API cannot say it; a request's decision names it in
`dropped_parameters`, or the request is refused where the client asks for strictness. `·`: a client of this dialect
cannot ask for it, or a provider of this dialect cannot answer it. Instructions, text, tools, calls, results, usage
and the reason of the end are never lost.
";

pub(super) fn page(run: &Run) -> String {
    let mut notes = Notes::default();
    let mut tables = String::new();
    for (title, note, is_here) in parts() {
        let rows: BTreeSet<&Row> =
            run.cells.keys().map(|(row, ..)| row).filter(|row| is_here(row.feature)).collect();
        write!(tables, "\n## {title}\n\n{note}\n\n").unwrap();
        table(run, &rows, &mut notes, &mut tables);
    }
    let lossless = run.cells.values().filter(|fates| !fates.contains(&Fate::Lost)).count();
    let total = run.cells.len();
    #[expect(clippy::cast_precision_loss, reason = "there are some hundred cells")]
    let share = lossless as f64 * 100.0 / total as f64;
    let mut page = HEAD.to_owned();
    let (conversations, translations) = (run.conversations, run.translations);
    write!(
        page,
        "\n{conversations} conversations, {translations} translations compared, 0 undeclared losses.\n\n\
         Lossless: {share:.2} % ({lossless} of {total} cells)\n"
    )
    .unwrap();
    page.push_str(&tables);
    page.push_str("\n## Notes\n\n");
    for (number, note) in notes.texts.iter().enumerate() {
        writeln!(page, "{}. {note}", number + 1).unwrap();
    }
    page
}

type Part = (&'static str, &'static str, fn(F) -> bool);

fn parts() -> [Part; 3] {
    [
        ("The conversation", "What is said in a request.", |feature| feature < F::Tool),
        ("The wishes", "Tools, and how the answer is to be.", |feature| {
            (F::Tool..F::Text).contains(&feature)
        }),
        ("The answer", "Whole and streamed alike; here the client's dialect may lack a place.", |feature| {
            feature >= F::Text
        }),
    ]
}

fn table(run: &Run, rows: &BTreeSet<&Row>, notes: &mut Notes, out: &mut String) {
    out.push('|');
    for head in std::iter::once("feature".to_owned())
        .chain(pairs().map(|(client, target)| format!("{} → {}", short(client), short(target))))
    {
        write!(out, " {head} |").unwrap();
    }
    out.push_str("\n|---|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        write!(out, "| {row} |").unwrap();
        for (client, target) in pairs() {
            let fates = run.cells.get(&((*row).clone(), client, target));
            let cell = fates.map_or_else(|| "·".to_owned(), |fates| cell(row, fates, client, target, notes));
            write!(out, " {cell} |").unwrap();
        }
        out.push('\n');
    }
}

const fn short(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "chat",
        Dialect::AnthropicMessages => "messages",
        Dialect::OpenaiResponses => "responses",
    }
}

fn cell(row: &Row, fates: &BTreeSet<Fate>, client: Dialect, target: Dialect, notes: &mut Notes) -> String {
    let mut numbers: BTreeSet<usize> = BTreeSet::new();
    let mut forms = 0;
    for fate in fates {
        match fate {
            Fate::Kept => {}
            Fate::As(form) => {
                forms += 1;
                numbers.insert(notes.number(form.clone()));
            }
            Fate::Lost => {
                let of = if row.feature < F::Text { target } else { client };
                for loss in LOSSES.iter().filter(|loss| loss.target == of && loss.feature == row.feature) {
                    numbers.insert(notes.number(told(loss)));
                }
            }
        }
    }
    let word = match (fates.contains(&Fate::Lost), fates.contains(&Fate::Kept), forms) {
        (true, false, 0) => "lost",
        (true, ..) => "in part",
        (false, _, 0) => "kept",
        (false, ..) => "as",
    };
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    if numbers.is_empty() { word.to_owned() } else { format!("{word} [{}]", numbers.join(", ")) }
}

fn told(loss: &Loss) -> String {
    format!("{}: {} (<{}>)", short(loss.target), loss.why, loss.see)
}

/// Notes in the order in which they are first needed.
#[derive(Default)]
struct Notes {
    texts: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Notes {
    fn number(&mut self, text: String) -> usize {
        let next = self.texts.len() + 1;
        *self.numbers.entry(text.clone()).or_insert_with(|| {
            self.texts.push(text);
            next
        })
    }
}
