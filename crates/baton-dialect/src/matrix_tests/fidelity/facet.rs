//! What a reader finds in a message, and how it compares with what was meant.
//!
//! - Start with [`compare`].
//! - **Invariant:** what is neither found, nor found in a declared other form, is lost; what is found and was not
//!   meant is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::conversation::{PIECE, kind_of};
use crate::Feature;
use crate::Feature as F;

/// A row of the matrix: a feature, and where it has several, which of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) feature: Feature,
    pub(super) of: String,
}

impl Row {
    pub(super) fn of(feature: Feature, of: &str) -> Self {
        Self { feature, of: of.to_owned() }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.feature, self.of.as_str()) {
            (feature, "") => f.write_str(feature.title()),
            (F::OtherMember, name) => write!(f, "`{name}`"),
            (feature, of) => write!(f, "{} (`{of}`)", feature.title()),
        }
    }
}

/// One thing that a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facet {
    pub(super) row: Row,
    pub(super) value: String,
    /// How it is said, where the dialect has no better way.
    pub(super) form: Option<String>,
}

impl Facet {
    pub(super) fn new(feature: Feature, value: &str) -> Self {
        Self::of(feature, "", value)
    }

    pub(super) fn of(feature: Feature, of: &str, value: &str) -> Self {
        Self { row: Row::of(feature, of), value: value.to_owned(), form: None }
    }

    pub(super) fn said_as(self, form: &str) -> Self {
        Self { form: Some(form.to_owned()), ..self }
    }
}

/// A document that is found, with the result of this call if it is in one.
pub(super) fn paper(feature: Feature, call: &str, value: &str) -> Facet {
    let address = value.split_once(' ').map_or(value, |(_, address)| address);
    let whole = if call.is_empty() { value.to_owned() } else { format!("{call} {value}") };
    Facet::of(feature, kind_of(address), &whole)
}

/// What became of a row in one translation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Kept,
    /// Carried in another form.
    As(String),
    /// Narrowed to what the target takes, or lost.
    Lost,
}

/// JSON in a form of its own; other text as it is.
pub(super) fn canonical(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

/// How a dialect's messages are built, as far as it matters to what may stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What a speaker says and does stands in the order in which it came.
    Kept,
    /// Thinking, then text, then calls.
    Sorted,
}

/// Compares what was meant with what is found. The error says what is changed or made up.
pub(super) fn compare(
    meant: Vec<Facet>,
    found: Vec<Facet>,
    order: Order,
) -> Result<BTreeMap<Row, Fate>, String> {
    let mut fates: BTreeMap<Row, Fate> = BTreeMap::new();
    let (said, settings): (Vec<Facet>, Vec<Facet>) = meant.into_iter().partition(is_said);
    let (mut heard, set): (Vec<Facet>, Vec<Facet>) = found.into_iter().partition(is_said);
    know_again(&said, &mut heard);
    for facet in &heard {
        let form = facet.form.clone().map_or(Fate::Kept, Fate::As);
        let fate = fates.entry(facet.row.clone()).or_insert(Fate::Kept);
        *fate = fate.clone().max(form);
    }
    let arrived: BTreeSet<&Row> = heard.iter().map(|facet| &facet.row).collect();
    let mut rest = Vec::new();
    for facet in said {
        let partly = !joins(facet.row.feature)
            && !heard.iter().any(|heard| heard.row == facet.row && heard.value == facet.value);
        if !arrived.contains(&facet.row) || (partly && may_be_lost(facet.row.feature)) {
            fates.insert(facet.row, Fate::Lost);
        } else {
            rest.push(facet);
        }
    }
    let (wanted, sorted) = match order {
        Order::Kept => (rest, false),
        Order::Sorted => {
            let sorted = in_order(&rest);
            let moved = sorted != rest;
            (sorted, moved)
        }
    };
    let heard = if order == Order::Sorted { in_order(&heard) } else { heard };
    same_runs(&runs(&wanted), &runs(&heard), &mut fates)?;
    if sorted {
        for row in [Row::of(F::AssistantText, ""), Row::of(F::Text, "")] {
            if let Some(fate) = fates.get_mut(&row) {
                *fate = Fate::As("one text before the calls".to_owned());
            }
        }
    }
    compare_settings(&settings, &set, &mut fates)?;
    Ok(fates)
}

