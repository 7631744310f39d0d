//! Where captured content and the keys to it are kept, without naming a database or a cipher.
//!
//! The sealed bytes are evidence: they stand in the log and stay there. What opens them is a key of its own
//! for each subject and epoch, which the store alone has, sealed under the master key. So what is erased is
//! the key, and the log stays whole.
//!
//! - Start with [`ContentStore`]; the relay asks [`ContentKeys`].
//! - **Invariant:** a key of an epoch that began before its subject was erased is never taken in again.
//! - **Never here:** ciphers, plain text.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use baton_model::{BootId, DecisionId};
use futures_util::future::BoxFuture;

use crate::record::{Content, ContentPart};
use crate::store::{StoreError, StoreErrorKind};

/// Where sealed content stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRow {
    /// Of which decision.
    pub decision: DecisionId,
    /// Which side of it.
    pub part: ContentPart,
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose it is.
    pub subject: String,
    /// Under whose key of the subject it is sealed.
    pub epoch: String,
}

impl ContentRow {
    pub(crate) fn new(content: &Content, boot: BootId, seq: u64) -> Self {
        Self {
            decision: content.decision,
            part: content.part,
            boot,
            seq,
            at_ms: content.at_ms,
            subject: content.subject.clone(),
            epoch: content.epoch.clone(),
        }
    }
}

impl Content {
    /// The record of an envelope.
    #[must_use]
    pub fn new(row: ContentHead<'_>, envelope: &[u8]) -> Self {
        let ContentHead { decision, at_ms, part, subject, epoch } = row;
        let sealed = BASE64_STANDARD.encode(envelope);
        Self { decision, at_ms, part, subject: subject.to_owned(), epoch: epoch.to_owned(), sealed }
    }

    /// The envelope; none when it is no base64.
    #[must_use]
    pub fn envelope(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(&self.sealed).ok()
    }

    /// Makes plain bytes small before they are sealed: what is sealed cannot be made smaller.
    ///
    /// # Errors
    /// When they cannot be compressed.
    pub fn pack(plain: &[u8]) -> std::io::Result<Vec<u8>> {
        zstd::bulk::compress(plain, LEVEL)
    }

    /// The bytes that were packed; none when they were not, or are more than content can be.
    #[must_use]
    pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
        zstd::bulk::decompress(packed, LARGEST).ok()
    }
}

/// What a record of content says beside the envelope.
#[derive(Clone, Copy, Debug)]
pub struct ContentHead<'a> {
    /// Of which decision.
    pub decision: DecisionId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which side of it.
    pub part: ContentPart,
    /// Whose it is.
    pub subject: &'a str,
    /// Under whose key of the subject it is sealed.
    pub epoch: &'a str,
}

const LEVEL: i32 = 1;
/// No content is larger before it is packed.
const LARGEST: usize = 8 << 20;

/// A subject's key of one epoch, sealed under the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKeyRow {
    /// Whose.
    pub subject: String,
    /// The epoch.
    pub epoch: String,
    /// When the epoch began, in milliseconds since 1970.
    pub began_ms: u64,
    /// The envelope.
    pub sealed: Vec<u8>,
}

/// Content with the key to it, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContent {
    /// Where it stands.
    pub row: ContentRow,
    /// The record; none when its evidence cannot be read, or is not there yet.
    pub record: Option<Content>,
    /// The subject's key of the epoch; none when it was erased, or its time was over.
    pub key: Option<Vec<u8>>,
}

/// What was forgotten of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Pieces of content.
    pub contents: u64,
    /// Keys.
    pub keys: u64,
}

/// Keeps where content stands, and the keys to it.
pub trait ContentStore: Send + Sync + fmt::Debug {
    /// Takes in content and keys. What is there already is left as it is; a key of a subject that was erased
    /// after the key's epoch began is passed over.
    fn put_contents<'a>(
        &'a self,
        contents: &'a [ContentRow],
        keys: &'a [SubjectKeyRow],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The content of a decision.
    fn contents(&self, decision: DecisionId) -> BoxFuture<'_, Result<Vec<StoredContent>, StoreError>>;

    /// Destroys the keys of a subject, and all that leads to its content, and remembers that: a key that comes
    /// late is refused. When this returns, no file of the store holds one of the keys, as far as the
    /// database can promise it.
    fn forget_subject<'a>(
        &'a self,
        subject: &'a str,
        at_ms: u64,
    ) -> BoxFuture<'a, Result<Forgotten, StoreError>>;

    /// Writes over what was deleted in this store: rows that others deleted may still be readable in its files.
    fn scrub(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// When somebody was erased last, in milliseconds since 1970.
    fn last_forgotten(&self) -> BoxFuture<'_, Result<Option<u64>, StoreError>>;

    /// Destroys keys of content that is older, and what leads to it. Returns how many pieces of content went.
    fn drop_contents(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// A page of all keys, in order behind the subject and epoch given, for a copy.
    fn subject_keys<'a>(
        &'a self,
        after: (&'a str, &'a str),
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<SubjectKeyRow>, StoreError>>;

    /// A page of where all content stands, in order behind the decision given, whole decisions, for a copy.
    fn content_rows<'a>(
        &'a self,
        after: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ContentRow>, StoreError>>;
}

/// What the relay asks of whoever has the keys of the present epochs.
pub trait ContentKeys: Send + Sync + fmt::Debug {
    /// Gives the store the keys of this content, and where it stands, before the content itself.
    fn settle<'a>(&'a self, contents: &'a [ContentRow]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The store has everything of this chain up to this number, and of all chains before it.
    fn moved(&self, boot: BootId, seq: u64);
}

/// `decision, part, boot, seq, at_ms, subject, epoch` of content, and the key to it.
pub type ContentColumns = (String, String, String, i64, i64, String, String, Option<Vec<u8>>);
/// `subject, epoch, began_ms, sealed` of a key.
pub type SubjectKeyColumns = (String, String, i64, Vec<u8>);

/// What the columns mean.
///
/// # Errors
/// [`StoreErrorKind::Corrupt`] when they mean nothing.
pub fn content_row(columns: ContentColumns) -> Result<(ContentRow, Option<Vec<u8>>), StoreError> {
    let (decision, part, boot, seq, at_ms, subject, epoch, key) = columns;
    let part = match part.as_str() {
        "request" => ContentPart::Request,
        "answer" => ContentPart::Answer,
        _ => return Err(corrupt("a part of content has another name")),
    };
    let row = ContentRow {
        decision: decision.parse().map_err(|_error| corrupt("the decision of content has no id"))?,
        part,
        boot: boot.parse().map_err(|_error| corrupt("the chain of content has no id"))?,
        seq: seq.unsigned_abs(),
        at_ms: at_ms.unsigned_abs(),
        subject,
        epoch,
    };
    Ok((row, key))
}

/// What the columns mean.
#[must_use]
pub fn subject_key_row((subject, epoch, began_ms, sealed): SubjectKeyColumns) -> SubjectKeyRow {
    SubjectKeyRow { subject, epoch, began_ms: began_ms.unsigned_abs(), sealed }
}

fn corrupt(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}
