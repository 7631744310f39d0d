//! Puts the texts of open-ended questions together, for every database alike.
//!
//! There are more filters than texts could be written down for. Each set of filters gets a text of its
//! own out of fixed fragments, so that a database plans for what is asked; values are only ever bound.
//!
//! A page is read along an index: by a column and the time in the id where a filter has such an index, along
//! the tags where it has a tag or a mark, else by the id. A filter that holds in one of several ways becomes
//! one branch for each, and the branches are merged: no index leads to an `or`.
//!
//! - Start with [`page`], [`usage`] and [`handoffs`].
//! - **Invariant:** nothing that was ever received is part of a text.
//! - **Invariant:** `decision` is named before `decision_tag`, as by whoever writes, so that nobody waits in a ring
//!   with who makes room for a month.
//! - **Never here:** what only one database understands.

use baton_model::DecisionId;

use crate::DecisionKind;
use crate::OutcomeStatus;
use crate::columns::Value;
use crate::mark;
use crate::row::{plain, version_digits};
use crate::store::{
    BucketWidth, Dimension, FeedbackQuery, HandoffQuery, ListQuery, PageStart, PolicyFilter, StatusFilter,
    UsageQuery,
};
use crate::tally::{HANDOFF_SUMS, OPEN, SUMS};

/// A text and what is bound to its parameters, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is done, for a message.
    pub doing: &'static str,
    /// The text, made of fixed fragments.
    pub text: String,
    /// The values.
    pub values: Vec<Value<'a>>,
}

/// Each of so many lists has a branch of its own. Of more, the database finds the way: to plan many branches
/// takes longer than to read.
const BRANCHES: usize = 8;
/// Of a model that stands in more lists than this, requests are found along the time.
pub(crate) const MAX_LISTS: usize = 200;
/// Greater than every decision's id.
const NEWEST: &str = "dec_g";
/// Ids have 48 bits for the time.
const LAST_MS: u64 = (1 << 48) - 1;

/// Whether the chain of a decision has ended.
pub const BOOT_ENDED: &str = "(exists (select 1 from audit_chain c where c.boot = d.boot and c.stopped_ms is not null) \
     or exists (select 1 from audit_chain c where c.previous_boot = d.boot))";

/// What is asked for by a model's name, and the lists of names it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    /// The lists, as they are kept; `None` when there are too many.
    pub(crate) known: Option<Vec<String>>,
}

/// What a database says in words of its own.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The columns of `decision d`, with `boot_ended`.
    pub columns: &'static str,
    /// That a column of `decision d` has this value, where an index by it leads: the column and the place
    /// of the value.
    pub equal: fn(&str, &str) -> String,
}

#[derive(Default)]
struct Terms<'a> {
    values: Vec<Value<'a>>,
    /// What must hold.
    all: Vec<String>,
    /// Ways in which the rest may hold, no two of them at once; none for any.
    ways: Vec<Vec<String>>,
    /// Whether an index by a column and the time leads.
    is_led: bool,
    /// The tag that leads to the decisions, beside an index.
    tag: Option<String>,
    /// A mark that would lead, where no tag and no index does.
    mark: Option<String>,
}

impl<'a> Terms<'a> {
    /// Binds a value, and gives its place in a text.
    fn bind(&mut self, value: impl Into<Value<'a>>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.bind(Some(plain(text)))
    }

    /// What must hold, and has no index.
    fn must(&mut self, term: String) {
        self.all.push(term);
    }

    /// What must hold, and has an index that leads.
    fn lead(&mut self, term: String) {
        self.is_led = true;
        self.all.push(term);
    }

    /// What must hold, and has a mark.
    fn marked(&mut self, term: String, mark: &str) {
        self.mark.get_or_insert_with(|| mark.to_owned());
        self.all.push(term);
    }

    /// Ways for the rest. The first filter with ways makes branches, another is checked row by row.
    fn either(&mut self, ways: Vec<Vec<String>>) {
        self.is_led = true;
        if self.ways.is_empty() {
            self.ways = ways;
        } else {
            let ways: Vec<String> = ways.iter().map(|way| format!("({})", way.join(" and "))).collect();
            self.all.push(format!("({})", ways.join(" or ")));
        }
    }
}