/// Where a dialect has one place for two things, tells them apart by what was meant.
fn know_again(said: &[Facet], heard: &mut [Facet]) {
    for meant in said {
        let same = |facet: &Facet, feature| facet.row.feature == feature && facet.value == meant.value;
        match meant.row.feature {
            F::Refusal if !heard.iter().any(|facet| same(facet, F::Refusal)) => {
                if let Some(text) = heard.iter_mut().find(|facet| same(facet, F::Text)) {
                    *text = meant.clone().said_as("text, with the stop reason `refusal`");
                }
            }
            F::PastRefusal if !heard.iter().any(|facet| same(facet, F::PastRefusal)) => {
                if let Some(text) = heard.iter_mut().find(|facet| same(facet, F::AssistantText)) {
                    *text = meant.clone().said_as("text of the assistant");
                }
            }
            F::Result if meant.value.contains(PIECE) => {
                let joined = meant.value.replace(PIECE, "\n\n");
                if let Some(result) = heard.iter_mut().find(|facet| facet.value == joined) {
                    *result = meant.clone().said_as("one text");
                }
            }
            _ => {}
        }
    }
}

/// Sorts what was meant as a dialect has it that cannot say it in another order.
pub(super) fn as_said_by(order: Order, facets: Vec<Facet>) -> Vec<Facet> {
    match order {
        Order::Kept => facets,
        Order::Sorted => {
            let mut out: Vec<Facet> = Vec::new();
            for facet in in_order(&facets) {
                let of_model =
                    matches!(facet.row.feature, F::AssistantText | F::Text | F::Refusal | F::Thinking);
                match out.last_mut() {
                    Some(last) if of_model && last.row == facet.row => last.value.push_str(&facet.value),
                    _ => out.push(facet),
                }
            }
            out
        }
    }
}

/// Whether it is content, whose order counts.
fn is_said(facet: &Facet) -> bool {
    facet.row.feature < F::CacheMark
        || (F::Text..=F::ThinkingProof).contains(&facet.row.feature)
        || facet.row.feature == F::VendorItem
}

fn joins(feature: Feature) -> bool {
    matches!(
        feature,
        F::SystemText
            | F::LaterInstruction
            | F::UserText
            | F::AssistantText
            | F::Text
            | F::Refusal
            | F::Thinking
            | F::PastRefusal
    )
}

const fn may_be_lost(feature: Feature) -> bool {
    !matches!(feature, F::Result | F::PastCall | F::Call)
}

/// Sorts what the assistant says at a time.
fn in_order(facets: &[Facet]) -> Vec<Facet> {
    let rank = |facet: &Facet| match facet.row.feature {
        F::PastThinking | F::Thinking | F::ThinkingProof => Some(0),
        F::AssistantText | F::Text => Some(1),
        F::PastRefusal | F::Refusal => Some(2),
        F::PastVendorItem | F::PastCall | F::Call | F::VendorItem => Some(3),
        _ => None,
    };
    let mut out: Vec<Facet> = Vec::new();
    for stretch in facets.chunk_by(|one, other| rank(one).is_some() && rank(other).is_some()) {
        let mut stretch = stretch.to_vec();
        stretch.sort_by_key(|facet| rank(facet));
        out.extend(stretch);
    }
    out
}

/// Stretches of one row.
fn runs(facets: &[Facet]) -> Vec<(&Row, Vec<&str>)> {
    facets
        .chunk_by(|one, other| one.row == other.row)
        .filter_map(|run| {
            let row = &run.first()?.row;
            Some((row, run.iter().map(|facet| facet.value.as_str()).collect()))
        })
        .collect()
}

fn same_runs(
    meant: &[(&Row, Vec<&str>)],
    heard: &[(&Row, Vec<&str>)],
    fates: &mut BTreeMap<Row, Fate>,
) -> Result<(), String> {
    for (i, (row, texts)) in meant.iter().enumerate() {
        let Some((heard_row, heard_texts)) = heard.get(i) else {
            return Err(format!("{row} is missing at place {i}"));
        };
        let joined = joins(row.feature) && texts.len() != heard_texts.len();
        let same = row == heard_row
            && (texts == heard_texts
                || (joined && (texts.concat() == heard_texts.concat()))
                || (joined && (texts.join("\n\n") == heard_texts.join("\n\n"))));
        if !same {
            return Err(format!("at place {i}: meant {row} {texts:?}, found {heard_row} {heard_texts:?}"));
        }
        if joined && texts != heard_texts {
            let fate = fates.entry((*row).clone()).or_insert(Fate::Kept);
            *fate = fate.clone().max(Fate::As("one text".to_owned()));
        }
    }
    match heard.get(meant.len()) {
        Some((row, texts)) => Err(format!("nobody said {row} {texts:?}")),
        None => Ok(()),
    }
}

