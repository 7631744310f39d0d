//! The filters of lists of decisions, and the pages.

use baton_model::{DecisionId, FaultKind, KeyId, RunId};
use baton_policy::ReasonCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{BadParameter, shown, word};
use crate::{DecisionKind, ListQuery, OutcomeStatus, PageStart, PolicyFilter, Range, StatusFilter};

/// A page has so many without a word.
const PAGE: u32 = 20;
/// A page has no more.
const MAX_PAGE: u32 = 100;
/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
/// No text that is compared is longer, in bytes.
const MAX_TEXT: usize = 512;

/// Which decisions. All that is named must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// Made at this time or later: seconds since 1970, a date, or a time such as `2026-11-21T12:00:00Z`.
    #[param(example = "2026-11-21T12:00:00Z")]
    pub start_time: Option<String>,
    /// Made before this time.
    pub end_time: Option<String>,
    /// Of these kinds: `select`, `retry`, `fallback`, `handoff`, `refuse`, `stop`, ... Repeated, or with commas.
    #[serde(default)]
    #[param(style = Form, explode, example = "fallback")]
    pub kind: Vec<String>,
    /// With this reason code, such as `only_model` or `fallback_after_fault`.
    pub reason_code: Option<String>,
    /// Planned by this policy: `name`, or `name@version` with as many digits of the version as tell it apart.
    #[param(example = "default")]
    pub policy: Option<String>,
    /// For this model: the chosen one, the chosen target, or the only one that was asked for.
    #[param(example = "echo/hello")]
    pub model: Option<String>,
    /// Of requests that named this model, alone or among others.
    pub requested: Option<String>,
    /// That chose this model or target.
    pub served: Option<String>,
    /// That left this target behind.
    pub from: Option<String>,
    /// That went to this target.
    pub to: Option<String>,
    /// That went to a target of this provider.
    #[param(example = "openai")]
    pub provider: Option<String>,
    /// Of this key's requests: `key_…`, or `anonymous`.
    #[param(example = "anonymous")]
    pub principal: Option<String>,
    /// Of this run.
    #[param(pattern = "^run_[0-9a-f]{32}$")]
    pub run: Option<String>,
    /// That begin a run of this session: only a run's first decision has it.
    pub session: Option<String>,
    /// That begin a run with this tag.
    pub tag: Option<String>,
    /// Whose attempt is this far: `ok`, `failed`, `client_cancelled`, `running`, `crashed`, or `not_expected` where
    /// nothing was sent.
    #[param(pattern = "^(ok|failed|client_cancelled|running|crashed|not_expected)$", example = "ok")]
    pub status: Option<String>,
    /// Whose attempt failed with this fault, such as `timeout` or `rate_limited`.
    #[param(example = "timeout")]
    pub fault: Option<String>,
    /// Of this hop of their run, or a later one.
    #[param(value_type = Option<u32>, minimum = 1, example = 2)]
    pub min_hop: Option<String>,
    /// That cost this much or more, in US dollars.
    #[param(value_type = Option<f64>, minimum = 0, example = 0.01)]
    pub min_cost_usd: Option<String>,
    /// That cost this much or less, in US dollars.
    #[param(value_type = Option<f64>, minimum = 0)]
    pub max_cost_usd: Option<String>,
    /// Whose attempt took this long or longer, in milliseconds.
    #[param(value_type = Option<f64>, minimum = 0, example = 1500)]
    pub min_total_ms: Option<String>,
    /// Whose attempt took this long or less, in milliseconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    pub max_total_ms: Option<String>,
    /// Whose first content took this long or longer, in milliseconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    pub min_first_content_ms: Option<String>,
    /// Whose first content took this long or less, in milliseconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    pub max_first_content_ms: Option<String>,
}

/// Which page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// At most so many, 1 to 100; 20 without.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, example = 20)]
    pub limit: Option<String>,
    /// Older than this decision.
    #[param(pattern = "^dec_[0-9a-f]{32}$", example = "dec_019356aa00007000800000000000000a")]
    pub starting_after: Option<String>,
    /// Newer than this decision. Not together with `starting_after`.
    #[param(pattern = "^dec_[0-9a-f]{32}$")]
    pub ending_before: Option<String>,
}