/// The text of a page, to ask a database how it would read it. `lists` are those that the model stands in
/// that was requested.
#[must_use]
pub fn question_of<'a>(query: &ListQuery, lists: Vec<String>, words: Words) -> Question<'a> {
    page(query, &Lists { known: Some(lists) }, words)
}

/// A page of decisions in the order of reading, one row more than its limit.
pub(crate) fn page<'a>(query: &ListQuery, lists: &Lists, words: Words) -> Question<'a> {
    let mut terms = Terms::default();
    let limit = terms.bind(u64::from(query.limit) + 1);
    filter(&mut terms, query, lists, words);
    let columns = words.columns;
    let (is_older, cursor) = match query.start {
        PageStart::Newest => (true, None),
        PageStart::After(id) => (true, Some(id)),
        PageStart::Before(id) => (false, Some(id)),
    };
    let (beyond, order) = if is_older { ("<", "desc") } else { (">", "asc") };
    if terms.tag.is_some() {
        let made = terms.bind(cursor.map_or(LAST_MS, DecisionId::unix_ms));
        terms.must(format!("t.made_ms {beyond}= {made}"));
    } else if terms.is_led {
        let made = terms.bind(cursor.map_or(LAST_MS, DecisionId::unix_ms));
        terms.must(format!("d.made_ms {beyond}= {made}"));
    }
    let id = terms.bind(Some(cursor.map_or_else(|| NEWEST.to_owned(), |id| id.to_string())));
    terms.must(format!("d.id {beyond} {id}"));

    let by = |made: &str, id: &str| format!("{made} {order}, {id} {order}");
    let (source, own_order) = match (&terms.tag, terms.is_led) {
        (Some(tag), _) => (
            format!("decision d join decision_tag t on t.decision = d.id where t.tag = {tag} and "),
            by("t.made_ms", "t.decision"),
        ),
        (None, true) => ("decision d where ".to_owned(), by("d.made_ms", "d.id")),
        (None, false) => ("decision d where ".to_owned(), format!("d.id {order}")),
    };
    let branch = |way: &[String]| {
        let all: Vec<&str> = terms.all.iter().chain(way).map(String::as_str).collect();
        let all = all.join(" and ");
        format!("select {columns} from {source}{all} order by {own_order} limit {limit}")
    };
    let text = match terms.ways.as_slice() {
        [] => branch(&[]),
        [way] => branch(way),
        ways => {
            let branches: Vec<String> =
                ways.iter().map(|way| format!("select * from ({}) b", branch(way))).collect();
            let order = by("made_ms", "id");
            format!("select * from ({}) u order by {order} limit {limit}", branches.join(" union all "))
        }
    };
    Question { doing: "list decisions", text, values: terms.values }
}

fn filter(terms: &mut Terms<'_>, query: &ListQuery, lists: &Lists, words: Words) {
    whose(terms, query, words);
    choice(terms, query, words);
    models(terms, query, lists, words);
    end(terms, query);
    if !terms.is_led
        && terms.tag.is_none()
        && let Some(mark) = terms.mark.take()
    {
        terms.tag = Some(terms.bind(Some(mark)));
    }
    time(terms, query);
}

/// A decision's time is its id's, so that the time leads to a partition and to a place in it.
fn time(terms: &mut Terms<'_>, query: &ListQuery) {
    for (bound, sign) in [(query.from_ms, ">="), (query.to_ms, "<")] {
        if let Some(ms) = bound.map(|ms| ms.min(LAST_MS)) {
            let id = terms.bind(Value::shown(DecisionId::from_parts(ms, [0; 10])));
            terms.must(format!("d.id {sign} {id}"));
            if terms.tag.is_some() {
                let made = terms.bind(ms);
                // No database finds by itself that the tags of that time are enough.
                terms.must(format!("t.made_ms {sign} {made} and t.decision {sign} {id}"));
            } else if terms.is_led {
                let made = terms.bind(ms);
                terms.must(format!("d.made_ms {sign} {made}"));
            }
        }
    }
}

fn whose(terms: &mut Terms<'_>, query: &ListQuery, words: Words) {
    for (value, column) in [(&query.principal, "principal"), (&query.session, "session")] {
        if let Some(text) = value {
            let value = terms.text(text);
            terms.lead((words.equal)(column, &value));
        }
    }
    if let Some(run) = query.run {
        let run = terms.bind(Value::shown(run));
        terms.lead((words.equal)("run", &run));
    }
    if let Some(tag) = &query.tag {
        terms.tag = Some(terms.text(&mark::tag(tag)));
    }
}

