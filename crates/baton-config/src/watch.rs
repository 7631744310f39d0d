//! Loads the configuration again when its file changes, or when told to.
//!
//! The directories are watched, not the files: editors replace a file, and Kubernetes swaps a link
//! beside it. A thread of its own does the loading, so that no request waits for a disk.
//!
//! - Start with [`Watcher::start`], then await [`Watcher::next`].
//! - **Invariant:** a configuration with a mistake changes nothing; the same mistakes are reported
//!   once until the files change or somebody asks again.
//! - **Invariant:** what is handed out is in force as it says: keys that only a restart changes keep
//!   their running values.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::load::{Loaded, load};
use crate::{Config, ConfigError, Sources};

/// How long the files must be quiet before they are read: writing one takes several steps.
const QUIET: Duration = Duration::from_millis(200);

/// How often a file that never rests is read before it is taken as it is.
const MAX_ROUNDS: u32 = 25;

/// What came of loading again.
#[derive(Debug)]
pub enum Reload {
    /// There is a new configuration.
    Changed {
        /// What is in force from now on.
        config: Arc<Config>,
        /// The keys that changed in the file and wait for a restart.
        needs_restart: Vec<&'static str>,
    },
    /// Somebody asked, and nothing changed.
    Unchanged,
    /// The new one has mistakes; the old one stays in force.
    Refused(ConfigError),
}

/// The files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system refused to watch.
    #[error("cannot watch the configuration for changes")]
    Notify(#[source] notify::Error),
    /// The system refused a thread.
    #[error("cannot start the thread that loads the configuration")]
    Thread(#[source] std::io::Error),
}

/// Watches the sources of a configuration. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    wake: Trigger,
    reloads: UnboundedReceiver<Reload>,
}

/// Asks for a reload, as `SIGHUP` does.
#[derive(Clone, Debug)]
pub struct Trigger(Sender<Wake>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Files,
    Asked,
    Stop,
}

impl Watcher {
    /// Starts to watch; `running` is the configuration that these sources gave.
    ///
    /// # Errors
    ///
    /// When the system refuses to watch or to start a thread.
    pub fn start(sources: Sources, running: Arc<Config>) -> Result<Self, WatchError> {
        let (wake, woken) = channel();
        let (reload, reloads) = unbounded_channel();
        let mut watch = Watch::new(wake.clone())?;
        let mut reloader = Reloader::new(sources, running);
        watch.follow(&reloader.files());
        let run = move || reloader.run(&mut watch, &woken, &reload);
        thread::Builder::new().name("baton-config".to_owned()).spawn(run).map_err(WatchError::Thread)?;
        Ok(Self { wake: Trigger(wake), reloads })
    }

    /// What asks for a reload.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.wake.clone()
    }

    /// The next reload; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Reload> {
        self.reloads.recv().await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.wake.send(Wake::Stop);
    }
}

impl Trigger {
    /// Loads again, whether or not a file changed; the answer comes from [`Watcher::next`].
    pub fn reload(&self) {
        self.send(Wake::Asked);
    }

    fn send(&self, wake: Wake) {
        // Without a receiver the watch is over, and there is nobody to be told.
        self.0.send(wake).unwrap_or_default();
    }
}

/// Loads, compares and decides what to report.
#[derive(Debug)]
struct Reloader {
    sources: Sources,
    running: Arc<Config>,
    seen: Seen,
    files: BTreeSet<PathBuf>,
}

/// What the files said last.
#[derive(Debug)]
enum Seen {
    Good(Arc<Config>),
    Bad(ConfigError),
}

impl Reloader {
    fn new(sources: Sources, running: Arc<Config>) -> Self {
        Self { sources, seen: Seen::Good(Arc::clone(&running)), running, files: BTreeSet::new() }
    }