fn compare_settings(meant: &[Facet], found: &[Facet], fates: &mut BTreeMap<Row, Fate>) -> Result<(), String> {
    let rows: BTreeSet<&Row> = meant.iter().map(|facet| &facet.row).collect();
    let values = |facets: &[Facet], row: &Row| -> Vec<String> {
        facets.iter().filter(|facet| facet.row == *row).map(|facet| facet.value.clone()).collect()
    };
    let is_found = |feature| found.iter().find(|facet| facet.row.feature == feature);
    for row in &rows {
        let (wanted, got) = (values(meant, row), values(found, row));
        let form = found.iter().filter(|facet| facet.row == **row).find_map(|facet| facet.form.clone());
        let fate = match (row.feature, is_found(F::Effort), is_found(F::ThinkingBudget)) {
            _ if wanted == got => form.map_or(Fate::Kept, Fate::As),
            (F::ToolSchema, ..) if got.len() == wanted.len() => {
                let pairs = wanted.iter().zip(&got);
                let forms: Option<Vec<_>> = pairs.map(|(one, other)| same_schema(one, other)).collect();
                let forms = forms.ok_or_else(|| format!("{row}: {wanted:?} became {got:?}"))?;
                forms.into_iter().max().unwrap_or(Fate::Kept)
            }
            (F::JsonSchema, ..) if got.len() == 1 => same_schema(&wanted.concat(), &got.concat())
                .ok_or_else(|| format!("{row}: {wanted:?} became {got:?}"))?,
            (F::ThinkingBudget, Some(effort), None) => Fate::As(format!("effort `{}`", effort.value)),
            (F::Effort, None, Some(budget)) => Fate::As(format!("a budget of {} tokens", budget.value)),
            _ if got.iter().all(|value| wanted.contains(value)) => Fate::Lost,
            // Brought into the target's bounds: only what the encoder names may be.
            (F::Temperature | F::OutputLimit | F::ThinkingBudget, ..) => Fate::Lost,
            _ => return Err(format!("{row}: {wanted:?} became {got:?}")),
        };
        fates.insert((*row).clone(), fate);
    }
    let of = |feature| rows.iter().any(|row| row.feature == feature);
    let expected = |facet: &Facet| match (facet.row.feature, facet.row.of.as_str(), facet.value.as_str()) {
        _ if rows.contains(&facet.row) => true,
        // The least that a dialect demands, and what holds anyway.
        (F::OutputLimit, _, "4096")
        | (F::ToolChoice, _, "auto")
        | (F::ParallelCalls, _, "true")
        | (F::ToolSchema, _, r#"{"properties":{},"type":"object"}"#)
        | (F::OtherMember, "store", "false") => true,
        (F::Effort, ..) => of(F::ThinkingBudget),
        (F::ThinkingBudget, ..) => of(F::Effort),
        _ => false,
    };
    match found.iter().find(|facet| !expected(facet)) {
        Some(facet) => Err(format!("nobody asked for {} = {}", facet.row, facet.value)),
        None => Ok(()),
    }
}

/// Whether a schema says the same: as it is, with the type that a dialect demands, or in the part of the language
/// that is enforced, with the rest in words.
fn same_schema(meant: &str, found: &str) -> Option<Fate> {
    let meant: Value = serde_json::from_str(meant).ok()?;
    let found: Value = serde_json::from_str(found).ok()?;
    if meant == found {
        return Some(Fate::Kept);
    }
    let mut typed = meant.clone();
    typed.as_object_mut()?.insert("type".to_owned(), "object".into());
    if typed == found {
        return Some(Fate::As("`type: object` added".to_owned()));
    }
    narrowed(&meant, &found).then(|| Fate::As("what is not enforced in words".to_owned()))
}

fn narrowed(meant: &Value, found: &Value) -> bool {
    let (Some(meant), Some(found)) = (meant.as_object(), found.as_object()) else { return meant == found };
    let words = found.get("description").and_then(Value::as_str).unwrap_or_default();
    let keyword = |(key, value): (&String, &Value)| -> bool {
        match (key.as_str(), found.get(key)) {
            ("$schema" | "$id" | "$comment", None) => true,
            ("additionalProperties", _) => true,
            ("description", _) => value.as_str().is_some_and(|text| words.starts_with(text)),
            ("properties" | "$defs" | "definitions", Some(there)) => {
                let (Some(value), Some(there)) = (value.as_object(), there.as_object()) else { return false };
                value
                    .iter()
                    .all(|(name, schema)| there.get(name).is_some_and(|there| narrowed(schema, there)))
            }
            ("items", Some(there)) => narrowed(value, there),
            ("anyOf" | "allOf" | "oneOf", _) => {
                let there = found.get(key).or(found.get("anyOf")).and_then(Value::as_array);
                let (Some(value), Some(there)) = (value.as_array(), there) else { return false };
                value.len() == there.len() && value.iter().zip(there).all(|(one, other)| narrowed(one, other))
            }
            (_, Some(there)) => value == there,
            (key, None) => words.contains(&format!("{key}: {value}")),
        }
    };
    meant.iter().all(keyword)
}