fn choice(terms: &mut Terms<'_>, query: &ListQuery, words: Words) {
    if !query.kinds.is_empty() {
        let kinds: Vec<String> = query.kinds.iter().map(|kind| terms.bind(kind.as_str())).collect();
        let term = format!("d.kind in ({})", kinds.join(", "));
        if query.kinds.contains(&DecisionKind::Select) {
            terms.must(term);
        } else {
            terms.lead(format!("{term} and d.kind <> 'select'"));
        }
    }
    for (value, column) in [(&query.reason_code, "reason_code"), (&query.provider, "provider")] {
        if let Some(text) = value {
            let value = terms.text(text);
            terms.lead((words.equal)(column, &value));
        }
    }
    if let Some(text) = &query.from {
        let value = terms.text(text);
        terms.lead(format!("d.from_target = {value}"));
    }
    if let Some(PolicyFilter { name, version }) = &query.policy {
        let name = terms.text(name);
        terms.lead((words.equal)("policy", &name));
        if let Some(version) = version.as_deref().map(plain) {
            let digits = version_digits(&version);
            let least = terms.text(digits);
            if digits.len() == version_digits(&"0".repeat(64)).len() {
                terms.must(format!("d.policy_version = {least}"));
            } else {
                let beyond = terms.text(&format!("{digits}g"));
                terms.must(format!("d.policy_version >= {least} and d.policy_version < {beyond}"));
            }
        }
    }
    match query.min_hop {
        None | Some(0 | 1) => {}
        Some(hop) => {
            let least = terms.bind(u64::from(hop));
            if hop > mark::FAR_HOP {
                terms.marked(format!("d.hop >= {least}"), mark::FAR);
            } else {
                terms.lead(format!("d.hop >= {least} and d.hop > 1"));
            }
        }
    }
}

fn models(terms: &mut Terms<'_>, query: &ListQuery, lists: &Lists, words: Words) {
    const OTHER: &str = "d.to_target is distinct from d.to_model";
    let equal = words.equal;
    if let Some(to) = &query.to {
        let to = terms.text(to);
        terms.either(vec![
            vec![format!("{} and d.to_target = {to}", equal("to_model", &to))],
            vec![format!("d.to_target = {to} and {OTHER}")],
        ]);
    }
    if let Some(served) = &query.served {
        let served = terms.text(served);
        terms.either(vec![
            vec![equal("to_model", &served)],
            vec![format!("d.to_target = {served} and {OTHER}")],
        ]);
    }
    if let Some(model) = &query.model {
        let list = terms.text(&crate::row::list_text(std::slice::from_ref(model)));
        let model = terms.text(model);
        terms.either(vec![
            vec![equal("to_model", &model)],
            vec![format!("d.to_target = {model} and {OTHER}")],
            vec![format!(
                "{} and d.to_model is distinct from {model} and d.to_target is distinct from {model}",
                equal("requested", &list)
            )],
        ]);
    }
    if let Some(requested) = &query.requested {
        match &lists.known {
            Some(known) if known.is_empty() => {
                // Nobody ever asked for it.
                let none = terms.bind("");
                terms.lead(equal("requested", &none));
            }
            Some(known) if known.len() > BRANCHES => {
                let lists: Vec<String> = known.iter().map(|list| terms.text(list)).collect();
                terms.must(format!("d.requested in ({})", lists.join(", ")));
            }
            Some(known) => {
                let ways = known
                    .iter()
                    .map(|list| {
                        let list = terms.text(list);
                        vec![equal("requested", &list)]
                    })
                    .collect();
                terms.either(ways);
            }
            None => {
                let model = terms.text(requested);
                terms.must(format!(
                    "exists (select 1 from asked a where a.requested = d.requested and a.model = {model})"
                ));
            }
        }
    }
}

