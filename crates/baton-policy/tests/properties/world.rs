//! Makes whole decisions out of bytes: a policy, what is known, and inputs.
//!
//! Every choice takes the next byte of a tape. Zero always means the plainest choice, and a tape keeps
//! only some of its bytes, so that one that keeps fewer is a simpler decision: this is how a failing
//! case shrinks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use baton_model::{ModelName, NanoUsd, Price, Target};
use baton_policy::{
    Actions, Balance, Candidate, Capabilities, Capability, Complexity, Constraints, Context, Current,
    DeclaredTask, Down, DownReason, Facts, Features, Health, Inputs, Judge, JudgeFailure, Judged, Knowledge,
    Latency, Need, Order, Policy, PolicyDocument, ProviderPreferences, Rule, RunInputs, TaskKind,
    TaskReading, Variable, Wishes,
};

const PROVIDERS: [&str; 4] = ["a", "b", "c", "d"];
const MODELS: [&str; 4] = ["m", "n", "o", "p"];
const ALIASES: [&str; 4] = ["small", "large", "fast", "a/other"];
const STRENGTHS: [&str; 3] = ["code", "prose", "tool_use"];
const ATTRIBUTES: [&str; 5] = ["complexity", "efficiency", "intelligence", "speed", "cost"];
/// Patterns as they stand in allow-lists.
const PATTERNS: [&str; 8] = ["*", "a/*", "b*", "a/m", "small", "c/n", "d/*", ""];
/// Expressions that do not make one another useless, whatever part of them a policy has.
const CONDITIONS: [&str; 6] = [
    "request.input_tokens > 1000 && request.images",
    "task.kind == 'code' && turn.number > 1",
    "context.tier == 'gold'",
    "time.hour >= 22 && time.weekday == 5",
    "'a/m' in request.candidates && request.tools > 0",
    "",
];

/// The bytes that choices are taken from: random ones in blocks of eight, of which only some are kept.
pub(crate) struct Tape {
    seed: u64,
    kept: u64,
    at: u32,
    block: u64,
}

impl Tape {
    /// Bit `n` says whether the block `n` is kept; the others are zeros.
    pub(crate) const fn of(seed: u64, kept: u64) -> Self {
        Self { seed, kept, at: 0, block: 0 }
    }

    fn byte(&mut self) -> u8 {
        if self.at.is_multiple_of(8) {
            // splitmix64
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let kept = self.kept.checked_shr(self.at / 8).unwrap_or(0) & 1 == 1;
            self.block = if kept { mixed ^ (mixed >> 31) } else { 0 };
        }
        self.at += 1;
        let [byte, ..] = self.block.to_le_bytes();
        self.block >>= 8;
        byte
    }

