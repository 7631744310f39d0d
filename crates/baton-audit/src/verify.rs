//! Checks the whole log: every hash, every signature, every derived row.
//!
//! Whoever changes the evidence without the signing key is found here. What was cut off at the end
//! of the newest chain, rolled back, or made anew *with* the key is only found against a checkpoint
//! that was kept elsewhere: [`VerifyOptions::held`], and [`VerifyReport::held`] says when none was.
//!
//! - Start with [`verify`].
//! - **Invariant:** nothing derived is trusted: rows and heads are compared with the evidence.

use std::collections::{HashMap, VecDeque};

use baton_model::{BootId, DecisionId};

use crate::block::Block;
use crate::chain::{CheckpointKey, Hash};
use crate::frame::{self, Frame};
use crate::row::{DecisionRow, Derived, OutcomeRow};
use crate::store::{AuditStore, Chain, StoreError};
use crate::{Boot, ChainHead, Checkpoint, Record};

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
    /// A checkpoint's signature is not by a known key.
    #[error("the checkpoint is not signed by a known key")]
    BadSignature,
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
        options,
        report: VerifyReport { held: options.held.len() as u64, ..VerifyReport::default() },
        heads: HashMap::new(),
        wanted: HashMap::new(),
        claimed: HashMap::new(),
        recorded: HashMap::new(),
    };
    for held in options.held {
        verifier.wanted.insert((held.head.boot, held.head.seq), None);
    }
    for chain in &chains {
        verifier.chain(chain).await?;
    }
    verifier.compare_heads();
    verifier.compare_outcomes().await?;
    for row in store.strays(STRAYS).await? {
        verifier.find(row.boot, row.seq, Flaw::RowInvented(row.id));
    }
    verifier.report.chains = chains.len() as u64;
    Ok(verifier.report)
}

const BLOCKS_AT_ONCE: u32 = 16;
const STRAYS: u32 = 100;
/// How far behind a checkpoint its head may be: as many entries as can be written during a sync.
const HASHES_KEPT: usize = 100_000;

struct Verifier<'a> {
    store: &'a dyn AuditStore,
    options: VerifyOptions<'a>,
    report: VerifyReport,
    /// The ends of the chains as computed, and what their boot records say of the one before.
    heads: HashMap<BootId, (ChainHead, Option<ChainHead>)>,
    /// Places whose hashes are asked for by checkpoints from outside.
    wanted: HashMap<(BootId, u64), Option<Hash>>,
    /// Outcomes in rows whose records were not read yet, by their place.
    claimed: HashMap<(BootId, u64), (DecisionId, OutcomeRow)>,
    /// Outcomes in records whose rows were not read yet, by their place.
    recorded: HashMap<(BootId, u64), OutcomeRow>,
}

/// Where the reading of one chain stands.
struct Progress {
    boot: BootId,
    seq: u64,
    hash: Hash,
    /// The last hashes, for checkpoints.
    hashes: VecDeque<(u64, Hash)>,
    /// The number and time of the first entry that no checkpoint covers.
    unsigned: Option<(u64, u64)>,
    unsigned_told: bool,
    boot_record: Option<Boot>,
    stopped_ms: Option<u64>,
}