fn end(terms: &mut Terms<'_>, query: &ListQuery) {
    match query.status {
        None => {}
        Some(StatusFilter::Ended(OutcomeStatus::Ok)) => terms.must("d.status = 'ok'".to_owned()),
        Some(StatusFilter::Ended(status)) => {
            let value = terms.bind(status.as_str());
            let mark = mark::ended(status.as_str()).unwrap_or_default();
            terms.marked(format!("d.status = {value}"), &mark);
        }
        Some(StatusFilter::Running) => {
            terms.marked(format!("d.attempt and d.status is null and not {BOOT_ENDED}"), mark::OPEN);
        }
        Some(StatusFilter::Crashed) => {
            terms.marked(format!("d.attempt and d.status is null and {BOOT_ENDED}"), mark::OPEN);
        }
        Some(StatusFilter::NoAttempt) => terms.marked("not d.attempt".to_owned(), mark::NO_ATTEMPT),
    }
    if let Some(fault) = query.fault.as_deref().map(plain) {
        let value = terms.text(&fault);
        terms.marked(format!("d.fault = {value}"), &mark::fault(&fault));
    }
    for (range, column, least, mark) in [
        (query.cost_nano, "cost_nano", mark::DEAR_NANO, mark::DEAR),
        (query.total_us, "total_us", mark::SLOW_US, mark::SLOW),
        // No attempt has its first content after its end.
        (query.first_content_us, "first_content_us", mark::SLOW_US, mark::SLOW),
    ] {
        if let Some(at_least) = range.at_least {
            let value = terms.bind(at_least);
            let term = format!("d.{column} >= {value}");
            if at_least >= least { terms.marked(term, mark) } else { terms.must(term) }
        }
        if let Some(at_most) = range.at_most {
            let value = terms.bind(at_most);
            terms.must(format!("d.{column} <= {value}"));
        }
    }
}

/// Lists in which a model's name stands, one more than are followed.
pub(crate) fn lists<'a>(model: &str) -> Question<'a> {
    Question {
        doing: "read what was asked for",
        text: format!("select requested from asked where model = $1 limit {}", MAX_LISTS + 1),
        values: vec![Some(plain(model)).into()],
    }
}

/// The sums of days over fewer dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cube {
    /// Whose requests went where, and how that ended.
    Use,
    /// Why, and how that ended.
    Choice,
}

impl Cube {
    pub(crate) const ALL: [Self; 2] = [Self::Choice, Self::Use];

    const fn number(self) -> u64 {
        match self {
            Self::Use => 1,
            Self::Choice => 2,
        }
    }

    /// What it keeps apart.
    const fn dimensions(self) -> &'static [Dimension] {
        match self {
            Self::Use => &[
                Dimension::Principal,
                Dimension::Provider,
                Dimension::Model,
                Dimension::Target,
                Dimension::Status,
            ],
            Self::Choice => &[
                Dimension::Policy,
                Dimension::PolicyVersion,
                Dimension::Rule,
                Dimension::ReasonCode,
                Dimension::Kind,
                Dimension::Status,
            ],
        }
    }

    /// The smallest one that has all that is asked for.
    pub(crate) fn of(query: &UsageQuery) -> Option<Self> {
        let asked = || query.group_by.iter().chain(query.only.iter().map(|(dimension, _)| dimension));
        Self::ALL.into_iter().find(|cube| asked().all(|dimension| cube.dimensions().contains(dimension)))
    }
}

/// The text that makes the sums of days over fewer dimensions, of the days that stand in a list that `days` reads.
#[must_use]
pub fn making_days(days: &str) -> String {
    let parts = Cube::ALL.map(|cube| {
        let dimension = |dimension: &Dimension| {
            let name = dimension.as_str();
            if cube.dimensions().contains(dimension) { format!("s.{name}") } else { format!("'' as {name}") }
        };
        let dimensions: Vec<String> = Dimension::ALL.iter().map(dimension).collect();
        let by: Vec<String> = cube.dimensions().iter().map(|it| format!("s.{}", it.as_str())).collect();
        format!(
            "select {} as cube, b.start_ms, {}, {} from usage_bucket b join usage_series s on s.series = b.series \
             where b.width_s = 86400 and b.start_ms in ({days}) group by b.start_ms, {}",
            cube.number(),
            dimensions.join(", "),
            sums("b", &SUMS),
            by.join(", ")
        )
    });
    let names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.as_str()).chain(SUMS).collect();
    format!("insert into usage_day (cube, start_ms, {}) {}", names.join(", "), parts.join(" union all "))
}

/// The stretches of whole days from the first time to the second that are not among these days.
fn gaps(from_ms: u64, to_ms: u64, days: &[u64]) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at = from_ms;
    for day in days {
        if at < *day {
            gaps.push((at, *day));
        }
        at = at.max(day.saturating_add(BucketWidth::Day.ms()));
    }
    if at < to_ms {
        gaps.push((at, to_ms));
    }
    gaps
}