/// Which stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RangeParams {
    /// From this time: seconds since 1970, a date, or a time such as `2026-11-21T12:00:00Z`.
    #[param(example = "2026-11-21T12:00:00Z")]
    pub start_time: Option<String>,
    /// Up to this time, without it.
    pub end_time: Option<String>,
}

impl Filters {
    /// The question that these filters ask, from the newest on, one page of the usual length.
    ///
    /// # Errors
    /// When a value is none of its kind, or a range is upside down.
    pub fn query(self) -> Result<ListQuery, BadParameter> {
        let range = RangeParams { start_time: self.start_time, end_time: self.end_time };
        let (from_ms, to_ms) = range.times()?;
        let kinds =
            self.kind.iter().map(|kind| word("kind", kind)).collect::<Result<Vec<DecisionKind>, _>>()?;
        let words: Option<ReasonCode> =
            self.reason_code.as_deref().map(|code| word("reason_code", code)).transpose()?;
        let fault: Option<FaultKind> = self.fault.as_deref().map(|kind| word("fault", kind)).transpose()?;
        let status: Option<StatusWord> =
            self.status.as_deref().map(|status| word("status", status)).transpose()?;
        Ok(ListQuery {
            from_ms,
            to_ms,
            kinds,
            reason_code: words.map(|code| code.as_str().to_owned()),
            policy: self.policy.as_deref().map(policy).transpose()?,
            model: name("model", self.model)?,
            requested: name("requested", self.requested)?,
            served: name("served", self.served)?,
            from: name("from", self.from)?,
            to: name("to", self.to)?,
            provider: name("provider", self.provider)?,
            principal: self.principal.map(principal).transpose()?,
            run: self.run.as_deref().map(run).transpose()?,
            session: name("session", self.session)?,
            tag: name("tag", self.tag)?,
            status: status.map(StatusFilter::from),
            fault: fault.map(|kind| kind.as_str().to_owned()),
            min_hop: self.min_hop.as_deref().map(|hop| whole("min_hop", hop)).transpose()?,
            cost_nano: amounts(("min_cost_usd", self.min_cost_usd), ("max_cost_usd", self.max_cost_usd), 9)?,
            total_us: amounts(("min_total_ms", self.min_total_ms), ("max_total_ms", self.max_total_ms), 3)?,
            first_content_us: amounts(
                ("min_first_content_ms", self.min_first_content_ms),
                ("max_first_content_ms", self.max_first_content_ms),
                3,
            )?,
            start: PageStart::Newest,
            limit: PAGE,
        })
    }
}

impl PageParams {
    /// Turns a question to this page.
    ///
    /// # Errors
    /// When the limit is out of its bounds, or a cursor is no decision's id.
    pub fn apply(&self, query: &mut ListQuery) -> Result<(), BadParameter> {
        if let Some(limit) = &self.limit {
            let bad = || {
                let message = format!("`limit` is `{}`, it must be 1 to {MAX_PAGE}", shown(limit));
                BadParameter::new("limit", message)
            };
            let number = limit.parse().ok().filter(|number| (1..=MAX_PAGE).contains(number));
            query.limit = number.ok_or_else(bad)?;
        }
        query.start = match (&self.starting_after, &self.ending_before) {
            (Some(_), Some(_)) => {
                let message = "`starting_after` and `ending_before` exclude each other";
                return Err(BadParameter::new("starting_after", message));
            }
            (Some(id), None) => PageStart::After(cursor("starting_after", id)?),
            (None, Some(id)) => PageStart::Before(cursor("ending_before", id)?),
            (None, None) => PageStart::Newest,
        };
        Ok(())
    }
}

impl RangeParams {
    /// Beginning and end in milliseconds since 1970, as far as they are named.
    ///
    /// # Errors
    /// When one is no time, or the end is not after the beginning.
    pub fn times(&self) -> Result<(Option<u64>, Option<u64>), BadParameter> {
        let start = self.start_time.as_deref().map(|text| time("start_time", text)).transpose()?;
        let end = self.end_time.as_deref().map(|text| time("end_time", text)).transpose()?;
        match (start, end) {
            (Some(start), Some(end)) if end <= start => {
                Err(BadParameter::new("end_time", "`end_time` is not after `start_time`"))
            }
            times => Ok(times),
        }
    }
}

/// How far an attempt is, as decisions show it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusWord {
    Ok,
    Failed,
    ClientCancelled,
    Running,
    Crashed,
    NotExpected,
}