    /// A number below this one; 0 for nothing.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()).checked_rem(most).unwrap_or(0)
    }

    /// Yes in so many of 256 cases.
    fn chance(&mut self, of_256: u8) -> bool {
        self.byte() > 255 - of_256
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len());
        from.get(at).cloned().expect("not empty")
    }

    fn some_of<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.chance(100)).cloned().collect()
    }

    fn maybe<T>(&mut self, of_256: u8, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(of_256).then(|| make(self))
    }

    /// A likely number, often one that another candidate has too, and now and then an extreme one.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=99 => u64::from(byte % 8) * 500,
            byte @ 100..=199 => u64::from(byte) * 1_000 + u64::from(self.byte()),
            byte @ 200..=245 => u64::from(byte) * 12_345_678,
            246..=247 => u64::from(u32::MAX),
            248..=250 => u64::MAX / 2,
            251..=253 => u64::MAX - 1,
            254..=255 => u64::MAX,
        }
    }

    /// A share in millionths; now and then far above the whole.
    fn share(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..=239 => u32::from(byte % 21) * 50_000,
            byte @ 240..=252 => u32::from(byte) * 1_234,
            253..=255 => u32::MAX,
        }
    }

    fn model(&mut self) -> ModelName {
        if self.chance(80) {
            return name(self.pick(&ALIASES));
        }
        name(&format!("{}/{}", self.pick(&PROVIDERS), self.pick(&MODELS)))
    }

    pub(crate) fn models(&mut self) -> Vec<ModelName> {
        let count = self.below(4);
        (0..count).map(|_| self.model()).collect()
    }

    fn price(&mut self) -> Price {
        Price {
            input: NanoUsd(self.number().saturating_mul(100_000)),
            output: NanoUsd(self.number().saturating_mul(100_000)),
            cached_input: self.maybe(100, |it| NanoUsd(it.number())),
            cache_write: self.maybe(60, |it| NanoUsd(it.number())),
            cache_write_1h: None,
        }
    }

    fn able(&mut self) -> Option<bool> {
        match self.byte() {
            0..=119 => None,
            120..=199 => Some(true),
            200..=255 => Some(false),
        }
    }

    fn shares(&mut self, names: &[&str]) -> BTreeMap<String, u32> {
        let names = self.some_of(names);
        names.into_iter().map(|name| (name.to_owned(), self.share())).collect()
    }

    fn facts(&mut self) -> Facts {
        Facts {
            aliases: self.some_of(&ALIASES).into_iter().map(name).collect(),
            capabilities: Capabilities {
                context_window: self.maybe(60, Self::number),
                max_output_tokens: self.maybe(40, Self::number),
                vision: self.able(),
                audio: self.able(),
                tools: self.able(),
                structured_output: self.able(),
                logprobs: self.able(),
                reasoning: self.able(),
            },
            price: self.maybe(200, Self::price),
            strengths: self.shares(&STRENGTHS),
            attributes: self.shares(&ATTRIBUTES),
            scored_as: None,
            family: None,
        }
    }

    fn health(&mut self) -> Health {
        Health {
            down: self.maybe(90, |it| Down {
                why: it.pick(&[
                    DownReason::Cooling,
                    DownReason::BreakerOpen,
                    DownReason::NoHeadroom,
                    DownReason::ProbeTaken,
                    DownReason::NoCredential,
                    DownReason::Drained,
                    DownReason::Disabled,
                ]),
                for_ms: it.number(),
            }),
            probe: self.chance(20),
            headroom: self.maybe(120, Self::share).map(|share| share / 1_000),
            latency: self.maybe(170, |it| Latency {
                p50_ms: it.number(),
                p95_ms: it.number(),
                samples: u32::try_from(it.number()).unwrap_or(u32::MAX),
            }),
        }
    }

    /// Facts and health are those of the target, under whatever name it stands.
    fn candidate(&mut self, target: &Target, knowledge: &Knowledge, health: Health) -> Candidate {
        let facts = knowledge.models.get(target).cloned().unwrap_or_default();
        let model = match facts.aliases.first() {
            Some(alias) if self.chance(60) => alias.clone(),
            _ => name(&target.to_string()),
        };
        Candidate {
            facts,
            health,
            quality: self.maybe(120, Self::share),
            by_rule: self.chance(25),
            not_carried: if self.chance(15) { vec!["seed".to_owned()] } else { Vec::new() },
            ..Candidate::named(model, target.clone())
        }
    }

    pub(crate) fn constraints(&mut self) -> Constraints {
        Constraints {
            max_cost: self.maybe(70, |it| NanoUsd(it.number().saturating_mul(1_000))),
            max_latency_ms: self.maybe(70, Self::number),
            max_input_price: self.maybe(50, |it| NanoUsd(it.number().saturating_mul(100_000))),
            max_output_price: self.maybe(50, |it| NanoUsd(it.number().saturating_mul(100_000))),
            capabilities: {
                let can = self.maybe(50, |it| Need::Can(it.pick(&Capability::ALL)));
                let good = self.maybe(50, |it| Need::GoodAt {
                    strength: it.pick(&STRENGTHS).to_owned(),
                    at_least: it.share(),
                });
                can.into_iter().chain(good).collect()
            },
        }
    }

    /// Somewhere between two turns.
    pub(crate) fn run(&mut self) -> RunInputs {
        RunInputs {
            turn: u32::try_from(self.below(12)).unwrap_or(u32::MAX),
            hop: u32::try_from(self.below(9)).unwrap_or(u32::MAX),
            handoffs: u32::try_from(self.number()).unwrap_or(u32::MAX),
            tools_done: self.chance(120),
            asked: None,
        }
    }

    pub(crate) fn actions(&mut self) -> Actions {
        Actions {
            use_models: if self.chance(120) { self.models() } else { Vec::new() },
            prefer: if self.chance(120) { self.models() } else { Vec::new() },
            avoid: if self.chance(120) { self.models() } else { Vec::new() },
            allow_models: if self.chance(40) {
                self.some_of(&PATTERNS).into_iter().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            refuse: self.maybe(12, |_| "not today".to_owned()),
            stop: self.chance(12),
            ..Actions::default()
        }
    }

    fn document(&mut self, orders: &[Order]) -> PolicyDocument {
        let count = self.below(4);
        // Most rules always hold: compiling an expression takes longer than all the rest.
        let conditions = match self.byte() {
            0..=179 => Vec::new(),
            180..=239 => vec![""],
            240..=255 => self.some_of(&CONDITIONS),
        };
        PolicyDocument {
            order: (0..count).map(|_| self.pick(orders)).collect(),
            rules: conditions
                .into_iter()
                .map(|when| Rule { name: "r".to_owned(), when: when.to_owned(), then: self.actions() })
                .collect(),
            constraints: if self.chance(80) { self.constraints() } else { Constraints::default() },
            weights: if self.chance(120) {
                let names = self.models();
                names.into_iter().map(|model| (model, self.share() / 50_000)).collect()
            } else {
                BTreeMap::new()
            },
            balance: Balance {
                quality: self.share() / 100,
                cost: self.share() / 100,
                speed: self.share() / 100,
            },
            judge: self.maybe(120, |it| Judge { model: it.model(), timeout_ms: it.number() }),
            switch_margin: self.pick(&[100, 0, 1, 500, 1_000, u32::MAX]),
            client_order: self.chance(100),
            ..PolicyDocument::default()
        }
    }

    fn reading(&mut self) -> TaskReading {
        TaskReading {
            kind: self.maybe(200, |it| it.pick(&TaskKind::ALL)),
            confidence: 800,
            complexity: Complexity::Moderate,
            evidence: vec!["code_blocks 2".to_owned()],
            languages: vec!["en".to_owned()],
            code: self.share() / 1_000,
            math: 0,
            asked_tokens: self.maybe(60, |it| u32::try_from(it.number()).unwrap_or(u32::MAX)),
        }
    }

    fn features(&mut self) -> Features {
        Features {
            input_tokens: self.number(),
            max_output_tokens: self.maybe(80, Self::number),
            tools: u32::from(self.chance(60)),
            messages: 1,
            images: self.chance(40),
            audio: self.chance(25),
            structured_output: self.chance(25),
            schema_by_tool: self.chance(2),
            lowers_output: self.chance(2),
            logprobs: self.chance(25),
            reasoning: self.chance(25),
            stream: self.chance(120),
            declared_task: self.maybe(60, |it| {
                it.maybe(220, |it| it.pick(&TaskKind::ALL)).map_or(DeclaredTask::Other, DeclaredTask::Kind)
            }),
            task: self.maybe(100, |it| Box::new(it.reading())),
        }
    }

    fn context(&mut self) -> Context {
        Context {
            surface: "/v1/chat/completions".to_owned(),
            key: "key_1".to_owned(),
            tags: if self.chance(60) { vec!["vip".to_owned()] } else { Vec::new() },
            variables: self
                .maybe(120, |it| {
                    let values = [
                        Variable::Text("gold".to_owned()),
                        Variable::Int(i64::MIN),
                        Variable::Float(f64::MAX),
                        Variable::Bool(true),
                    ];
                    [("tier".to_owned(), it.pick(&values))].into()
                })
                .unwrap_or_default(),
            turn: u32::try_from(self.number()).unwrap_or(u32::MAX),
            unix_seconds: self.number(),
        }
    }

    fn wishes(&mut self, orders: &[Order]) -> Wishes {
        Wishes {
            order: if self.chance(60) { vec![self.pick(orders)] } else { Vec::new() },
            constraints: if self.chance(40) { self.constraints() } else { Constraints::default() },
            attributes: if self.chance(110) { self.shares(&ATTRIBUTES) } else { BTreeMap::new() },
            model_attributes: if self.chance(60) {
                let names = self.models();
                names.into_iter().map(|model| (model.to_string(), self.shares(&ATTRIBUTES))).collect()
            } else {
                BTreeMap::new()
            },
        }
    }

    fn providers(&mut self) -> ProviderPreferences {
        let mut some = |of_256| {
            self.maybe(of_256, |it| {
                it.some_of(&PROVIDERS).into_iter().map(|name| name.parse().expect("a name")).collect()
            })
        };
        ProviderPreferences {
            order: some(60).unwrap_or_default(),
            only: some(15),
            ignore: some(25).unwrap_or_default(),
            allow_fallbacks: self.maybe(40, |it| it.chance(80)),
            require_parameters: None,
        }
    }
}

