//! Writes the evidence to a file that can be checked without the store, and reads it back.
//!
//! The file is NDJSON: a line that says what it is, then each chain with its blocks verbatim and
//! the documents that were recorded in them, and a last line that says how much there was, so that
//! a file that was cut short is told from a whole one.
//!
//! - Start with [`Exporter`] for writing and [`crate::verify_export`] for checking.
//! - **Invariant:** no more than a few blocks are in memory, however large the log is.

mod csv;

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, Read as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_model::BootId;
use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::frame;
use crate::store::{AuditStore, Chain, StoreError};
use crate::{ChainHead, Document, Record};

pub use csv::{CSV_HEADER, csv_line};

/// What the first line says.
const FORMAT: &str = "baton evidence 1";
/// No line is longer.
const MAX_LINE: u64 = 128 << 20;
const BLOCKS_AT_ONCE: u32 = 4;

/// Gives out the evidence of a store, line by line.
#[derive(Debug)]
pub struct Exporter {
    store: Arc<dyn AuditStore>,
    begun: bool,
    chains: VecDeque<Chain>,
    /// The chain that is being given out, and the number that its next block begins after.
    open: Option<(Chain, u64)>,
    ready: VecDeque<Vec<u8>>,
    documents: HashSet<String>,
    count: Count,
    ended: bool,
}

/// How much a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    chains: u64,
    blocks: u64,
    documents: u64,
}

impl Exporter {
    /// An exporter of all that this store has.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self {
            store,
            begun: false,
            chains: VecDeque::new(),
            open: None,
            ready: VecDeque::new(),
            documents: HashSet::new(),
            count: Count::default(),
            ended: false,
        }
    }

    /// The next line, with its end; none at the end of the file.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn next_line(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.begun {
            self.begun = true;
            self.chains = self.store.chains().await?.into();
            return Ok(Some(encode(&RawLine::Export { format: FORMAT.to_owned() })));
        }
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            if let Some((chain, after)) = self.open.take() {
                self.blocks(chain, after).await?;
            } else if let Some(chain) = self.chains.pop_front() {
                self.count.chains += 1;
                let line = encode(&RawLine::Chain(RawChain::from(&chain)));
                self.open = Some((chain, 0));
                return Ok(Some(line));
            } else if self.ended {
                return Ok(None);
            } else {
                self.ended = true;
                return Ok(Some(encode(&RawLine::End(self.count))));
            }
        }
    }

    /// Makes lines of the next blocks; what was committed since the start is left out.
    async fn blocks(&mut self, chain: Chain, after: u64) -> Result<(), StoreError> {
        let blocks = self.store.blocks(chain.boot, after, BLOCKS_AT_ONCE).await?;
        let Some(last) = blocks.last().map(|block| block.first_seq) else { return Ok(()) };
        for block in blocks.iter().filter(|block| block.first_seq <= chain.head.seq) {
            self.count.blocks += 1;
            self.ready.push_back(encode(&RawLine::Block(RawBlock::from(block))));
            for hash in documents_in(block) {
                if self.documents.insert(hash.clone())
                    && let Some(document) = self.store.document(&hash).await?
                {
                    self.count.documents += 1;
                    self.ready.push_back(encode(&RawLine::Document(document)));
                }
            }
        }
        if last <= chain.head.seq {
            self.open = Some((chain, last));
        }
        Ok(())
    }
}

/// The hashes of the documents that are recorded in a block.
fn documents_in(block: &Block) -> Vec<String> {
    const BEGINNING: &[u8] = br#"{"record":"document""#;
    let Ok(frames) = block.unpack() else { return Vec::new() };
    let payloads = frame::read_all(&frames).map_while(Result::ok).map(|frame| frame.payload);
    let records =
        payloads.filter(|payload| payload.starts_with(BEGINNING)).map(serde_json::from_slice::<Record>);
    records
        .filter_map(|record| if let Ok(Record::Document(found)) = record { Some(found.hash) } else { None })
        .collect()
}

/// A line of the file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawLine {
    Export { format: String },
    Chain(RawChain),
    Block(RawBlock),
    Document(Document),
    End(Count),
}