/// More gaps than this are not read one by one.
const MOST_GAPS: usize = 40;

/// Sums of usage by bucket and group, and the attempts without an outcome, which are in no sum. One group
/// more than an answer may have. `made` are days whose sums over fewer dimensions are read.
pub(crate) fn usage<'a>(query: &UsageQuery, from_ms: u64, to_ms: u64, made: &[u64]) -> Question<'a> {
    let mut terms = Terms::default();
    let width_ms = terms.bind(query.width.ms());
    let width = terms.bind(query.width.ms() / 1_000);
    let (from, to) = (terms.bind(from_ms), terms.bind(to_ms));
    let (mut counted, mut open) = (String::new(), String::new());
    for (dimension, value) in &query.only {
        let value = terms.text(value);
        counted.extend([" and s.", dimension.as_str(), " = ", &value]);
        open.extend([" and ", &of_open(*dimension), " = ", &value]);
    }
    let mark = terms.bind(mark::OPEN);
    let mut dimensions = query.group_by.clone();
    dimensions.sort_unstable();
    dimensions.dedup();
    let names: String = dimensions.iter().map(|dimension| format!(", s.{}", dimension.as_str())).collect();
    let of_open: String = dimensions
        .iter()
        .map(|dimension| format!(", {} as {}", of_open(*dimension), dimension.as_str()))
        .collect();
    let of_sums: Vec<String> = SUMS.map(|sum| format!("b.{sum}")).to_vec();
    let mut of_days = String::new();
    let mut when = format!("b.start_ms >= {from} and b.start_ms < {to}");
    let gaps = gaps(from_ms, to_ms, made);
    if let Some(cube) = Cube::of(query).filter(|_| !made.is_empty() && gaps.len() <= MOST_GAPS) {
        let mut within = |stretches: &[(u64, u64)]| {
            let stretch = |(from, to): &(u64, u64)| {
                let (from, to) = (terms.bind(*from), terms.bind(*to));
                format!("(b.start_ms >= {from} and b.start_ms < {to})")
            };
            let stretches: Vec<String> = stretches.iter().map(stretch).collect();
            if stretches.is_empty() { "1 = 0".to_owned() } else { format!("({})", stretches.join(" or ")) }
        };
        when = within(&gaps);
        let ends: Vec<u64> = gaps.iter().flat_map(|(from, to)| [*from, *to]).collect();
        let days: Vec<(u64, u64)> = inverse(from_ms, to_ms, &ends);
        let days = within(&days);
        // The sums of a day stand under the names of its series.
        let names = names.replace("s.", "b.");
        let counted = counted.replace(" and s.", " and b.");
        let cube = terms.bind(cube.number());
        of_days = format!(
            " union all select b.start_ms{names}, {} from usage_day b where b.cube = {cube} and {days}{counted}",
            of_sums.join(", ")
        );
    }
    let of_attempt: Vec<String> =
        SUMS.map(|sum| format!("{} as {sum}", u8::from(sum == "decisions" || sum == "attempts"))).to_vec();
    let by: String = query.group_by.iter().map(|dimension| format!(", u.{}", dimension.as_str())).collect();
    let text = format!(
        "select u.start_ms{by}, {sums} from (\
         select b.start_ms{names}, {of_sums} from usage_bucket b join usage_series s on s.series = b.series \
         where b.width_s = {width} and {when}{counted}{of_days} \
         union all \
         select t.made_ms - t.made_ms % {width_ms}{of_open}, {of_attempt} \
         from decision d join decision_tag t on t.decision = d.id \
         where t.tag = {mark} and t.made_ms >= {from} and t.made_ms < {to} and d.attempt and d.status is null{open}\
         ) u group by u.start_ms{by} having sum(u.decisions) <> 0 \
         order by u.start_ms, sum(u.decisions) desc{by} limit {}",
        UsageQuery::MAX_GROUPS + 1,
        sums = sums("u", &SUMS),
        of_sums = of_sums.join(", "),
        of_attempt = of_attempt.join(", "),
    );
    Question { doing: "add up usage", text, values: terms.values }
}

/// What is between gaps. `ends` are theirs, in order.
fn inverse(from_ms: u64, to_ms: u64, ends: &[u64]) -> Vec<(u64, u64)> {
    let borders: Vec<u64> = std::iter::once(from_ms).chain(ends.iter().copied()).chain([to_ms]).collect();
    let pairs = borders.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)));
    pairs.filter(|(from, to)| from < to).collect()
}

