//! What is asked about usage, from parameters to a question.

use baton_audit::{
    BadParameter, BucketWidth, DecisionKind, Dimension, OutcomeStatus, RangeParams, UsageQuery, word,
};
use baton_model::nearest;
use baton_policy::ReasonCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::page::{NotAPage, Place};
use crate::range::{DAY_MS, Stretch};

/// What decisions have too many different values of to be added up by.
const HIGH: [&str; 12] = [
    "session",
    "user",
    "tag",
    "tags",
    "metadata",
    "run",
    "request",
    "id",
    "decision",
    "parent",
    "upstream_id",
    "text",
];
/// More dimensions at once give groups of one decision each.
const MAX_GROUP_BY: usize = 4;

/// How usage is added up.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// How long a bucket is: `1m` (at most 7 days at once), `1h` (at most 366 days) or `1d`; `1d` without.
    #[param(pattern = "^(1m|1h|1d)$", example = "1h")]
    bucket_width: Option<String>,
    /// What to keep apart: up to four of `principal`, `provider`, `model`, `target`, `policy`, `policy_version`, `rule`,
    /// `reason_code`, `kind` and `status`. Repeated, or with commas.
    #[serde(default)]
    #[param(rename = "group_by[]", style = Form, explode, example = json!(["model"]))]
    group_by: Vec<String>,
    /// At most so many buckets: 1 to 1440 minutes (60 without), 1 to 168 hours (24), or 1 to 31 days (7).
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1440)]
    limit: Option<String>,
    /// `next_page` of the page before.
    #[param(pattern = "^page_[0-9a-f]+_[0-9a-f]+$")]
    page: Option<String>,
    /// Only of this key's requests: `key_…`, or `anonymous`.
    principal: Option<String>,
    /// Only what went to this provider.
    provider: Option<String>,
    /// Only what went to this model, as it was named.
    model: Option<String>,
    /// Only what went to this target.
    target: Option<String>,
    /// Only plans of this policy.
    policy: Option<String>,
    /// Only plans of this version.
    policy_version: Option<String>,
    /// Only what this rule decided.
    rule: Option<String>,
    /// Only decisions with this reason code.
    reason_code: Option<String>,
    /// Only decisions of this kind.
    #[param(example = "fallback")]
    kind: Option<String>,
    /// Only attempts that ended so: `ok`, `failed`, `client_cancelled`; `open` for those that did not, `none` for
    /// decisions without one.
    #[param(pattern = "^(ok|failed|client_cancelled|open|none)$")]
    status: Option<String>,
}

/// A question about usage, and whose pages its answers are.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) query: UsageQuery,
    pub(super) place: Place,
}

/// What belongs to a width of buckets.
struct Width {
    width: BucketWidth,
    /// As a parameter.
    word: &'static str,
    /// The longest stretch that is asked for at once.
    most_ms: Option<u64>,
    /// Buckets on a page, without a word and at most.
    buckets: (u32, u32),
}

const WIDTHS: [Width; 3] = [
    Width { width: BucketWidth::Minute, word: "1m", most_ms: Some(7 * DAY_MS), buckets: (60, 1_440) },
    Width { width: BucketWidth::Hour, word: "1h", most_ms: Some(366 * DAY_MS), buckets: (24, 168) },
    Width { width: BucketWidth::Day, word: "1d", most_ms: None, buckets: (7, 31) },
];

impl UsageParams {
    /// The question, and where its pages belong.
    pub(super) fn asked(mut self, range: &RangeParams, now_ms: u64) -> Result<Asked, BadParameter> {
        let width = self.width()?;
        let (usual, _) = width.buckets;
        let mut stretch = Stretch::of(range, now_ms, u64::from(usual - 1) * width.width.ms())?;
        if range.start_time.is_none() {
            // Whole buckets, the last of which has the end in it.
            stretch.from_ms = width.width.start_of(stretch.from_ms.saturating_sub(1));
        }
        width.check(stretch)?;
        let group_by = self.group_by.iter().map(|name| dimension(name)).collect::<Result<Vec<_>, _>>()?;
        if group_by.len() > MAX_GROUP_BY {
            let message = format!("`group_by` has {} parts, it may have {MAX_GROUP_BY}", group_by.len());
            return Err(BadParameter::new("group_by", message));
        }
        let stands_before = |at: usize, one: &Dimension| group_by.iter().take(at).any(|other| other == one);
        if let Some((_, twice)) = group_by.iter().enumerate().find(|(at, one)| stands_before(*at, one)) {
            let message = format!("`group_by` has `{}` twice", name_of(*twice));
            return Err(BadParameter::new("group_by", message));
        }
        let limit = limit(self.limit.as_deref(), width)?;
        let page = self.page.take();
        let only = self.only()?;
        // The limit is not part of it: a reader may go on with longer pages.
        let place = Place::of(&format!(
            "{}\0{:?}\0{:?}\0{group_by:?}\0{only:?}",
            width.word, range.start_time, range.end_time
        ));
        let from_ms = match page {
            Some(token) => Self::place_of(&place, &token, stretch)?,
            None => stretch.from_ms,
        };
        let query = UsageQuery { from_ms, to_ms: stretch.to_ms, width: width.width, group_by, only, limit };
        Ok(Asked { query, place })
    }

