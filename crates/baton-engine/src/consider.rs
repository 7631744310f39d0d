//! Gathers what a request is planned from: its candidates, its features, and how everybody is.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use baton_audit::IdSource;
use baton_dialect::{Marks, conversation_marks, refuse_what_is_kept};
use baton_model::{Dialect, ProviderName, Target};
use baton_policy::{Context, Features, Health, Inputs, Needs, Policy, RunInputs, Scorer};
use baton_run::HandoffMode;
use tokio::time::Instant;

use crate::engine::unresolved;
use crate::features::{conversation, features, last_user_text, note_ways};
use crate::given::GivenCalls;
use crate::health::{Form, HealthBoard, Keys, Probe, Snapshot};
use crate::prepare::{Converted, prepare};
use crate::sticky::{Held, Key, Sticky};
use crate::versions::{Drawing, StoredPolicies};
use crate::{Ask, ModelSpec, Pool, Refusal, RefusalKind, Settings};

/// A request with everything that its plan is made from.
pub(crate) struct Considered {
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    pub(crate) inputs: Box<Inputs>,
    pub(crate) converted: Converted,
    /// The right to try a target that may be well again. Given back when dropped.
    pub(crate) probes: Vec<(Target, Probe)>,
    /// The version to plan with beside, where there is one.
    pub(crate) shadow: Option<Arc<Policy>>,
    /// Where the conversation can be found again, if it may change hands.
    pub(crate) marks: Option<Marks>,
}

/// What a request is considered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be answered.
    Answer,
    /// To be shown what would happen: nothing is claimed.
    Show,
}

/// What planning looks at beside the request and the configuration: how everybody is, where
/// conversations are, and which policies the store has.
#[derive(Debug, Default)]
pub struct Outlook {
    pub(crate) health: Arc<HealthBoard>,
    pub(crate) sticky: Arc<Sticky>,
    pub(crate) given: GivenCalls,
    pub(crate) stored: ArcSwap<StoredPolicies>,
    pub(crate) ids: IdSource,
}

impl Outlook {
    /// Gathers the inputs of a plan. Nothing is changed by it but probes, which are claimed.
    pub(crate) fn consider(
        &self,
        settings: Arc<Settings>,
        ask: &Ask,
        purpose: Purpose,
    ) -> Result<Considered, Refusal> {
        let stored = self.stored.load();
        let mut pool = Self::pool(ask, &settings, Drawing::new(&stored, ask))?;
        if !goes_to_one_provider(ask.dialect, &settings, &pool) {
            refuse_what_is_kept(ask.dialect, &ask.body)?;
        }
        let marks = if pool.handoff == HandoffMode::Off {
            None
        } else {
            Some(conversation_marks(ask.dialect, &ask.body)?)
        };
        let shadow = stored.shadow(&pool.policy).cloned();
        let converted = Converted::default();
        if ask.strict {
            note_what_is_not_carried(ask, &converted, &settings, &mut pool)?;
        }
        let needs = pool.policy.needs(&ask.wishes);
        let mut features = features(ask.dialect, &ask.body, ask.stream, ask.task, needs)
            .map_err(baton_dialect::DecodeError::from)?;
        let mut candidates = std::mem::take(&mut pool.candidates);
        note_ways(&mut features, ask, &candidates).map_err(baton_dialect::DecodeError::from)?;
        let mut probes = Vec::new();
        for candidate in &mut candidates {
            let (health, probe) = self.look(ask, &settings, &candidate.target, needs, purpose);
            candidate.health = health;
            probes.extend(probe.map(|probe| (candidate.target.clone(), probe)));
        }
        if needs.scores {
            note_scores(ask, &features, &mut candidates);
        }
        let held = match &marks {
            Some(marks) => self.sticky.find(&ask.caller.principal, keys(ask, marks)),
            None => needs.conversation.then(|| self.held(ask)).flatten(),
        };
        // What was handed over stays there, unless a rule or a model moves it again.
        let handed = marks.is_some() && held.as_ref().is_some_and(|held| held.handed);
        let current = held.filter(|_| handed || needs.conversation).map(|held| held.current);
        let random = needs.dice.then(rand::random::<u32>).map_or(0, u64::from);
        let inputs = Box::new(Inputs {
            agent: None,
            policy: pool.policy.reference.clone(),
            knowledge: settings.catalog.knowledge_version().to_owned(),
            features,
            candidates,
            key_models: ask.caller.models.clone(),
            providers: ask.providers.clone(),
            wishes: ask.wishes.clone(),
            context: needs.context.then(|| Box::new(self.context(ask))),
            current,
            judged: None,
            run: handed.then(|| Box::new(RunInputs { turn: 1, hop: 1, ..RunInputs::default() })),
            passes: None,
            random,
        });
        Ok(Considered { settings, pool, inputs, converted, probes, shadow, marks })
    }

    fn pool(ask: &Ask, settings: &Settings, stored: Drawing<'_>) -> Result<Pool, Refusal> {
        if let Some(byok) = &ask.byok {
            return Self::byok_pool(ask, byok, settings);
        }
        let pool = settings.catalog.resolve_among(&ask.models, ask.policy.as_deref(), stored);
        let mut pool = pool.map_err(unresolved)?;
        if ask.models.hands_off() {
            pool.handoff = HandoffMode::Both;
        }
        Ok(pool)
    }