    /// Loads once at the start, since a file may have changed before the watch began; and once more
    /// whenever the watch was widened, for the same reason.
    fn run(&mut self, watch: &mut Watch, woken: &Receiver<Wake>, reload: &UnboundedSender<Reload>) {
        let mut wake = Wake::Files;
        while wake != Wake::Stop {
            let loaded = self.load_settled();
            let report = self.consider(loaded, wake);
            let was_widened = watch.follow(&self.files());
            if let Some(report) = report
                && reload.send(report).is_err()
            {
                return;
            }
            wake = if was_widened { Wake::Files } else { woken.recv().unwrap_or(Wake::Stop) };
        }
    }

    /// Loads; and if there is news, loads again until it stays the same. A file that is just being
    /// written can be whole YAML and still lack its second half.
    fn load_settled(&self) -> Loaded {
        let mut loaded = load(&self.sources);
        for _round in 0..MAX_ROUNDS {
            if !self.is_news(&loaded) {
                break;
            }
            thread::sleep(QUIET);
            let again = load(&self.sources);
            if is_same(&loaded.result, &again.result) {
                return again;
            }
            loaded = again;
        }
        loaded
    }

    fn is_news(&self, loaded: &Loaded) -> bool {
        match (&self.seen, &loaded.result) {
            (Seen::Good(seen), Ok(config)) => !seen.same_as(config),
            (Seen::Bad(seen), Err(error)) => seen != error,
            (Seen::Good(_), Err(_)) | (Seen::Bad(_), Ok(_)) => true,
        }
    }

    /// What there is to report of what was loaded.
    fn consider(&mut self, loaded: Loaded, wake: Wake) -> Option<Reload> {
        let is_news = self.is_news(&loaded);
        self.files = loaded.files;
        match loaded.result {
            Ok(config) => self.take(config, wake),
            Err(error) => {
                self.seen = Seen::Bad(error.clone());
                (is_news || wake == Wake::Asked).then_some(Reload::Refused(error))
            }
        }
    }

    fn take(&mut self, config: Config, wake: Wake) -> Option<Reload> {
        let was_seen = matches!(&self.seen, Seen::Good(seen) if seen.same_as(&config));
        let needs_restart = self.running.needs_restart(&config);
        let next = Arc::new(config.in_place_of(&self.running));
        self.seen = Seen::Good(Arc::new(config));
        if was_seen || (next.same_as(&self.running) && needs_restart.is_empty()) {
            return (wake == Wake::Asked).then_some(Reload::Unchanged);
        }
        self.running = Arc::clone(&next);
        Some(Reload::Changed { config: next, needs_restart })
    }

    /// Every file that the configuration was made from.
    fn files(&self) -> Vec<PathBuf> {
        self.sources.file.iter().chain(&self.files).cloned().collect()
    }
}

fn is_same(one: &Result<Config, ConfigError>, other: &Result<Config, ConfigError>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.same_as(other),
        (Err(one), Err(other)) => one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// The directories that are watched.
struct Watch {
    debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    fn new(wake: Sender<Wake>) -> Result<Self, WatchError> {
        let wake = Trigger(wake);
        let on_events = move |events: DebounceEventResult| {
            // An error can mean that events were lost, so it is a reason to look, too.
            let matters = events.map_or(true, |events| events.iter().any(|event| is_change(event.kind)));
            if matters {
                wake.send(Wake::Files);
            }
        };
        let debouncer = new_debouncer(QUIET, None, on_events).map_err(WatchError::Notify)?;
        Ok(Self { debouncer, directories: BTreeSet::new() })
    }

    /// Watches the directories of these files, and those that links among them lead to. Whether there
    /// were new ones.
    fn follow(&mut self, files: &[PathBuf]) -> bool {
        let linked: Vec<PathBuf> = files.iter().filter_map(|file| file.canonicalize().ok()).collect();
        let wanted: BTreeSet<PathBuf> =
            files.iter().chain(&linked).filter_map(|file| directory(file)).collect();
        let mut was_widened = false;
        for directory in wanted.difference(&self.directories.clone()) {
            match self.debouncer.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => was_widened |= self.directories.insert(directory.clone()),
                Err(error) => {
                    tracing::warn!(directory = %directory.display(), error = %error, "cannot watch for changes here");
                }
            }
        }
        was_widened
    }
}

fn directory(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

/// Whether a file may read differently now. Reading the files raises events of its own.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests;
