//! `GET /admin/v1/models/unchosen` and `/admin/v1/rules/unfired`: what is configured and does nothing.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use baton_audit::{BucketWidth, Dimension, RangeParams, UsageGroup, UsageQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::AdminError;
use crate::range::{DAY_MS, Pairs, Stretch, USUAL_MS, params};
use crate::state::AdminState;

/// Models that nobody got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnchosenList {
    /// `list`.
    object: &'static str,
    /// The models, by name.
    data: Vec<UnchosenModel>,
    /// Always false: the list is whole.
    has_more: bool,
}

/// A model that can be used and was not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnchosenModel {
    /// `model`.
    object: &'static str,
    /// `provider/model`.
    id: String,
    provider: String,
    /// Other names for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

/// Rules that decided nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnfiredList {
    /// `list`.
    object: &'static str,
    /// The rules, by policy and in their order there.
    data: Vec<UnfiredRule>,
    /// Always false: the list is whole.
    has_more: bool,
}

/// A rule in force that no decision names as its reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnfiredRule {
    /// `rule`.
    object: &'static str,
    policy: String,
    /// The version in force.
    version: String,
    rule: String,
}

/// Lists the models that could have been chosen and never were.
///
/// In the last 30 days, where no time is named. A model was chosen when an attempt was made on it.
#[utoipa::path(
    get,
    path = "/admin/v1/models/unchosen",
    operation_id = "admin.models.unchosen",
    tag = "admin",
    params(RangeParams),
    responses(
        (status = 200, description = "The models", body = UnchosenList, example = json!({"object": "list", "data": [{"object": "model", "id": "openai/gpt-4o-mini", "provider": "openai", "aliases": ["gpt-4o-mini"]}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn models(
    State(state): State<AdminState>,
    pairs: Pairs,
) -> Result<Json<UnchosenList>, AdminError> {
    let stretch = stretch(&state, pairs)?;
    let mut chosen = HashSet::new();
    used(&state, stretch, &[Dimension::Target], |group| {
        if let Some(Some(target)) = group.by.into_iter().next()
            && group.sums.attempts > 0
        {
            chosen.insert(target);
        }
    })
    .await?;
    let models = state.engine.settings().catalog.models();
    let unchosen = models.into_iter().filter(|model| !chosen.contains(&model.target.to_string()));
    let data = unchosen.map(|model| UnchosenModel {
        object: "model",
        id: model.target.to_string(),
        provider: model.target.provider.to_string(),
        aliases: model.facts.aliases.iter().map(ToString::to_string).collect(),
    });
    Ok(Json(UnchosenList { object: "list", data: data.collect(), has_more: false }))
}

/// Lists the rules of the policies in force that never were the reason of a decision.
///
/// In the last 30 days, where no time is named. A rule is known by its name: it counts as the same in all versions
/// of its policy.
#[utoipa::path(
    get,
    path = "/admin/v1/rules/unfired",
    operation_id = "admin.rules.unfired",
    tag = "admin",
    params(RangeParams),
    responses(
        (status = 200, description = "The rules", body = UnfiredList, example = json!({"object": "list", "data": [{"object": "rule", "policy": "frugal", "version": "f0b3d9e5a5350fc7", "rule": "prose"}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn rules(
    State(state): State<AdminState>,
    pairs: Pairs,
) -> Result<Json<UnfiredList>, AdminError> {
    let stretch = stretch(&state, pairs)?;
    let mut fired: HashSet<(Option<String>, String)> = HashSet::new();
    used(&state, stretch, &[Dimension::Policy, Dimension::Rule], |group| {
        if let [policy, Some(rule)] = group.by.as_slice() {
            fired.insert((policy.clone(), rule.clone()));
        }
    })
    .await?;
    let mut policies = state.engine.policies();
    policies.sort_by(|one, other| {
        let name =
            |policy: &baton_policy::Policy| (policy.reference.name.clone(), policy.reference.version.clone());
        name(one).cmp(&name(other))
    });
    let mut data = Vec::new();
    for policy in policies {
        let reference = &policy.reference;
        for rule in &policy.document.rules {
            // A decision behind the first of its plan does not name the policy again.
            let has_fired = [Some(reference.name.clone()), None]
                .into_iter()
                .any(|policy| fired.contains(&(policy, rule.name.clone())));
            if !has_fired {
                data.push(UnfiredRule {
                    object: "rule",
                    policy: reference.name.clone(),
                    version: reference.version.clone(),
                    rule: rule.name.clone(),
                });
            }
        }
    }
    Ok(Json(UnfiredList { object: "list", data, has_more: false }))
}

fn stretch(state: &AdminState, pairs: Pairs) -> Result<Stretch, AdminError> {
    let mut params = params(pairs)?;
    let range: RangeParams = params.take()?;
    params.finish()?;
    Ok(Stretch::of(&range, state.ids.now_ms(), USUAL_MS)?)
}

/// Goes through everything that was used in a stretch of time, page by page, and keeps none of it.
///
/// Short stretches are looked at by the minute; the ends of longer ones by the hour or the day.
async fn used(
    state: &AdminState,
    stretch: Stretch,
    by: &[Dimension],
    mut take: impl FnMut(UsageGroup) + Send,
) -> Result<(), AdminError> {
    let length = stretch.length_ms();
    let width = if length <= DAY_MS {
        BucketWidth::Minute
    } else if length <= USUAL_MS {
        BucketWidth::Hour
    } else {
        BucketWidth::Day
    };
    let mut query = UsageQuery {
        from_ms: stretch.from_ms,
        to_ms: stretch.to_ms,
        width,
        group_by: by.to_vec(),
        only: Vec::new(),
        limit: UsageQuery::MAX_BUCKETS,
    };
    loop {
        let page = state.queries.usage(&query).await?;
        page.buckets.into_iter().flat_map(|bucket| bucket.groups).for_each(&mut take);
        match page.next_ms.filter(|next_ms| *next_ms > query.from_ms) {
            Some(next_ms) => query.from_ms = next_ms,
            None => return Ok(()),
        }
    }
}
