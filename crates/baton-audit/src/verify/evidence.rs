//! Checks evidence alone: that every entry continues its chain, and that what is signed fits.
//!
//! A plain machine without I/O: a store and an exported file are checked by the same lines. It is
//! fed chain by chain, oldest first, with the blocks of each in order.
//!
//! - Start with [`Evidence::begin`]; then [`Evidence::block`] for each block and [`Evidence::end`];
//!   last [`Evidence::finish`].
//! - **Invariant:** an entry's hash is computed from its bytes, never taken from a column.

use std::collections::{HashMap, HashSet, VecDeque};

use baton_model::{BootId, DecisionId};

use super::{Finding, Flaw, VerifyOptions, VerifyReport};
use crate::block::Block;
use crate::chain::{CheckpointKey, Hash};
use crate::frame::{self, Frame};
use crate::glance::{Sort, glance};
use crate::row::Derived;
use crate::store::Chain;
use crate::{Boot, ChainHead, Checkpoint, Dropped, Record, SigningKey};

/// How far behind a checkpoint its head may be: as many entries as can be written during a sync.
const HASHES_KEPT: usize = 100_000;

/// What is known of all chains read so far.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    options: VerifyOptions<'a>,
    pub(super) report: VerifyReport,
    /// The chains in the order of reading, with their computed ends.
    ends: HashMap<BootId, End>,
    order: HashMap<BootId, usize>,
    /// The keys that may sign, by their names: those given, and those they vouch for.
    keys: HashMap<String, CheckpointKey>,
    /// Hashes that checkpoints from outside ask for, by their places.
    wanted: HashMap<BootId, Vec<(u64, Option<Hash>)>>,
    /// What retention dropped, as far as a known key says so.
    dropped: Vec<Dropped>,
    /// The heads behind which chains begin whose first entries are not there.
    late: Vec<ChainHead>,
}

/// How a chain ended.
#[derive(Debug)]
struct End {
    head: ChainHead,
    previous: Option<ChainHead>,
    /// Entries behind the last one that a checkpoint covers.
    unsigned: u64,
    is_stopped: bool,
    retired: HashSet<String>,
}

