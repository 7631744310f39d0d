//! `baton audit recompute`: counts costs anew with the prices of now, for a time in which they were wrong.
//!
//! The tokens are those that the outcomes tell. What comes out otherwise is written down as a correction; nothing
//! that was recorded changes.
//!
//! - Start with [`run`] in the command and [`recompute`] in the server.
//! - **Invariant:** a stretch that was counted anew is counted to the same again: a second time writes nothing.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use baton_audit::{
    Clock as _, CorrectedCost, Correction, DecisionView, Document, JournalError, ListQuery, Lookup,
    OutcomeView, PageStart, Receipt, Record, SystemClock,
};
use baton_model::{DecisionId, NanoUsd, RunId};
use baton_policy::Knowledge;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::moment::moment;
use super::routes::{failed, unreadable};
use super::{PAGE, SETTLING};
use crate::cli::Recompute;
use crate::control::{Actor, Client, Control, Refused, record};
use crate::output::{json as print_json, line, note};

/// So many attempts stand in one record.
const IN_RECORD: usize = 100;

/// A part of a stretch.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    from_ms: u64,
    to_ms: u64,
    model: Option<String>,
    dry_run: bool,
    /// Where the part before ended.
    after: Option<DecisionId>,
}

/// What came of a part, or of all.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Counted {
    /// Decisions that were looked at.
    decisions: u64,
    /// Attempts whose cost is another one.
    corrected: u64,
    /// What these had cost, as far as it was known.
    was_nano: u64,
    /// What they cost.
    now_nano: u64,
    /// Those of them that had no cost before.
    newly_priced: u64,
    /// Attempts of whose tokens nothing is known.
    without_tokens: u64,
    /// Attempts whose target has no price now: their cost stays as it is.
    without_price: u64,
    /// The version of the catalogue that was counted with.
    prices: String,
    /// Whether nothing was written.
    dry_run: bool,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<DecisionId>,
}

/// What counting an attempt anew comes to.
enum Cost {
    NoAttempt,
    NoTokens,
    NoPrice,
    Same,
    Other { was: Option<NanoUsd>, now: NanoUsd },
}

/// Counts a stretch anew, part by part, and says what came of it.
pub(super) async fn run(client: &Client, command: &Recompute, as_json: bool) -> anyhow::Result<()> {
    let now_ms = SystemClock.now_ms();
    let time =
        |name: &str, text: &str| moment(text, now_ms).map_err(|why| anyhow::anyhow!("`--{name}`: {why}"));
    let (from_ms, to_ms) = (time("from", &command.from)?, time("to", &command.to)?);
    anyhow::ensure!(from_ms < to_ms, "`--from` is not before `--to`");
    // What waits in the journal is of the stretch, too.
    client.call(Method::POST, "/audit/settle", &json!({})).await?;
    let mut stretch =
        Stretch { from_ms, to_ms, model: command.model.clone(), dry_run: command.dry_run, after: None };
    let mut all = Counted { dry_run: command.dry_run, ..Counted::default() };
    loop {
        let answer = client.call(Method::POST, "/audit/recompute", &serde_json::to_value(&stretch)?).await?;
        let part: Counted = serde_json::from_value(answer)?;
        stretch.after = part.next;
        all.add(part);
        if stretch.after.is_none() {
            break;
        }
    }
    if as_json {
        print_json(&serde_json::to_value(&all)?);
    } else {
        all.show();
    }
    Ok(())
}

impl Counted {
    fn add(&mut self, part: Self) {
        self.decisions += part.decisions;
        self.corrected += part.corrected;
        self.was_nano = self.was_nano.saturating_add(part.was_nano);
        self.now_nano = self.now_nano.saturating_add(part.now_nano);
        self.newly_priced += part.newly_priced;
        self.without_tokens += part.without_tokens;
        self.without_price += part.without_price;
        self.prices = part.prices;
    }

    fn show(&self) {
        let Self { decisions, corrected, newly_priced, without_tokens, without_price, prices, .. } = self;
        line(&format!("{decisions:>10}  decisions, with the prices of catalogue {prices}"));
        line(&format!("{corrected:>10}  attempts cost something else"));
        if *corrected > 0 {
            line(&format!("            {} before, {} now", NanoUsd(self.was_nano), NanoUsd(self.now_nano)));
        }
        for (count, what) in [
            (newly_priced, "of them had no cost before"),
            (without_tokens, "attempts of whose tokens nothing is known"),
            (without_price, "attempts whose target has no price: they stay as they are"),
        ] {
            if *count > 0 {
                line(&format!("{count:>10}  {what}"));
            }
        }
        if self.dry_run {
            note("nothing was written: this was a dry run");
        } else if *corrected > 0 {
            note("the corrections are in the log; what was recorded first stays in it");
        }
    }
}