    /// With a provider key of the client's own, the named provider is the only candidate.
    fn byok_pool(ask: &Ask, byok: &crate::Byok, settings: &Settings) -> Result<Pool, Refusal> {
        let provider = &byok.provider;
        if settings.catalog.upstream(provider).is_none() {
            let mut refusal = Refusal::new(
                RefusalKind::Invalid,
                format!("the provider `{provider}` of `x-provider` is not configured"),
            );
            refusal.param = Some("x-provider".to_owned());
            return Err(refusal);
        }
        let named = byok.model.clone().or_else(|| ask.models.names.first().cloned()).unwrap_or_default();
        let prefix = format!("{provider}/");
        let full = format!("{provider}/{}", named.strip_prefix(&prefix).unwrap_or(&named));
        let spec = ModelSpec { names: vec![full], list: ask.models.list, members: 0 };
        let mut pool = settings.catalog.resolve(&spec, None).map_err(unresolved)?;
        // The key was given for this provider alone.
        pool.candidates.retain(|candidate| !candidate.by_rule);
        Ok(pool)
    }

    fn look(
        &self,
        ask: &Ask,
        settings: &Settings,
        target: &Target,
        needs: Needs,
        purpose: Purpose,
    ) -> (Health, Option<Probe>) {
        let keys = match &ask.byok {
            Some(byok) if byok.provider == target.provider => Keys::Client,
            _ => Keys::Own(credentials(settings, &target.provider)),
        };
        let form = if ask.stream { Form::Stream } else { Form::Whole };
        let latency = needs.latency.then_some(form);
        match purpose {
            Purpose::Answer => {
                let Snapshot { health, probe } = self.health.snapshot(target, keys, latency, Instant::now());
                (health, probe)
            }
            Purpose::Show => (self.health.view(target, keys, latency, Instant::now()), None),
        }
    }

    pub(crate) fn context(&self, ask: &Ask) -> Context {
        Context {
            surface: ask.surface.to_owned(),
            key: ask.caller.principal.clone(),
            tags: ask.labels.tags.clone(),
            variables: ask.variables.clone(),
            turn: 1,
            unix_seconds: Duration::from_millis(self.ids.now_ms()).as_secs(),
        }
    }

    /// The target that the conversation is with.
    fn held(&self, ask: &Ask) -> Option<Held> {
        self.sticky.find(&ask.caller.principal, [Key::Session(ask.labels.session.clone()?)])
    }
}

/// Whether a request can only come to one provider, which speaks its dialect: that one knows what it keeps.
fn goes_to_one_provider(dialect: Dialect, settings: &Settings, pool: &Pool) -> bool {
    let mut providers = pool.candidates.iter().map(|candidate| &candidate.target.provider);
    let Some(first) = providers.next().filter(|_| pool.handoff == HandoffMode::Off) else { return false };
    let speaks = settings.catalog.upstream(first).is_some_and(|upstream| upstream.speaks(dialect));
    speaks && providers.all(|provider| provider == first)
}

/// By what a conversation is known, the surest first.
pub(crate) fn keys(ask: &Ask, marks: &Marks) -> impl Iterator<Item = Key> {
    let session = ask.labels.session.clone().map(Key::Session);
    let cache = ask.body.read::<String>("prompt_cache_key").ok().flatten().map(Key::Cache);
    let calls: Vec<Key> = marks.answered.iter().cloned().map(Key::Call).collect();
    session.into_iter().chain(cache).chain(calls).chain(marks.before.map(Key::Prefix))
}

/// How many credentials a provider has.
pub(crate) fn credentials(settings: &Settings, provider: &ProviderName) -> usize {
    settings.catalog.upstream(provider).map_or(0, |upstream| upstream.credential_count())
}

/// Puts down for each candidate which parameters it would lose.
fn note_what_is_not_carried(
    ask: &Ask,
    converted: &Converted,
    settings: &Settings,
    pool: &mut Pool,
) -> Result<(), Refusal> {
    for candidate in &mut pool.candidates {
        let target = &candidate.target;
        let Some(upstream) = settings.catalog.upstream(&target.provider) else { continue };
        let can = &candidate.facts.capabilities;
        candidate.not_carried = prepare(ask, converted, upstream, target, can, None, None)?.dropped;
    }
    Ok(())
}

/// Puts down for each candidate that the scorer knows what it expects of it on this text.
fn note_scores(ask: &Ask, features: &Features, candidates: &mut [baton_policy::Candidate]) {
    let scorer = Scorer::built_in();
    let known: Vec<(usize, u16)> = candidates
        .iter()
        .enumerate()
        .filter_map(|(at, candidate)| Some((at, scorer.index(candidate.facts.scored_as.as_deref()?)?)))
        .collect();
    if known.is_empty() {
        return;
    }
    let (text, _) = last_user_text(conversation(ask.dialect, &ask.body));
    let models: Vec<u16> = known.iter().map(|(_, model)| *model).collect();
    let scores = scorer.score_for(&text, features.task_kind(), &models);
    for ((at, _), score) in known.into_iter().zip(scores) {
        if let Some(candidate) = candidates.get_mut(at) {
            candidate.quality = Some(score);
        }
    }
}