/// Where the reading of one chain stands.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) boot: BootId,
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// Whether the first entries are not there.
    late: bool,
    /// The last hashes, for checkpoints.
    hashes: VecDeque<(u64, Hash)>,
    /// The last entry that a checkpoint covers; 0 before the first.
    signed: u64,
    /// The number and time of the first entry that no checkpoint covers.
    unsigned: Option<(u64, u64)>,
    unsigned_told: bool,
    boot_record: Option<Boot>,
    stopped_ms: Option<u64>,
    /// Keys that another one has followed.
    retired: HashSet<String>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(options: VerifyOptions<'a>) -> Self {
        let mut wanted: HashMap<BootId, Vec<(u64, Option<Hash>)>> = HashMap::new();
        for held in options.held {
            wanted.entry(held.head.boot).or_default().push((held.head.seq, None));
        }
        Self {
            options,
            report: VerifyReport { held: options.held.len() as u64, ..VerifyReport::default() },
            ends: HashMap::new(),
            order: HashMap::new(),
            keys: options.keys.iter().map(|key| (key.fingerprint(), key.clone())).collect(),
            wanted,
            dropped: Vec::new(),
            late: Vec::new(),
        }
    }

    pub(super) fn find(&mut self, boot: BootId, seq: u64, flaw: Flaw) {
        self.report.findings.push(Finding { boot, seq, flaw });
    }

    /// Takes up a chain.
    pub(super) fn begin(&mut self, boot: BootId) -> Progress {
        self.report.chains += 1;
        self.order.insert(boot, self.order.len());
        Progress {
            boot,
            seq: 0,
            hash: Hash::GENESIS,
            late: false,
            hashes: VecDeque::new(),
            signed: 0,
            unsigned: None,
            unsigned_told: false,
            boot_record: None,
            stopped_ms: None,
            retired: HashSet::new(),
        }
    }

    /// Reads a block. What follows from it goes into `derived`, where that is wanted. `false` when
    /// some of it cannot be read: nothing can be said of its rows then.
    pub(super) fn block(
        &mut self,
        progress: &mut Progress,
        block: &Block,
        derived: Option<&mut Derived>,
    ) -> bool {
        self.report.blocks += 1;
        let boot = progress.boot;
        if block.first_seq > progress.seq + 1 {
            let before = block.first_seq - 1;
            if progress.seq == 0 && !progress.late {
                progress.late = true;
                self.late.push(ChainHead { boot, seq: before, hash: block.previous.to_string() });
            } else {
                self.find(boot, progress.seq + 1, Flaw::Missing(before));
            }
            (progress.seq, progress.hash) = (before, block.previous);
        }
        let first = block.first_seq;
        if block.previous != progress.hash {
            self.find(boot, first, Flaw::Unlinked);
        }
        let frames = match block.unpack() {
            Ok(frames) => frames,
            Err(error) => {
                self.find(boot, first, Flaw::Damaged(error.to_string()));
                (progress.seq, progress.hash) = (block.last_seq, block.last);
                return false;
            }
        };
        if !self.frames(progress, &frames, derived) {
            (progress.seq, progress.hash) = (block.last_seq, block.last);
            return false;
        }
        let begins_ms = frame::read_all(&frames).next().and_then(Result::ok).map(|first| first.payload);
        let as_named = (progress.seq, progress.hash) == (block.last_seq, block.last)
            && begins_ms.map(crate::block::time_of) == Some(block.at_ms);
        if !as_named {
            let flaw = Flaw::Damaged("its columns are not what it holds".to_owned());
            self.find(boot, first, flaw);
            (progress.seq, progress.hash) = (block.last_seq, block.last);
        }
        true
    }

    /// Checks each entry, and derives what follows from it. `false` when some cannot be read.
    fn frames(&mut self, progress: &mut Progress, frames: &[u8], mut derived: Option<&mut Derived>) -> bool {
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
            self.entry(progress, &frame, frame.seq.max(expected));
            // An entry that comes a second time has no row of its own.
            if let Some(derived) = derived.as_deref_mut().filter(|_| frame.seq >= expected) {
                derived.add(frame.seq, frame.payload);
            }
        }
        true
    }

    /// Takes up an entry, whose findings are told at this place.
    fn entry(&mut self, progress: &mut Progress, frame: &Frame<'_>, place: u64) {
        self.report.entries += 1;
        (progress.seq, progress.hash) = (frame.seq, frame.hash);
        if progress.hashes.len() == HASHES_KEPT {
            progress.hashes.pop_front();
        }
        progress.hashes.push_back((frame.seq, frame.hash));
        if !self.wanted.is_empty()
            && let Some(wanted) = self.wanted.get_mut(&progress.boot)
        {
            let hits = wanted.iter_mut().filter(|(seq, _)| *seq == frame.seq);
            hits.for_each(|(_, hash)| *hash = Some(frame.hash));
        }
        match glance(frame.payload) {
            Sort::OfRequest { at_ms } => {
                self.time(progress, place, at_ms);
                self.of_request(progress, place);
            }
            Sort::Other => {
                if let Ok(record) = Record::read(frame.payload) {
                    self.record(progress, place, record);
                }
            }
        }
    }

    fn record(&mut self, progress: &mut Progress, seq: u64, record: Record) {
        self.time(progress, seq, record.at_ms());
        let is_checkpoint = matches!(record, Record::Checkpoint(_));
        if progress.stopped_ms.is_some() && !is_checkpoint {
            self.find(progress.boot, seq, Flaw::AfterEnd);
        }
        match record {
            Record::Checkpoint(checkpoint) => self.checkpoint(progress, seq, &checkpoint),
            Record::SigningKey(key) => self.key(progress, seq, &key),
            Record::Dropped(dropped) => self.dropped(progress, seq, dropped),
            Record::Boot(boot) => {
                let before = boot.previous.as_ref().and_then(|head| self.ends.get(&head.boot));
                progress.retired = before.map(|end| end.retired.clone()).unwrap_or_default();
                progress.boot_record = Some(boot);
            }
            Record::CleanStop { at_ms } => progress.stopped_ms = Some(at_ms),
            Record::Decision(_) | Record::Outcome(_) => self.of_request(progress, seq),
            Record::Document(_)
            | Record::Change(_)
            | Record::Feedback(_)
            | Record::Content(_)
            | Record::Erased(_)
            | Record::Correction(_) => {}
        }
    }

    /// The journal signs its beginning before it takes a request.
    fn of_request(&mut self, progress: &mut Progress, seq: u64) {
        if progress.stopped_ms.is_some() {
            self.find(progress.boot, seq, Flaw::AfterEnd);
        }
        if progress.signed == 0 && !progress.late && !progress.unsigned_told {
            progress.unsigned_told = true;
            self.find(progress.boot, seq, Flaw::Unsigned);
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
        match self.keys.get(&checkpoint.signer) {
            Some(key) if key.has_signed(checkpoint) => {}
            _ => return self.find(progress.boot, seq, Flaw::BadSignature),
        }
        if progress.retired.contains(&checkpoint.signer) {
            return self.find(progress.boot, seq, Flaw::RetiredKey);
        }
        let head = &checkpoint.head;
        let known = progress.hashes.iter().rev().find(|(at, _)| *at == head.seq);
        let fits = known.is_some_and(|(_, hash)| hash.to_string() == head.hash);
        if head.boot != progress.boot || !fits {
            return self.find(progress.boot, seq, Flaw::BadCheckpoint);
        }
        progress.signed = progress.signed.max(head.seq);
        // The entries between the head and this one wait for the next checkpoint.
        progress.unsigned = (head.seq + 1 < seq).then_some((head.seq + 1, checkpoint.at_ms));
        progress.unsigned_told = false;
    }

    fn key(&mut self, progress: &mut Progress, seq: u64, key: &SigningKey) {
        match self.keys.get(&key.previous).and_then(|previous| previous.successor(key)) {
            Some(next) => {
                self.report.signing_keys += 1;
                progress.retired.insert(key.previous.clone());
                // A key that comes back is not retired any more.
                progress.retired.remove(&next.fingerprint());
                self.keys.insert(next.fingerprint(), next);
            }
            None => self.find(progress.boot, seq, Flaw::BadSignature),
        }
    }

    fn dropped(&mut self, progress: &mut Progress, seq: u64, dropped: Dropped) {
        if self.keys.get(&dropped.signer).is_some_and(|key| key.has_signed_drop(&dropped)) {
            self.dropped.push(dropped);
        } else {
            self.find(progress.boot, seq, Flaw::BadSignature);
        }
    }

    /// Compares a chain's end with what the table of chains says of it.
    pub(super) fn end(&mut self, chain: &Chain, mut progress: Progress) {
        let boot = chain.boot;
        if progress.seq == 0 && chain.head.seq > 0 {
            // Nothing of it is left: retention may have dropped all of it, and says so.
            progress.late = true;
            self.late.push(chain.head.clone());
            let end = End {
                head: chain.head.clone(),
                previous: None,
                unsigned: 0,
                is_stopped: true,
                retired: HashSet::new(),
            };
            self.ends.insert(boot, end);
            return;
        }
        let head = ChainHead { boot, seq: progress.seq, hash: progress.hash.to_string() };
        let previous = progress.boot_record.as_ref().and_then(|record| record.previous.clone());
        if head.seq < chain.head.seq {
            self.find(boot, head.seq + 1, Flaw::Missing(chain.head.seq));
        } else if head != chain.head {
            self.find(boot, head.seq, Flaw::ChainDiffers);
        }
        // Of a chain whose beginning is dropped, the table says more than is left to compare with.
        let begun = match &progress.boot_record {
            Some(record) => {
                record.at_ms == chain.at_ms
                    && record.version == chain.version
                    && record.boot == boot
                    && previous == chain.previous
            }
            None => progress.late,
        };
        if !begun {
            self.find(boot, 1, Flaw::ChainDiffers);
        }
        if progress.stopped_ms != chain.stopped_ms {
            self.find(boot, progress.seq, Flaw::ChainDiffers);
        }
        let end = End {
            unsigned: progress.seq.saturating_sub(progress.signed),
            head,
            previous,
            is_stopped: progress.stopped_ms.is_some(),
            retired: progress.retired,
        };
        self.ends.insert(boot, end);
    }

    /// The computed head of a chain that was read.
    pub(super) fn head(&self, boot: BootId) -> Option<&ChainHead> {
        self.ends.get(&boot).map(|end| &end.head)
    }

    /// Compares what can only be known when all was read, and puts the findings in order.
    pub(super) fn finish(mut self) -> VerifyReport {
        self.check_late();
        self.check_previous();
        self.check_held();
        let before_ms = self.dropped.iter().map(|dropped| dropped.before_ms).max().unwrap_or(0);
        let is_dropped = |flaw: &Flaw| match flaw {
            Flaw::RowMissing(id) => DecisionId::unix_ms(*id) < before_ms,
            _ => false,
        };
        let mut report = self.report;
        report.findings.retain(|finding| !is_dropped(&finding.flaw));
        // A newest chain cannot be told from one whose end was cut, but how much of it is signed can.
        let named: HashSet<BootId> =
            self.ends.values().filter_map(|end| end.previous.as_ref()).map(|head| head.boot).collect();
        for (boot, end) in &self.ends {
            if !named.contains(boot) {
                report.unsigned_tail += end.unsigned;
            } else if !end.is_stopped {
                report.crashed += 1;
            }
        }
        let order = &self.order;
        report.findings.sort_by_key(|it| (order.get(&it.boot).copied().unwrap_or(usize::MAX), it.seq));
        report
    }

    /// A chain begins with its first entry, or where retention says that it does.
    fn check_late(&mut self) {
        for head in std::mem::take(&mut self.late) {
            if self.is_dropped(&head) {
                self.report.shortened += 1;
            } else {
                self.find(head.boot, 1, Flaw::Missing(head.seq));
            }
        }
    }

    fn is_dropped(&self, head: &ChainHead) -> bool {
        self.dropped.iter().any(|dropped| dropped.heads.contains(head))
    }

    /// Each chain must end where the chain after it says.
    fn check_previous(&mut self) {
        let named: Vec<ChainHead> = self.ends.values().filter_map(|end| end.previous.clone()).collect();
        for previous in named {
            match self.head(previous.boot).cloned() {
                Some(head) if head == previous => {}
                Some(head) if head.seq < previous.seq => self.cut(&head, previous.seq),
                None if self.is_dropped(&previous) => {}
                Some(_) | None => {
                    self.find(previous.boot, previous.seq, Flaw::HeadDiffers(previous));
                }
            }
        }
    }

    /// A chain that is known to have been longer than it is.
    fn cut(&mut self, head: &ChainHead, known: u64) {
        let missing = Finding { boot: head.boot, seq: head.seq + 1, flaw: Flaw::Missing(known) };
        if !self.report.findings.contains(&missing) {
            self.report.findings.push(missing);
        }
    }

    /// Checkpoints from outside must be by a known key, and speak of hashes that are there.
    fn check_held(&mut self) {
        for held in self.options.held {
            let head = &held.head;
            let known = self.keys.get(&held.signer).is_some_and(|key| key.has_signed(held));
            let places = self.wanted.get(&head.boot).into_iter().flatten();
            let found = places.filter(|(seq, _)| *seq == head.seq).find_map(|(_, hash)| *hash);
            let is_dropped = || self.dropped.iter().flat_map(|it| &it.heads).any(|it| covers(it, head));
            if !known {
                self.find(head.boot, head.seq, Flaw::BadSignature);
            } else if !found.map_or_else(is_dropped, |hash| hash.to_string() == head.hash) {
                match self.head(head.boot).cloned() {
                    Some(end) if end.seq < head.seq => self.cut(&end, head.seq),
                    Some(_) | None => self.find(head.boot, head.seq, Flaw::HeadDiffers(head.clone())),
                }
            }
        }
    }
}

/// Whether an entry went with what was dropped up to a head.
fn covers(dropped: &ChainHead, head: &ChainHead) -> bool {
    dropped.boot == head.boot
        && (dropped.seq > head.seq || (dropped.seq == head.seq && dropped.hash == head.hash))
}