/// Counts a part of a stretch anew, the newest first.
pub(super) async fn recompute(
    State(control): State<Control>,
    actor: Actor,
    Json(stretch): Json<Stretch>,
) -> Result<Json<Counted>, Refused> {
    let settings = control.engine.settings();
    let knowledge = settings.catalog.knowledge();
    let prices = settings.catalog.knowledge_version();
    if stretch.after.is_none() && !stretch.dry_run {
        note_beginning(&control, &actor, &stretch, prices, knowledge).await?;
    }
    let query = ListQuery {
        from_ms: Some(stretch.from_ms),
        to_ms: Some(stretch.to_ms),
        served: stretch.model,
        start: stretch.after.map_or(PageStart::Newest, PageStart::After),
        limit: PAGE,
        ..ListQuery::default()
    };
    let page = control.decisions.list(&query).await.map_err(unreadable)?;
    let mut counted = Counted { prices: prices.to_owned(), dry_run: stretch.dry_run, ..Counted::default() };
    let mut first_prices = FirstPrices::default();
    let mut costs: BTreeMap<Option<String>, Vec<CorrectedCost>> = BTreeMap::new();
    for view in &page.decisions {
        counted.decisions += 1;
        match cost(view, knowledge) {
            Cost::NoAttempt | Cost::Same => {}
            Cost::NoTokens => counted.without_tokens += 1,
            Cost::NoPrice => counted.without_price += 1,
            Cost::Other { was, now } => {
                counted.corrected += 1;
                counted.newly_priced += u64::from(was.is_none());
                counted.was_nano = counted.was_nano.saturating_add(was.map_or(0, |was| was.0));
                counted.now_nano = counted.now_nano.saturating_add(now.0);
                if !stretch.dry_run {
                    let first = first_prices.of(&control, view).await?;
                    let cost = CorrectedCost { decision: view.decision.id, was, cost: now };
                    costs.entry(first).or_default().push(cost);
                }
            }
        }
    }
    write(&control, &actor, prices, costs).await?;
    counted.next = page.decisions.last().filter(|_| page.has_more).map(|view| view.decision.id);
    Ok(Json(counted))
}

/// What an attempt costs now, beside what is counted for it.
fn cost(view: &DecisionView, knowledge: &Knowledge) -> Cost {
    let OutcomeView::Recorded(outcome) = &view.outcome else { return Cost::NoAttempt };
    let Some(usage) = &outcome.usage else { return Cost::NoTokens };
    let facts = view.decision.to.as_ref().and_then(|target| knowledge.models.get(target));
    let Some(price) = facts.and_then(|facts| facts.price) else { return Cost::NoPrice };
    let (was, now) = (view.cost(), price.cost(usage));
    if was == Some(now) { Cost::Same } else { Cost::Other { was, now } }
}

/// The act and the prices are on paper before anything is counted with them.
async fn note_beginning(
    control: &Control,
    actor: &Actor,
    stretch: &Stretch,
    prices: &str,
    knowledge: &Knowledge,
) -> Result<(), Refused> {
    let known = control.decisions.document(prices).await.map_err(unreadable)?;
    if known.is_none() {
        let body = serde_json::to_value(knowledge).map_err(|error| failed(error.into()))?;
        let (hash, kind) = (prices.to_owned(), "catalogue".to_owned());
        let document = Document { hash, kind, at_ms: control.ids.now_ms(), body };
        control.journal.append(&Record::Document(document)).map_err(unwritten)?;
    }
    let Stretch { from_ms, to_ms, model, .. } = stretch;
    let detail = json!({"from_ms": from_ms, "to_ms": to_ms, "prices": prices});
    record(control, actor, "audit.recompute", model.as_deref().unwrap_or("all"), detail).await
}

/// Writes corrections down, and waits until the store has them: however many there are, the journal does not fill.
async fn write(
    control: &Control,
    actor: &Actor,
    prices: &str,
    costs: BTreeMap<Option<String>, Vec<CorrectedCost>>,
) -> Result<(), Refused> {
    let mut last: Option<Receipt> = None;
    for (first_prices, costs) in costs {
        for costs in costs.chunks(IN_RECORD) {
            let correction = Correction {
                at_ms: control.ids.now_ms(),
                actor: actor.as_str().to_owned(),
                prices: prices.to_owned(),
                first_prices: first_prices.clone(),
                costs: costs.to_vec(),
            };
            last =
                Some(control.journal.append(&Record::Correction(Box::new(correction))).map_err(unwritten)?);
        }
    }
    let Some(receipt) = last else { return Ok(()) };
    control.journal.synced(&receipt).await.map_err(unwritten)?;
    if control.relay.deliver(receipt, SETTLING).await {
        return Ok(());
    }
    let why = "the store does not take the corrections; what is written down stays, and asking again goes on from there";
    Err(Refused(StatusCode::SERVICE_UNAVAILABLE, why.to_owned()))
}

/// With which prices attempts were counted first: the plans of their runs name them.
#[derive(Default)]
struct FirstPrices(HashMap<RunId, Option<String>>);

impl FirstPrices {
    async fn of(&mut self, control: &Control, view: &DecisionView) -> Result<Option<String>, Refused> {
        if let Some(last) = view.corrections.last() {
            return Ok(last.first_prices.clone());
        }
        if let Some(inputs) = &view.decision.inputs {
            return Ok(Some(inputs.knowledge.clone()));
        }
        let run = view.decision.run;
        if let Some(known) = self.0.get(&run) {
            return Ok(known.clone());
        }
        let first = match control.decisions.run(run).await.map_err(unreadable)? {
            Lookup::Found(run) => run.decisions.into_iter().find_map(|view| view.decision.inputs),
            Lookup::NotYetVisible | Lookup::NotFound => None,
        };
        let first = first.map(|inputs| inputs.knowledge.clone());
        self.0.insert(run, first.clone());
        Ok(first)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
fn unwritten(error: JournalError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