impl Verifier<'_> {
    fn find(&mut self, boot: BootId, seq: u64, flaw: Flaw) {
        self.report.findings.push(Finding { boot, seq, flaw });
    }

    async fn chain(&mut self, chain: &Chain) -> Result<(), StoreError> {
        let mut progress = Progress {
            boot: chain.boot,
            seq: 0,
            hash: Hash::GENESIS,
            hashes: VecDeque::new(),
            unsigned: None,
            unsigned_told: false,
            boot_record: None,
            stopped_ms: None,
        };
        let mut after = 0;
        loop {
            let blocks = self.store.blocks(chain.boot, after, BLOCKS_AT_ONCE).await?;
            let Some(last) = blocks.last() else { break };
            after = last.first_seq;
            // What was committed since the table of chains was read is left for the next time.
            for block in blocks.iter().filter(|block| block.first_seq <= chain.head.seq) {
                self.block(&mut progress, block).await?;
            }
        }
        self.end(chain, progress);
        Ok(())
    }

    async fn block(&mut self, progress: &mut Progress, block: &Block) -> Result<(), StoreError> {
        self.report.blocks += 1;
        if block.first_seq > progress.seq + 1 {
            self.find(progress.boot, progress.seq + 1, Flaw::Missing(block.first_seq - 1));
            progress.seq = block.first_seq - 1;
            progress.hash = block.previous;
        }
        if block.previous != progress.hash {
            self.find(progress.boot, block.first_seq, Flaw::Unlinked);
        }
        match block.unpack() {
            Ok(frames) => {
                let mut derived = Derived::new(block.boot);
                if self.frames(progress, &frames, &mut derived) {
                    derived.join();
                    self.rows(progress, block, derived).await?;
                }
            }
            Err(error) => self.find(progress.boot, block.first_seq, Flaw::Damaged(error.to_string())),
        }
        if (progress.seq, progress.hash) != (block.last_seq, block.last) {
            let flaw = Flaw::Damaged("its columns name another end".to_owned());
            self.find(progress.boot, progress.seq.min(block.last_seq), flaw);
            progress.seq = block.last_seq;
            progress.hash = block.last;
        }
        Ok(())
    }

    /// Checks each entry, and derives what follows from it. `false` when some cannot be read.
    fn frames(&mut self, progress: &mut Progress, frames: &[u8], derived: &mut Derived) -> bool {
        for frame in frame::read_all(frames) {
            let expected = progress.seq + 1;
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    self.find(progress.boot, expected, Flaw::Damaged(error.to_string()));
                    return false;
                }
            };
            if !frame.follows(progress.hash, expected) {
                self.find(progress.boot, expected, Flaw::Unlinked);
            }
            self.entry(progress, &frame, derived);
        }
        true
    }

    fn entry(&mut self, progress: &mut Progress, frame: &Frame<'_>, derived: &mut Derived) {
        self.report.entries += 1;
        progress.seq = frame.seq;
        progress.hash = frame.hash;
        progress.hashes.push_back((frame.seq, frame.hash));
        if progress.hashes.len() > HASHES_KEPT {
            progress.hashes.pop_front();
        }
        if let Some(wanted) = self.wanted.get_mut(&(progress.boot, frame.seq)) {
            *wanted = Some(frame.hash);
        }
        derived.add(frame.seq, frame.payload);
        let Ok(record) = Record::read(frame.payload) else { return };
        self.time(progress, frame.seq, time_of(&record));
        match &record {
            Record::Checkpoint(checkpoint) => self.checkpoint(progress, frame.seq, checkpoint),
            Record::Boot(boot) => progress.boot_record = Some(boot.clone()),
            Record::CleanStop { at_ms } => progress.stopped_ms = Some(*at_ms),
            Record::Document(_) | Record::Decision(_) | Record::Outcome(_) | Record::Change(_) => {}
        }
    }

    fn time(&mut self, progress: &mut Progress, seq: u64, at_ms: u64) {
        let (since_seq, since_ms) = *progress.unsigned.get_or_insert((seq, at_ms));
        if at_ms > since_ms.saturating_add(self.options.max_unsigned_ms) && !progress.unsigned_told {
            progress.unsigned_told = true;
            self.find(progress.boot, since_seq, Flaw::Unsigned);
        }
    }

    fn checkpoint(&mut self, progress: &mut Progress, seq: u64, checkpoint: &Checkpoint) {
        self.report.checkpoints += 1;
        if !self.options.keys.iter().any(|key| key.has_signed(checkpoint)) {
            self.find(progress.boot, seq, Flaw::BadSignature);
            return;
        }
        let head = &checkpoint.head;
        let known = progress.hashes.iter().rev().find(|(at, _)| *at == head.seq);
        let fits = known.is_some_and(|(_, hash)| hash.to_string() == head.hash);
        if head.boot != progress.boot || !fits {
            self.find(progress.boot, seq, Flaw::BadCheckpoint);
            return;
        }
        // The entries between the head and this one wait for the next checkpoint.
        progress.unsigned = (head.seq + 1 < seq).then_some((head.seq + 1, checkpoint.at_ms));
        progress.unsigned_told = false;
    }

    async fn rows(&mut self, progress: &Progress, block: &Block, derived: Derived) -> Result<(), StoreError> {
        let boot = progress.boot;
        let stored = self.store.rows(boot, block.first_seq, block.last_seq.max(progress.seq)).await?;
        let mut stored: HashMap<u64, DecisionRow> = stored.into_iter().map(|row| (row.seq, row)).collect();
        for row in derived.decisions {
            self.report.decisions += 1;
            match stored.remove(&row.seq) {
                Some(stored) => self.row(&row, stored),
                None => self.find(boot, row.seq, Flaw::RowMissing(row.id)),
            }
        }
        let mut invented: Vec<DecisionRow> = stored.into_values().collect();
        invented.sort_unstable_by_key(|row| row.seq);
        for row in invented {
            self.find(boot, row.seq, Flaw::RowInvented(row.id));
        }
        for document in derived.documents {
            let stored = self.store.document(&document.hash).await?;
            if stored.is_none_or(|stored| (stored.kind, stored.body) != (document.kind, document.body)) {
                self.find(boot, block.first_seq, Flaw::DocumentDiffers(document.hash));
            }
        }
        for outcome in derived.outcomes {
            self.recorded.insert((outcome.boot, outcome.seq), outcome);
        }
        Ok(())
    }

    fn row(&mut self, derived: &DecisionRow, mut stored: DecisionRow) {
        let (boot, seq, id) = (derived.boot, derived.seq, derived.id);
        if derived.outcome.is_none()
            && let Some(outcome) = stored.outcome.take()
        {
            self.claimed.insert((outcome.boot, outcome.seq), (id, outcome));
        }
        if *derived != stored {
            self.find(boot, seq, Flaw::RowDiffers(id));
        }
    }

    fn end(&mut self, chain: &Chain, progress: Progress) {
        let boot = chain.boot;
        let head = ChainHead { boot, seq: progress.seq, hash: progress.hash.to_string() };
        let record = progress.boot_record;
        let previous = record.as_ref().and_then(|record| record.previous.clone());
        if head.seq < chain.head.seq {
            self.find(boot, head.seq + 1, Flaw::Missing(chain.head.seq));
        } else if head != chain.head {
            self.find(boot, head.seq, Flaw::ChainDiffers);
        }
        let as_recorded = record.is_none_or(|record| {
            record.at_ms == chain.at_ms && record.version == chain.version && record.boot == boot
        });
        if !as_recorded || previous != chain.previous || progress.stopped_ms != chain.stopped_ms {
            self.find(boot, 1, Flaw::ChainDiffers);
        }
        self.heads.insert(boot, (head, previous));
    }

    /// Each chain must end where the chain after it, and a checkpoint from outside, says.
    fn compare_heads(&mut self) {
        let mut wrong = Vec::new();
        for (_, previous) in self.heads.values() {
            let Some(previous) = previous else { continue };
            if self.heads.get(&previous.boot).is_none_or(|(head, _)| head != previous) {
                wrong.push(previous.clone());
            }
        }
        for held in self.options.held {
            let found = self.wanted.get(&(held.head.boot, held.head.seq)).copied().flatten();
            if found.is_none_or(|hash| hash.to_string() != held.head.hash) {
                wrong.push(held.head.clone());
            } else if !self.options.keys.iter().any(|key| key.has_signed(held)) {
                self.find(held.head.boot, held.head.seq, Flaw::BadSignature);
            }
        }
        wrong.sort_unstable_by_key(|head| (head.boot, head.seq));
        for head in wrong {
            self.find(head.boot, head.seq, Flaw::HeadDiffers(head));
        }
    }

    /// Outcomes that stand in other blocks than their decisions.
    async fn compare_outcomes(&mut self) -> Result<(), StoreError> {
        let mut recorded = std::mem::take(&mut self.recorded);
        let mut claimed: Vec<_> = std::mem::take(&mut self.claimed).into_iter().collect();
        claimed.sort_unstable_by_key(|(place, _)| *place);
        for (place, (id, outcome)) in claimed {
            match recorded.remove(&place) {
                Some(derived) if derived == outcome && derived.decision == id => {}
                Some(_) => self.find(place.0, place.1, Flaw::RowDiffers(id)),
                None if self.is_newer(place).await? => {}
                None => self.find(place.0, place.1, Flaw::RowInvented(id)),
            }
        }
        let mut left: Vec<_> = recorded.into_iter().collect();
        left.sort_unstable_by_key(|(place, _)| *place);
        for (place, outcome) in left {
            // Nobody claims it: an orphan, or a second outcome. Else its row has lost it.
            let row = self.store.decision(outcome.decision).await?.map(|stored| stored.row);
            if row.is_some_and(|row| row.outcome.is_none()) {
                self.find(place.0, place.1, Flaw::RowDiffers(outcome.decision));
            }
        }
        Ok(())
    }

    /// Whether a place was committed after its chain was read. It is left for the next time.
    async fn is_newer(&self, (boot, seq): (BootId, u64)) -> Result<bool, StoreError> {
        if self.heads.get(&boot).is_some_and(|(head, _)| seq <= head.seq) {
            return Ok(false);
        }
        Ok(self.store.cursor(boot).await?.is_some_and(|head| seq <= head.seq))
    }
}

fn time_of(record: &Record) -> u64 {
    match record {
        Record::Boot(boot) => boot.at_ms,
        Record::CleanStop { at_ms } => *at_ms,
        Record::Document(document) => document.at_ms,
        Record::Decision(decision) => decision.at_ms,
        Record::Outcome(outcome) => outcome.at_ms,
        Record::Change(change) => change.at_ms,
        Record::Checkpoint(checkpoint) => checkpoint.at_ms,
    }
}

#[cfg(test)]
mod tests;
