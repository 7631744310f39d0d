//! Keeps the stored policies at hand, and changes which of them are in force.
//!
//! What is known comes from the store, and at start from a signed local file, so that a store that is
//! away stops no policy. A request never waits for the store.
//!
//! - Start with [`PolicyShelf::open`], then [`PolicyShelf::refresh`].
//! - **Invariant:** a change is made of the state that the store has, not of the one at hand.
//! - **Never here:** what a document means, who is asked under it, when to refresh.

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::timeout;

use crate::port::ANSWERS_WITHIN;
use crate::snapshot::SnapshotFile;
use crate::{
    Canary, Label, MasterKey, PolicyList, PolicyState, PolicyStore, PolicyStoreError, PolicyStoreErrorKind,
    PolicyVersion,
};

/// The name of the snapshot in the data directory.
const FILE_NAME: &str = "policies.json";
/// How often a change is made anew when somebody else came between.
const ATTEMPTS: u32 = 5;
/// A version may be named by so many of its first digits, if no other begins alike.
const SHORTEST_VERSION: usize = 6;

/// A version as an operator names it: `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The policy's name.
    pub name: String,
    /// The version, or its first digits.
    pub version: String,
}

/// The text is not `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `NAME@VERSION`; `baton policy list` shows them")]
pub struct NoSelector(String);

impl FromStr for Selector {
    type Err = NoSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('@') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                Ok(Self { name: name.to_owned(), version: version.to_owned() })
            }
            _ => Err(NoSelector(text.to_owned())),
        }
    }
}

/// Why a stored policy was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// Nobody put a policy of this name.
    #[error("the store has no policy `{0}`")]
    NoPolicy(String),
    /// It has no such version.
    #[error("the policy `{name}` has no version `{version}`; `baton policy list` shows them")]
    NoVersion {
        /// The policy.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// Several versions begin so.
    #[error(
        "several versions of `{name}` begin with `{version}`: give more digits, at least {SHORTEST_VERSION}"
    )]
    Ambiguous {
        /// The policy.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// No version of it was activated.
    #[error("no version of `{0}` is active: activate one first")]
    NotActive(String),
    /// There is nothing to go back to.
    #[error("the policy `{0}` has no version before the active one")]
    NoPrevious(String),
    /// The version plans already.
    #[error("the version `{version}` of `{name}` is the active one")]
    IsActive {
        /// The policy.
        name: String,
        /// The version.
        version: String,
    },
    /// The share is none.
    #[error("a canary gets 1 to 100 percent, not {0}")]
    Percent(u8),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PolicyStoreError),
}

/// The policies of the store.
#[derive(Debug)]
pub struct PolicyShelf {
    store: Arc<dyn PolicyStore>,
    file: Arc<SnapshotFile<PolicyList>>,
    known: ArcSwap<Known>,
    publishing: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    from_store: bool,
    list: Arc<PolicyList>,
}

impl PolicyShelf {
    /// Opens the shelf with what the local snapshot in `data_dir` knows. Does not ask the store yet.
    ///
    /// A snapshot that cannot be read, or that fails its check, is reported in the log and left out.
    #[must_use]
    pub fn open(store: Arc<dyn PolicyStore>, master: &MasterKey, data_dir: &Path) -> Self {
        let file = SnapshotFile::new(data_dir.join(FILE_NAME), &master.derive(Label::PolicySnapshot));
        let list = file.read().unwrap_or_else(|error| {
            tracing::warn!(error = %error, "the local snapshot of policies is left out");
            None
        });
        let known = Known { from_store: false, list: Arc::new(list.unwrap_or_default()) };
        Self {
            store,
            file: Arc::new(file),
            known: ArcSwap::from_pointee(known),
            publishing: Mutex::default(),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn list(&self) -> Arc<PolicyList> {
        Arc::clone(&self.known.load().list)
    }

    /// Asks the store for changes and takes them in. `true` when there were some.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or not in time; what is known stays in force.
    pub async fn refresh(&self) -> Result<bool, PolicyStoreError> {
        let silent =
            || PolicyStoreError::new(PolicyStoreErrorKind::Unavailable, "the store did not answer in time");
        let asked = timeout(ANSWERS_WITHIN, self.ask()).await.unwrap_or_else(|_elapsed| Err(silent()));
        let Some(list) = asked? else { return Ok(false) };
        if !self.publish(Arc::clone(&list)) {
            return Ok(false);
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.write(&list)).await;
        match written {
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "the local snapshot of policies is not up to date");
            }
            Err(error) => tracing::warn!(error = %error, "the local snapshot of policies is not up to date"),
            Ok(Ok(())) => {}
        }
        Ok(true)
    }

