//! Checks the whole log: every hash, every signature, every derived row.
//!
//! Whoever changes the evidence without the signing key is found here. What was cut off at the end
//! of the newest chain, rolled back, or made anew *with* the key is only found against a checkpoint
//! that was kept elsewhere: [`VerifyOptions::held`], and [`VerifyReport::held`] says when none was.
//!
//! - Start with [`verify`].
//! - **Invariant:** nothing derived is trusted: rows and heads are compared with the evidence.

mod evidence;

use std::collections::HashMap;
use std::io;

use baton_model::{BootId, DecisionId};

use crate::block::Block;
use crate::chain::CheckpointKey;
use crate::export::{Line, Lines, ReadExportError};
use crate::row::{CorrectionRow, DecisionRow, Derived, OutcomeRow};
use crate::store::{AuditStore, Chain, StoreError};
use crate::{ChainHead, Checkpoint};

use evidence::{Evidence, Progress};

/// What to check against.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions<'a> {
    /// The public halves of the keys that may have signed.
    pub keys: &'a [CheckpointKey],
    /// Checkpoints that were kept outside the store.
    pub held: &'a [Checkpoint],
    /// How much time a stretch without a checkpoint may span, in milliseconds.
    pub max_unsigned_ms: u64,
}

impl<'a> VerifyOptions<'a> {
    /// With these keys, and three intervals of checkpoints for a stretch without one.
    #[must_use]
    pub const fn new(keys: &'a [CheckpointKey]) -> Self {
        Self { keys, held: &[], max_unsigned_ms: 180_000 }
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Chains that were read.
    pub chains: u64,
    /// Blocks that were read.
    pub blocks: u64,
    /// Entries that were read.
    pub entries: u64,
    /// Decisions whose rows were compared.
    pub decisions: u64,
    /// Checkpoints whose signatures were checked.
    pub checkpoints: u64,
    /// Keys that another one vouches for.
    pub signing_keys: u64,
    /// Chains that did not end in order: their process died.
    pub crashed: u64,
    /// Chains that begin where retention says, in a signed record, that it cut.
    pub shortened: u64,
    /// Entries at the ends of the newest chains that no checkpoint covers yet. What was done to
    /// them shows with the next checkpoint, or the next start.
    pub unsigned_tail: u64,
    /// Checkpoints from outside that were compared. With none, a cut tail of the newest chain, a
    /// rollback of everything, or a log made anew with the key would not be seen.
    pub held: u64,
    /// What is wrong, in the order of the chains.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first bad place.
    #[must_use]
    pub fn first_bad(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The chain.
    pub boot: BootId,
    /// The number of the entry.
    pub seq: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Entries are not there.
    #[error("entries up to {0} are missing")]
    Missing(u64),
    /// A block cannot be read, or is not what its columns say.
    #[error("the block is damaged: {0}")]
    Damaged(String),
    /// An entry does not continue the one before it.
    #[error("the entry does not continue its chain")]
    Unlinked,
    /// A signed record's signature is not by a known key.
    #[error("the record is not signed by a known key")]
    BadSignature,
    /// A checkpoint is signed by a key that another one has followed.
    #[error("the checkpoint is signed by a key that was replaced before it")]
    RetiredKey,
    /// An entry stands behind the one that ends its chain.
    #[error("the entry stands behind the end of its chain")]
    AfterEnd,
    /// A checkpoint speaks of another head than the chain had.
    #[error("the checkpoint speaks of another chain than this")]
    BadCheckpoint,
    /// Too long a stretch has no checkpoint.
    #[error("no checkpoint covers this stretch")]
    Unsigned,
    /// A derived row is missing.
    #[error("the row of decision {0} is missing")]
    RowMissing(DecisionId),
    /// A derived row is not what the evidence says.
    #[error("the row of decision {0} is not what the record says")]
    RowDiffers(DecisionId),
    /// A row, or an outcome in it, that no evidence speaks of.
    #[error("no record speaks of the row of decision {0}")]
    RowInvented(DecisionId),
    /// A document in the store is not the one that was recorded.
    #[error("the document `{0}` is not what was recorded")]
    DocumentDiffers(String),
    /// The table of chains is not what the evidence says.
    #[error("the table of chains is not what the records say")]
    ChainDiffers,
    /// A later chain, or a checkpoint from outside, knows of a head that is not there.
    #[error("a later record knows this chain up to entry {}, with another end than this", .0.seq)]
    HeadDiffers(ChainHead),
}

/// Reads everything and compares.
///
/// # Errors
/// When the store does not answer. What is wrong with its content is in the report.
pub async fn verify(store: &dyn AuditStore, options: VerifyOptions<'_>) -> Result<VerifyReport, StoreError> {
    let chains = store.chains().await?;
    let mut verifier = Verifier {
        store,
        evidence: Evidence::new(options),
        claimed: HashMap::new(),
        recorded: HashMap::new(),
        repriced: HashMap::new(),
        corrections: HashMap::new(),
    };
    for chain in &chains {
        verifier.chain(chain).await?;
    }
    verifier.compare_outcomes().await?;
    verifier.compare_costs().await?;
    for row in store.strays(STRAYS).await? {
        verifier.evidence.find(row.boot, row.seq, Flaw::RowInvented(row.id));
    }
    Ok(verifier.evidence.finish())
}

/// Checks an exported file, without any store: the chains, their blocks and the documents in it.
///
/// # Errors
/// When the file cannot be read, or is no export. What is wrong with its content is in the report.
pub fn verify_export(
    export: impl io::BufRead,
    options: VerifyOptions<'_>,
) -> Result<VerifyReport, ReadExportError> {
    let mut evidence = Evidence::new(options);
    let mut open: Option<(Chain, Progress)> = None;
    let mut documents = HashMap::new();
    for line in Lines::of(export)? {
        match line? {
            Line::Chain(chain) => {
                if let Some((chain, progress)) = open.take() {
                    evidence.end(&chain, progress);
                }
                let progress = evidence.begin(chain.boot);
                open = Some((chain, progress));
            }
            Line::Block(block) => {
                let known = open.as_mut().filter(|(chain, _)| chain.boot == block.boot);
                let Some((_, progress)) = known else {
                    evidence.find(block.boot, block.first_seq, Flaw::Unlinked);
                    continue;
                };
                let mut derived = Derived::new(block.boot);
                if evidence.block(progress, &block, Some(&mut derived)) {
                    documents.extend(derived.documents.into_iter().map(|document| {
                        let place = (block.boot, block.first_seq);
                        (document.hash.clone(), (document, place))
                    }));
                }
            }
            Line::Document(stored) => {
                if let Some((recorded, (boot, seq))) = documents.get(&stored.hash)
                    && (&recorded.kind, &recorded.body) != (&stored.kind, &stored.body)
                {
                    evidence.find(*boot, *seq, Flaw::DocumentDiffers(stored.hash));
                }
            }
        }
    }
    if let Some((chain, progress)) = open.take() {
        evidence.end(&chain, progress);
    }
    Ok(evidence.finish())
}

const BLOCKS_AT_ONCE: u32 = 16;
const STRAYS: u32 = 100;
const CORRECTIONS_AT_ONCE: usize = 500;

/// Feeds the evidence of a store to the machine, and compares its rows with what follows from it.
struct Verifier<'a> {
    store: &'a dyn AuditStore,
    evidence: Evidence<'a>,
    /// Outcomes in rows whose records were not read yet, by their place.
    claimed: HashMap<(BootId, u64), (DecisionId, OutcomeRow)>,
    /// Outcomes in records whose rows were not read yet, by their place.
    recorded: HashMap<(BootId, u64), OutcomeRow>,
    /// Rows whose cost is another one than their outcome says, with the place of the outcome.
    repriced: HashMap<DecisionId, Repriced>,
    /// Corrections in records, of each decision the latest last.
    corrections: HashMap<DecisionId, Vec<CorrectionRow>>,
}

/// A row whose cost is not its outcome's: a correction must say it.
struct Repriced {
    place: (BootId, u64),
    cost: Option<u64>,
}

impl Verifier<'_> {
    async fn chain(&mut self, chain: &Chain) -> Result<(), StoreError> {
        let mut progress = self.evidence.begin(chain.boot);
        let mut after = 0;
        let mut beyond = 0;
        loop {
            let blocks = self.store.blocks(chain.boot, after, BLOCKS_AT_ONCE).await?;
            let Some(last) = blocks.last() else { break };
            after = last.first_seq;
            for block in &blocks {
                if block.first_seq <= chain.head.seq {
                    self.block(&mut progress, block).await?;
                } else {
                    beyond = beyond.max(block.last_seq);
                }
            }
        }
        // What was committed since the table of chains was read is left for the next time; but then
        // the table says so by now.
        if beyond > 0 && self.store.cursor(chain.boot).await?.is_none_or(|head| head.seq < beyond) {
            self.evidence.find(chain.boot, chain.head.seq, Flaw::ChainDiffers);
        }
        self.evidence.end(chain, progress);
        Ok(())
    }