/// A dimension of an attempt without an outcome.
fn of_open(dimension: Dimension) -> String {
    match dimension {
        Dimension::Status => format!("'{OPEN}'"),
        named => format!("coalesce(d.{}, '')", named.as_str()),
    }
}

/// Sums of hand-overs. One cell more than an answer may have.
pub(crate) fn handoffs<'a>(query: &HandoffQuery) -> Question<'a> {
    let mut terms = Terms::default();
    let mut stretches = Vec::new();
    for (width, from_ms, to_ms) in widest(query.from_ms, query.to_ms) {
        let width = terms.bind(width.ms() / 1_000);
        let (from, to) = (terms.bind(from_ms), terms.bind(to_ms));
        stretches.push(format!("(h.width_s = {width} and h.start_ms >= {from} and h.start_ms < {to})"));
    }
    let stretches = if stretches.is_empty() { "1 = 0".to_owned() } else { stretches.join(" or ") };
    let mut only = String::new();
    for (value, column) in [(&query.from, "from_target"), (&query.to, "to_target")] {
        if let Some(text) = value {
            let value = terms.text(text);
            only.extend([" and h.", column, " = ", &value]);
        }
    }
    let by = "h.from_target, h.to_target, h.reason_code";
    let sums = sums("h", &HANDOFF_SUMS);
    let text = format!(
        "select {by}, {sums} from handoff_bucket h where ({stretches}){only} group by {by} \
         having sum(h.decisions) <> 0 order by sum(h.decisions) desc, {by} limit {}",
        HandoffQuery::MAX_CELLS + 1
    );
    Question { doing: "add up hand-overs", text, values: terms.values }
}

/// Feedback in the order of time.
pub(crate) fn feedback<'a>(query: &FeedbackQuery, most: u32) -> Question<'a> {
    let mut terms = Terms::default();
    let limit = terms.bind(u64::from(query.limit.clamp(1, most)));
    if !query.decisions.is_empty() {
        let ids: Vec<String> = query.decisions.iter().map(|id| terms.bind(Value::shown(id))).collect();
        terms.must(format!("f.decision in ({})", ids.join(", ")));
    }
    if let Some(after) = query.after {
        let at = terms.bind(after.at_ms);
        let boot = terms.bind(Value::shown(after.boot));
        let seq = terms.bind(after.seq);
        terms.must(format!("(f.at_ms, f.boot, f.seq) > ({at}, {boot}, {seq})"));
    }
    terms.must("1 = 1".to_owned());
    let text = format!(
        "select f.boot, f.seq, f.at_ms, f.decision, f.principal, f.correct, f.correct_target, f.score, \
         f.label, f.record from feedback f where {} order by f.at_ms, f.boot, f.seq limit {limit}",
        terms.all.join(" and ")
    );
    Question { doing: "read feedback", text, values: terms.values }
}

/// Sums as numbers that the databases have: a sum of numbers is wider in one of them.
fn sums(table: &str, columns: &[&str]) -> String {
    let sums: Vec<String> =
        columns.iter().map(|column| format!("cast(sum({table}.{column}) as bigint) as {column}")).collect();
    sums.join(", ")
}

/// A stretch of time in the widest buckets that fit; what is shorter than a minute at its ends is
/// taken as the whole minute where it begins, and left out where it ends.
fn widest(from_ms: u64, to_ms: u64) -> Vec<(BucketWidth, u64, u64)> {
    let mut stretches = Vec::new();
    let (mut low, mut high) = (BucketWidth::Minute.start_of(from_ms), to_ms.div_ceil(60_000) * 60_000);
    for (width, wider) in [(BucketWidth::Minute, BucketWidth::Hour), (BucketWidth::Hour, BucketWidth::Day)] {
        if low >= high {
            return stretches;
        }
        let first = low.div_ceil(wider.ms()).saturating_mul(wider.ms()).min(high);
        let last = wider.start_of(high).max(first);
        stretches.extend([(width, low, first), (width, last, high)].into_iter().filter(|(_, a, b)| a < b));
        (low, high) = (first, last);
    }
    if low < high {
        stretches.push((BucketWidth::Day, low, high));
    }
    stretches
}