/// Which decisions are made.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The orders that policies and clients name.
    pub(crate) orders: &'static [Order],
    /// Whether a target may stand in the pool more than once.
    pub(crate) twice: bool,
    /// Whether the first order ranks for certain: the policy has one, and the task wants something.
    pub(crate) ranks: bool,
}

impl Kind {
    pub(crate) const ANY: Self = Self { orders: &Order::ALL, twice: true, ranks: false };
    pub(crate) const DISTINCT: Self = Self { orders: &Order::ALL, twice: false, ranks: false };
}

/// Everything that a plan is made from.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) document: PolicyDocument,
    pub(crate) knowledge: Knowledge,
    pub(crate) inputs: Inputs,
}

impl World {
    pub(crate) fn of(tape: &mut Tape, kind: Kind) -> Self {
        let mut targets: Vec<Target> = Vec::new();
        let count = 1 + tape.below(7);
        for _ in 0..count {
            let text = format!("{}/{}", tape.pick(&PROVIDERS), tape.pick(&MODELS));
            let target = text.parse().expect("a target");
            if kind.twice || !targets.contains(&target) {
                targets.push(target);
            }
        }
        let mut document = tape.document(kind.orders);
        let mut knowledge = Knowledge::default();
        let mut health = BTreeMap::new();
        for target in &targets {
            let facts = Arc::new(tape.facts());
            knowledge.models.entry(target.clone()).or_insert(facts);
            let now = tape.health();
            health.entry(target.clone()).or_insert(now);
        }
        for kind in TaskKind::ALL.into_iter().take(8) {
            let needed = tape.some_of(&STRENGTHS).into_iter().map(str::to_owned).collect();
            knowledge.task_strengths.insert(kind, needed);
        }
        let mut inputs = Inputs {
            features: tape.features(),
            key_models: tape.maybe(30, |it| it.some_of(&PATTERNS).into_iter().map(str::to_owned).collect()),
            providers: tape.providers(),
            wishes: tape.wishes(kind.orders),
            context: (!document.rules.is_empty()).then(|| Box::new(tape.context())),
            current: tape.maybe(80, |it| Current { target: it.pick(&targets), cached_tokens: it.number() }),
            judged: tape.maybe(120, |it| match it.below(3) {
                0 => Judged::Chose(u32::try_from(it.below(8)).expect("small")),
                1 => Judged::Failed(JudgeFailure::Timeout),
                _ => Judged::Failed(JudgeFailure::NoCandidate),
            }),
            passes: tape.maybe(8, |_| "/v1/files".to_owned()),
            random: tape.number().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            candidates: targets
                .iter()
                .map(|target| {
                    let health = health.get(target).copied().unwrap_or_default();
                    tape.candidate(target, &knowledge, health)
                })
                .collect(),
            ..Inputs::default()
        };
        if kind.ranks {
            let order = tape.pick(kind.orders);
            document.order.insert(0, order);
            inputs.wishes.attributes.insert("speed".to_owned(), 1 + tape.share() / 2);
        }
        Self { document, knowledge, inputs }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::new(self.inputs.policy.clone(), self.document.clone()).expect("rules that can match")
    }
}

/// As JSON, which is short: what is unset is left out.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Result<serde_json::Value, serde_json::Error>| {
            value.map_or_else(|error| error.to_string(), |value| format!("{value:#}"))
        };
        writeln!(f, "policy {}", text(serde_json::to_value(&self.document)))?;
        writeln!(f, "knowledge {}", text(serde_json::to_value(&self.knowledge)))?;
        writeln!(f, "inputs {}", text(serde_json::to_value(&self.inputs)))
    }
}

fn name(text: &str) -> ModelName {
    text.parse().expect("a name")
}