    async fn block(&mut self, progress: &mut Progress, block: &Block) -> Result<(), StoreError> {
        let mut derived = Derived::new(block.boot);
        // What an earlier block has already said is not asked for again.
        let from = block.first_seq.max(progress.seq + 1);
        if self.evidence.block(progress, block, Some(&mut derived)) {
            derived.join();
            self.rows(progress, from, block, derived).await?;
        }
        Ok(())
    }

    async fn rows(
        &mut self,
        progress: &Progress,
        from: u64,
        block: &Block,
        derived: Derived,
    ) -> Result<(), StoreError> {
        let boot = progress.boot;
        let stored = self.store.rows(boot, from, block.last_seq.max(progress.seq)).await?;
        let mut stored: HashMap<u64, DecisionRow> = stored.into_iter().map(|row| (row.seq, row)).collect();
        for row in derived.decisions {
            self.evidence.report.decisions += 1;
            match stored.remove(&row.seq) {
                Some(stored) => self.row(row, stored),
                None => self.evidence.find(boot, row.seq, Flaw::RowMissing(row.id)),
            }
        }
        let mut invented: Vec<DecisionRow> = stored.into_values().collect();
        invented.sort_unstable_by_key(|row| row.seq);
        for row in invented {
            self.evidence.find(boot, row.seq, Flaw::RowInvented(row.id));
        }
        for document in derived.documents {
            let stored = self.store.document(&document.hash).await?;
            if stored.is_none_or(|stored| (stored.kind, stored.body) != (document.kind, document.body)) {
                self.evidence.find(boot, block.first_seq, Flaw::DocumentDiffers(document.hash));
            }
        }
        for row in derived.corrections {
            self.corrections.entry(row.decision).or_default().push(row);
        }
        for outcome in derived.outcomes {
            // Decisions come first, so that little is kept of a long log.
            let place = (outcome.boot, outcome.seq);
            match self.claimed.remove(&place) {
                Some((id, claimed)) if id == outcome.decision && self.is_same(&outcome, &claimed) => {}
                Some((id, _)) => self.evidence.find(place.0, place.1, Flaw::RowDiffers(id)),
                None => drop(self.recorded.insert(place, outcome)),
            }
        }
        Ok(())
    }