#[derive(Serialize, Deserialize)]
struct RawChain {
    boot: BootId,
    at_ms: u64,
    version: String,
    previous: Option<ChainHead>,
    stopped_ms: Option<u64>,
    head: ChainHead,
}

#[derive(Serialize, Deserialize)]
struct RawBlock {
    boot: BootId,
    first_seq: u64,
    last_seq: u64,
    previous: String,
    last: String,
    at_ms: u64,
    raw_bytes: u64,
    body: String,
}

impl From<&Chain> for RawChain {
    fn from(chain: &Chain) -> Self {
        let Chain { boot, at_ms, version, previous, stopped_ms, head } = chain.clone();
        Self { boot, at_ms, version, previous, stopped_ms, head }
    }
}

impl From<RawChain> for Chain {
    fn from(chain: RawChain) -> Self {
        let RawChain { boot, at_ms, version, previous, stopped_ms, head } = chain;
        Self { boot, at_ms, version, previous, stopped_ms, head }
    }
}

impl From<&Block> for RawBlock {
    fn from(block: &Block) -> Self {
        Self {
            boot: block.boot,
            first_seq: block.first_seq,
            last_seq: block.last_seq,
            previous: block.previous.to_string(),
            last: block.last.to_string(),
            at_ms: block.at_ms,
            raw_bytes: block.raw_bytes,
            body: STANDARD.encode(&block.body),
        }
    }
}

impl RawBlock {
    fn block(self) -> Option<Block> {
        Some(Block {
            boot: self.boot,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            previous: self.previous.parse().ok()?,
            last: self.last.parse().ok()?,
            at_ms: self.at_ms,
            raw_bytes: self.raw_bytes,
            body: STANDARD.decode(self.body).ok()?,
        })
    }
}

fn encode(line: &RawLine) -> Vec<u8> {
    // Texts, numbers and lists of them: there is nothing in it that JSON cannot say.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Why a file cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ReadExportError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// It does not begin as an export does.
    #[error("the file is no export of evidence: its first line does not say `{FORMAT}`")]
    Format,
    /// A line that no export holds.
    #[error("line {0} is none of an export")]
    Line(u64),
    /// It was cut, or something was left out.
    #[error("the file is not whole: it ends without saying so, or holds less or more than it says")]
    Cut,
}

/// What a line holds.
#[derive(Debug)]
pub(crate) enum Line {
    Chain(Chain),
    Block(Block),
    Document(Document),
}

/// Reads a file line by line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
    count: Count,
    text: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line.
    pub(crate) fn of(reader: R) -> Result<Self, ReadExportError> {
        let mut lines = Self { reader, number: 0, count: Count::default(), text: Vec::new(), ended: false };
        match lines.raw() {
            Ok(Some(RawLine::Export { format })) if format == FORMAT => Ok(lines),
            Err(ReadExportError::Io(error)) => Err(error.into()),
            _ => Err(ReadExportError::Format),
        }
    }

    fn raw(&mut self) -> Result<Option<RawLine>, ReadExportError> {
        self.text.clear();
        self.number += 1;
        let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.text)?;
        if read == 0 {
            return Ok(None);
        }
        let line = serde_json::from_slice(&self.text).map_err(|_wrong| ReadExportError::Line(self.number))?;
        Ok(Some(line))
    }

    fn line(&mut self) -> Result<Option<Line>, ReadExportError> {
        let wrong = ReadExportError::Line(self.number + 1);
        match self.raw()? {
            Some(RawLine::Chain(chain)) => {
                self.count.chains += 1;
                Ok(Some(Line::Chain(chain.into())))
            }
            Some(RawLine::Block(block)) => {
                self.count.blocks += 1;
                Ok(Some(Line::Block(block.block().ok_or(wrong)?)))
            }
            Some(RawLine::Document(document)) => {
                self.count.documents += 1;
                Ok(Some(Line::Document(document)))
            }
            Some(RawLine::End(count)) if count == self.count => Ok(None),
            Some(RawLine::End(_)) | None => Err(ReadExportError::Cut),
            Some(RawLine::Export { .. }) => Err(wrong),
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, ReadExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let line = self.line().transpose();
        self.ended = !matches!(line, Some(Ok(_)));
        line
    }
}

#[cfg(test)]
mod tests;
