//! Copies a log from one store to another: the entries go over as they stand, and rows are derived again.
//!
//! What has come over stays: a copy that broke off goes on where it was. The source may be in use; what
//! it gets meanwhile is the next copy's. Small blocks become large ones, which are smaller in sum.
//!
//! - Start with [`copy`].
//! - **Invariant:** nothing is added to a chain of the target that is not the source's.

use baton_model::BootId;

use crate::block::{Block, BlockError};
use crate::chain::Hash;
use crate::frame;
use crate::row::{Batch, Span};
use crate::store::{AuditStore, StoreError};

/// No further block is added to so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// So many blocks are read at a time.
const BLOCKS_AT_ONCE: u32 = 32;

/// What a copy has brought over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Chains that were looked at.
    pub chains: u64,
    /// Entries that were copied.
    pub entries: u64,
    /// Decisions among them.
    pub decisions: u64,
}

/// Why a copy broke off.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read, or the target cannot be written.
    #[error("a store did not do what it was asked")]
    Store(#[from] StoreError),
    /// The evidence of the source is damaged.
    #[error("the evidence of `{boot}` is damaged")]
    Damaged {
        /// The chain.
        boot: BootId,
        /// How.
        #[source]
        source: BlockError,
    },
    /// The target has something else under the name of a chain.
    #[error("the target has another log: entry {seq} of its `{boot}` is not the source's")]
    Other {
        /// The chain.
        boot: BootId,
        /// The last entry that the target has of it.
        seq: u64,
    },
}

/// Entries of one chain that are copied together.
struct Gathered {
    boot: BootId,
    previous: Hash,
    frames: Vec<u8>,
}

/// Copies all that the target does not have, one chain after the other, and tells after each step.
///
/// # Errors
/// When a store fails, the source is damaged, or the target has another log.
pub async fn copy(
    from: &dyn AuditStore,
    to: &dyn AuditStore,
    mut tell: impl FnMut(Copied),
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let mut boots: Vec<BootId> = from.chains().await?.into_iter().map(|chain| chain.boot).collect();
    // An outcome may stand in a later chain than its decision.
    boots.sort_unstable();
    for boot in boots {
        copied.chains += 1;
        let head = to.cursor(boot).await?.filter(|head| head.seq > 0);
        let known = head.as_ref().map_or(0, |head| head.seq);
        let mut gathered: Option<Gathered> = None;
        let mut after = 0;
        loop {
            let blocks = from.blocks(boot, after, BLOCKS_AT_ONCE).await?;
            let Some(last) = blocks.last() else { break };
            after = last.first_seq;
            for block in blocks.iter().filter(|block| block.last_seq >= known) {
                let rest = behind(block, known).map_err(|source| CopyError::Damaged { boot, source })?;
                if let Some(head) =
                    head.as_ref().filter(|head| (block.first_seq..=block.last_seq).contains(&head.seq))
                    && rest.previous.to_string() != head.hash
                {
                    return Err(CopyError::Other { boot, seq: head.seq });
                }
                match &mut gathered {
                    Some(all) if all.frames.len() < BATCH_BYTES => all.frames.extend_from_slice(&rest.frames),
                    _ => {
                        let full = gathered.replace(rest);
                        commit(to, full, &mut copied, &mut tell).await?;
                    }
                }
            }
        }
        commit(to, gathered, &mut copied, &mut tell).await?;
    }
    Ok(copied)
}

/// The entries of a block that follow this one, with the hash before them.
fn behind(block: &Block, known: u64) -> Result<Gathered, BlockError> {
    let mut frames = block.unpack()?;
    let mut previous = block.previous;
    let mut skipped = 0;
    for frame in frame::read_all(&frames) {
        let frame = frame.map_err(|error| BlockError::Damaged(error.to_string()))?;
        if frame.seq > known {
            break;
        }
        skipped += frame.len();
        previous = frame.hash;
    }
    frames.drain(..skipped);
    Ok(Gathered { boot: block.boot, previous, frames })
}

async fn commit(
    to: &dyn AuditStore,
    gathered: Option<Gathered>,
    copied: &mut Copied,
    tell: &mut impl FnMut(Copied),
) -> Result<(), CopyError> {
    let Some(Gathered { boot, previous, frames }) = gathered.filter(|all| !all.frames.is_empty()) else {
        return Ok(());
    };
    let batch = Batch::from_frames(boot, previous, &frames);
    let batch = batch.map_err(|source| CopyError::Damaged { boot, source })?;
    to.commit(&batch).await?;
    copied.entries += batch.span().map_or(0, Span::entries);
    copied.decisions += batch.decisions.len() as u64;
    tell(*copied);
    Ok(())
}

#[cfg(test)]
mod tests;