    /// Compares a row with what follows from its decision, and from the outcome where that is in the
    /// same block. Each is told at its own record.
    fn row(&mut self, mut derived: DecisionRow, mut stored: DecisionRow) {
        let (boot, seq, id) = (derived.boot, derived.seq, derived.id);
        match (derived.outcome.take(), stored.outcome.take()) {
            (Some(derived), stored)
                if stored.as_ref().is_none_or(|stored| !self.is_same(&derived, stored)) =>
            {
                self.evidence.find(boot, derived.seq, Flaw::RowDiffers(id));
            }
            (None, Some(outcome)) => {
                self.claimed.insert((outcome.boot, outcome.seq), (id, outcome));
            }
            (Some(_), _) | (None, None) => {}
        }
        if derived != stored {
            self.evidence.find(boot, seq, Flaw::RowDiffers(id));
        }
    }

    /// Whether an outcome's columns are what its record says. A cost may be corrected: that shows when all was read.
    fn is_same(&mut self, derived: &OutcomeRow, stored: &OutcomeRow) -> bool {
        if derived == stored {
            return true;
        }
        let is_same = *derived == OutcomeRow { cost_nano: derived.cost_nano, ..stored.clone() };
        if is_same {
            let repriced = Repriced { place: (derived.boot, derived.seq), cost: stored.cost_nano };
            self.repriced.insert(derived.decision, repriced);
        }
        is_same
    }