impl From<StatusWord> for StatusFilter {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Ok => Self::Ended(OutcomeStatus::Ok),
            StatusWord::Failed => Self::Ended(OutcomeStatus::Failed),
            StatusWord::ClientCancelled => Self::Ended(OutcomeStatus::ClientCancelled),
            StatusWord::Running => Self::Running,
            StatusWord::Crashed => Self::Crashed,
            StatusWord::NotExpected => Self::NoAttempt,
        }
    }
}

/// Milliseconds since 1970.
fn time(name: &'static str, text: &str) -> Result<u64, BadParameter> {
    let bad = || {
        let message = format!(
            "`{name}` is `{}`; it must be seconds since 1970, a date, or a time such as `2026-11-21T12:00:00Z`",
            shown(text)
        );
        BadParameter::new(name, message)
    };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().ok().filter(|seconds: &u64| *seconds <= LAST_SECOND);
        return seconds.map(|seconds| seconds * 1_000).ok_or_else(bad);
    }
    let is_date = text.len() == "2026-11-21".len();
    let midnight = is_date.then(|| format!("{text}T00:00:00Z"));
    let at: jiff::Timestamp = midnight.as_deref().unwrap_or(text).parse().map_err(|_error| bad())?;
    u64::try_from(at.as_millisecond()).map_err(|_before_1970| bad())
}

fn name(name: &'static str, text: Option<String>) -> Result<Option<String>, BadParameter> {
    match text {
        Some(text) if text.len() > MAX_TEXT => {
            Err(BadParameter::new(name, format!("`{name}` is longer than {MAX_TEXT} bytes")))
        }
        text => Ok(text),
    }
}

fn policy(text: &str) -> Result<PolicyFilter, BadParameter> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if name.is_empty() || version.is_some_and(str::is_empty) || text.len() > MAX_TEXT {
        let message = format!("`policy` is `{}`; it must be a name, or `name@version`", shown(text));
        return Err(BadParameter::new("policy", message));
    }
    Ok(PolicyFilter { name: name.to_owned(), version: version.map(ToOwned::to_owned) })
}

fn principal(text: String) -> Result<String, BadParameter> {
    if text == "anonymous" || text.parse::<KeyId>().is_ok() {
        return Ok(text);
    }
    let message =
        format!("`principal` is `{}`; it must be a key's id (`key_…`) or `anonymous`", shown(&text));
    Err(BadParameter::new("principal", message))
}

fn run(text: &str) -> Result<RunId, BadParameter> {
    text.parse().map_err(|error| BadParameter::new("run", format!("`run`: {error}")))
}

fn cursor(name: &'static str, text: &str) -> Result<DecisionId, BadParameter> {
    text.parse().map_err(|error| {
        BadParameter::new(name, format!("`{name}` is the id of a decision in the list: {error}"))
    })
}

fn whole(name: &'static str, text: &str) -> Result<u32, BadParameter> {
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.ok_or_else(|| {
        BadParameter::new(name, format!("`{name}` is `{}`, it must be a whole number from 1 on", shown(text)))
    })
}

/// A range of decimals with so many places, as whole numbers of the last one.
fn amounts(
    (least, at_least): (&'static str, Option<String>),
    (most, at_most): (&'static str, Option<String>),
    places: u32,
) -> Result<Range, BadParameter> {
    let at_least = at_least.map(|text| amount(least, &text, places)).transpose()?;
    let at_most = at_most.map(|text| amount(most, &text, places)).transpose()?;
    if let (Some(low), Some(high)) = (at_least, at_most)
        && high < low
    {
        return Err(BadParameter::new(most, format!("`{most}` is less than `{least}`")));
    }
    Ok(Range { at_least, at_most })
}

/// A decimal without sign or exponent, digit by digit: no float comes near money.
fn amount(name: &'static str, text: &str, places: u32) -> Result<u64, BadParameter> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let missing = places.checked_sub(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    let number = missing.filter(|_fits| digits(whole) && digits(fraction)).and_then(|missing| {
        let part = fraction.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(missing)?)?;
        let number =
            whole.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(places)?)?.checked_add(part)?;
        i64::try_from(number).is_ok().then_some(number)
    });
    number.ok_or_else(|| {
        let message = format!(
            "`{name}` is `{}`, it must be a decimal with at most {places} digits after the point",
            shown(text)
        );
        BadParameter::new(name, message)
    })
}