    /// The policies of the store; none when they are those that are known.
    async fn ask(&self) -> Result<Option<Arc<PolicyList>>, PolicyStoreError> {
        let seen = self.known.load_full();
        if seen.from_store && self.store.policy_revision().await? == seen.list.revision {
            return Ok(None);
        }
        self.store.policies().await.map(|list| Some(Arc::new(list)))
    }

    /// Adds a version. One that is there already stays as it is: the same content has the same version.
    /// `true` when it is new.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn put(&self, version: &PolicyVersion) -> Result<bool, ShelfError> {
        let put = self.store.put(version).await;
        match put {
            Err(error) if error.kind() == PolicyStoreErrorKind::Duplicate => return Ok(false),
            put => put?,
        };
        self.take_in().await;
        Ok(true)
    }

    /// The version that is meant, among those that the store has now.
    ///
    /// # Errors
    ///
    /// When there is none, or several begin so.
    pub async fn find(&self, selector: &Selector) -> Result<PolicyVersion, ShelfError> {
        let list = self.store.policies().await?;
        find(&list, selector).cloned()
    }

    /// Lets a version plan from now on. The one before is kept to go back to.
    ///
    /// # Errors
    ///
    /// When there is no such version, or the store fails.
    pub async fn activate(&self, selector: &Selector) -> Result<PolicyState, ShelfError> {
        self.change(&selector.name, |list, state| {
            let version = find(list, selector)?.version.clone();
            Ok(match state {
                None => PolicyState {
                    name: selector.name.clone(),
                    active: version,
                    previous: None,
                    canary: None,
                    shadow: None,
                    revision: 0,
                },
                Some(state) if state.active == version => state.clone(),
                Some(state) => with_active(state, version),
            })
        })
        .await
    }

    /// Goes back to the version before; twice is where one was.
    ///
    /// # Errors
    ///
    /// When there is none before, or the store fails.
    pub async fn roll_back(&self, name: &str) -> Result<PolicyState, ShelfError> {
        self.change(name, |_, state| {
            let state = state.ok_or_else(|| ShelfError::NotActive(name.to_owned()))?;
            let previous = state.previous.clone().ok_or_else(|| ShelfError::NoPrevious(name.to_owned()))?;
            Ok(with_active(state, previous))
        })
        .await
    }

    /// Lets a version plan a share of the requests.
    ///
    /// # Errors
    ///
    /// When there is no such version, none is active, it is the active one, the share is none, or the
    /// store fails.
    pub async fn canary(&self, selector: &Selector, percent: u8) -> Result<PolicyState, ShelfError> {
        if !(1..=100).contains(&percent) {
            return Err(ShelfError::Percent(percent));
        }
        self.change(&selector.name, |list, state| {
            let version = beside(list, state, selector)?;
            Ok(PolicyState { canary: Some(Canary { version: version.0, percent }), ..version.1 })
        })
        .await
    }

    /// Plans every request with a version too, without effect.
    ///
    /// # Errors
    ///
    /// When there is no such version, none is active, it is the active one, or the store fails.
    pub async fn shadow(&self, selector: &Selector) -> Result<PolicyState, ShelfError> {
        self.change(&selector.name, |list, state| {
            let version = beside(list, state, selector)?;
            Ok(PolicyState { shadow: Some(version.0), ..version.1 })
        })
        .await
    }

    /// Ends canary and shadow of a policy.
    ///
    /// # Errors
    ///
    /// When no version of it is active, or the store fails.
    pub async fn off(&self, name: &str) -> Result<PolicyState, ShelfError> {
        self.change(name, |_, state| {
            let state = state.ok_or_else(|| ShelfError::NotActive(name.to_owned()))?;
            Ok(PolicyState { canary: None, shadow: None, ..state.clone() })
        })
        .await
    }

    /// Reads what the store has, makes of it what it should be and writes that, anew if somebody else
    /// came between.
    async fn change(
        &self,
        name: &str,
        change: impl Fn(&PolicyList, Option<&PolicyState>) -> Result<PolicyState, ShelfError>,
    ) -> Result<PolicyState, ShelfError> {
        let mut attempt = 1;
        loop {
            let list = self.store.policies().await?;
            if list.of(name).next().is_none() {
                return Err(ShelfError::NoPolicy(name.to_owned()));
            }
            let state = list.state(name);
            let mut wanted = change(&list, state)?;
            if Some(&wanted) == state {
                return Ok(wanted);
            }
            match self.store.set(&wanted).await {
                Ok(revision) => {
                    wanted.revision = revision;
                    self.take_in().await;
                    return Ok(wanted);
                }
                Err(error) if error.kind() == PolicyStoreErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The change is stored, so a failure to read it back is no failure of the change: the next
    /// refresh brings it.
    async fn take_in(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(error = %error, "a changed policy is not in force yet on this machine");
        }
    }

    /// Swaps a list in, unless a newer one of the store is there already.
    fn publish(&self, list: Arc<PolicyList>) -> bool {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.known.load();
        if present.from_store && present.list.revision >= list.revision {
            return false;
        }
        self.known.store(Arc::new(Known { from_store: true, list }));
        true
    }
}

/// The version that is meant: by its whole hash, or by digits that only one begins with.
fn find<'l>(list: &'l PolicyList, selector: &'l Selector) -> Result<&'l PolicyVersion, ShelfError> {
    let Selector { name, version } = selector;
    if list.of(name).next().is_none() {
        return Err(ShelfError::NoPolicy(name.clone()));
    }
    if let Some(found) = list.of(name).find(|it| it.version == *version) {
        return Ok(found);
    }
    let mut alike = list.of(name).filter(|it| it.version.starts_with(version.as_str()));
    match (alike.next(), alike.next()) {
        (Some(found), None) if version.len() >= SHORTEST_VERSION => Ok(found),
        (Some(_), _) => Err(ShelfError::Ambiguous { name: name.clone(), version: version.clone() }),
        (None, _) => Err(ShelfError::NoVersion { name: name.clone(), version: version.clone() }),
    }
}

/// A version that is not the active one, and the state it is to stand in.
fn beside(
    list: &PolicyList,
    state: Option<&PolicyState>,
    selector: &Selector,
) -> Result<(String, PolicyState), ShelfError> {
    let version = find(list, selector)?.version.clone();
    let state = state.ok_or_else(|| ShelfError::NotActive(selector.name.clone()))?;
    if state.active == version {
        return Err(ShelfError::IsActive { name: selector.name.clone(), version });
    }
    Ok((version, state.clone()))
}

/// The state with another active version. What was on trial and is in force now is on trial no more.
fn with_active(state: &PolicyState, version: String) -> PolicyState {
    PolicyState {
        name: state.name.clone(),
        previous: Some(state.active.clone()),
        canary: state.canary.clone().filter(|canary| canary.version != version),
        shadow: state.shadow.clone().filter(|shadow| *shadow != version),
        active: version,
        revision: state.revision,
    }
}

#[cfg(test)]
mod tests;