    /// A row's cost is its outcome's, or the latest correction's; and the table of corrections says what the records
    /// say.
    async fn compare_costs(&mut self) -> Result<(), StoreError> {
        let mut corrections: Vec<_> = std::mem::take(&mut self.corrections).into_iter().collect();
        corrections.sort_unstable_by_key(|(id, _)| *id);
        for (_, rows) in &mut corrections {
            rows.sort_by_key(CorrectionRow::place);
            rows.dedup_by_key(|row| row.place());
        }
        for some in corrections.chunks(CORRECTIONS_AT_ONCE) {
            let ids: Vec<DecisionId> = some.iter().map(|(id, _)| *id).collect();
            let mut stored: HashMap<DecisionId, Vec<CorrectionRow>> = HashMap::new();
            for row in self.store.corrections(&ids).await? {
                stored.entry(row.decision).or_default().push(row);
            }
            for (id, rows) in some {
                let mut stored = stored.remove(id).unwrap_or_default();
                if !self.without_newer(&mut stored).await? {
                    // Its cost is for the next time.
                    self.repriced.remove(id);
                } else if let Some(last) = rows.last() {
                    self.compare_cost(*id, last).await?;
                }
                if stored != *rows
                    && let Some(last) = rows.last()
                    && self.store.decision(*id).await?.is_some()
                {
                    self.evidence.find(last.boot, last.seq, Flaw::RowDiffers(*id));
                }
            }
        }
        let mut left: Vec<_> = std::mem::take(&mut self.repriced).into_iter().collect();
        left.sort_unstable_by_key(|(_, repriced)| repriced.place);
        for (id, Repriced { place, .. }) in left {
            let mut stored = self.store.corrections(&[id]).await?;
            if self.without_newer(&mut stored).await? {
                self.evidence.find(place.0, place.1, Flaw::RowDiffers(id));
            }
        }
        Ok(())
    }

    /// Takes out corrections that were committed after their chains were read. `false` when there were any.
    async fn without_newer(&self, rows: &mut Vec<CorrectionRow>) -> Result<bool, StoreError> {
        let mut known = Vec::with_capacity(rows.len());
        let all = rows.len();
        for row in rows.drain(..) {
            if !self.is_newer((row.boot, row.seq)).await? {
                known.push(row);
            }
        }
        *rows = known;
        Ok(rows.len() == all)
    }

    async fn compare_cost(&mut self, id: DecisionId, last: &CorrectionRow) -> Result<(), StoreError> {
        let cost = Some(last.cost_nano);
        let repriced = self.repriced.remove(&id);
        if repriced.as_ref().is_some_and(|repriced| repriced.cost == cost) {
            return Ok(());
        }
        // It may have been corrected after it was read; or the correction says what the outcome says.
        let row = self.store.decision(id).await?.and_then(|stored| stored.row.outcome);
        if row.is_some_and(|outcome| outcome.cost_nano != cost) {
            let place = repriced.map_or((last.boot, last.seq), |repriced| repriced.place);
            self.evidence.find(place.0, place.1, Flaw::RowDiffers(id));
        }
        Ok(())
    }

    /// Outcomes that stand in other blocks than their decisions.
    async fn compare_outcomes(&mut self) -> Result<(), StoreError> {
        let mut recorded = std::mem::take(&mut self.recorded);
        let mut claimed: Vec<_> = std::mem::take(&mut self.claimed).into_iter().collect();
        claimed.sort_unstable_by_key(|(place, _)| *place);
        for (place, (id, outcome)) in claimed {
            match recorded.remove(&place) {
                Some(derived) if derived.decision == id && self.is_same(&derived, &outcome) => {}
                Some(_) => self.evidence.find(place.0, place.1, Flaw::RowDiffers(id)),
                None if self.is_newer(place).await? => {}
                None => self.evidence.find(place.0, place.1, Flaw::RowInvented(id)),
            }
        }
        let mut left: Vec<_> = recorded.into_iter().collect();
        left.sort_unstable_by_key(|(place, _)| *place);
        for (place, outcome) in left {
            // Nobody claims it: an orphan, or a second outcome. Else its row has lost it.
            let row = self.store.decision(outcome.decision).await?.map(|stored| stored.row);
            if row.is_some_and(|row| row.outcome.is_none()) {
                self.evidence.find(place.0, place.1, Flaw::RowDiffers(outcome.decision));
            }
        }
        Ok(())
    }

    /// Whether a place was committed after its chain was read. It is left for the next time.
    async fn is_newer(&self, (boot, seq): (BootId, u64)) -> Result<bool, StoreError> {
        if self.evidence.head(boot).is_some_and(|head| seq <= head.seq) {
            return Ok(false);
        }
        Ok(self.store.cursor(boot).await?.is_some_and(|head| seq <= head.seq))
    }
}

#[cfg(test)]
mod speed;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;