    fn width(&self) -> Result<&'static Width, BadParameter> {
        let word = self.bucket_width.as_deref().unwrap_or("1d");
        WIDTHS
            .iter()
            .find(|width| width.word == word)
            .ok_or_else(|| BadParameter::new("bucket_width", "`bucket_width` must be `1m`, `1h` or `1d`"))
    }

    fn place_of(place: &Place, token: &str, stretch: Stretch) -> Result<u64, BadParameter> {
        let bad = |message: &str| BadParameter::new("page", message);
        match place.read(token) {
            Ok(from_ms) if from_ms < stretch.to_ms => Ok(from_ms),
            Ok(_) => Err(bad("`page` begins behind the end of the time that is asked for")),
            Err(NotAPage::Shape) => Err(bad("`page` must be the `next_page` of an earlier answer")),
            Err(NotAPage::Other) => {
                Err(bad("`page` belongs to another question; only `limit` may change from page to page"))
            }
        }
    }

    /// What must hold.
    fn only(self) -> Result<Vec<(Dimension, String)>, BadParameter> {
        if let Some(kind) = &self.kind {
            let _known: DecisionKind = word("kind", kind)?;
        }
        if let Some(code) = &self.reason_code {
            let _known: ReasonCode = word("reason_code", code)?;
        }
        if let Some(status) = self.status.as_deref().filter(|status| !matches!(*status, "open" | "none")) {
            let _known: OutcomeStatus = word("status", status)?;
        }
        let named = [
            (Dimension::Principal, self.principal),
            (Dimension::Provider, self.provider),
            (Dimension::Model, self.model),
            (Dimension::Target, self.target),
            (Dimension::Policy, self.policy),
            (Dimension::PolicyVersion, self.policy_version),
            (Dimension::Rule, self.rule),
            (Dimension::ReasonCode, self.reason_code),
            (Dimension::Kind, self.kind),
            (Dimension::Status, self.status),
        ];
        Ok(named.into_iter().filter_map(|(dimension, value)| Some((dimension, value?))).collect())
    }
}

impl Width {
    fn check(&self, stretch: Stretch) -> Result<(), BadParameter> {
        let Some(most_ms) = self.most_ms.filter(|most_ms| stretch.length_ms() > *most_ms) else {
            return Ok(());
        };
        let message = format!(
            "buckets of `{}` reach over {} days at most, and {} are asked for; take longer buckets or a shorter time",
            self.word,
            most_ms / DAY_MS,
            stretch.length_ms().div_ceil(DAY_MS)
        );
        Err(BadParameter::new("bucket_width", message))
    }
}

fn limit(given: Option<&str>, width: &Width) -> Result<u32, BadParameter> {
    let (usual, most) = width.buckets;
    let Some(text) = given else { return Ok(usual) };
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("`limit` must be 1 to {most} buckets of `{}`", width.word);
        BadParameter::new("limit", message)
    })
}

/// The dimension as a parameter names it.
fn name_of(dimension: Dimension) -> &'static str {
    let column = dimension.as_str();
    column.strip_prefix("to_").unwrap_or(column)
}

fn dimension(name: &str) -> Result<Dimension, BadParameter> {
    let names = Dimension::ALL.map(name_of);
    if let Some((dimension, _)) = Dimension::ALL.into_iter().zip(names).find(|(_, known)| *known == name) {
        return Ok(dimension);
    }
    let shown: String = name.chars().filter(|found| !found.is_control()).take(64).collect();
    let message = if HIGH.contains(&name) {
        format!(
            "usage cannot be grouped by `{shown}`, which has too many values; `/admin/v1/decisions` can be filtered or exported"
        )
    } else {
        let all = names.map(|name| format!("`{name}`")).join(", ");
        let hint = nearest(&shown, names).map(|name| format!("did you mean `{name}`?"));
        format!("usage cannot be grouped by `{shown}`; {}", hint.unwrap_or(format!("there are {all}")))
    };
    Err(BadParameter::new("group_by", message))
}
