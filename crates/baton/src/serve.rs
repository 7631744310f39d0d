//! `baton serve`: opens everything, serves, and ends in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use baton_admin::AdminState;
use baton_api::{ApiState, Beside, FeedbackDesk, Gate, RunDesk, RunOptions};
use baton_audit::FeedbackLog;
use baton_config::{Config, Provider, Sources, Watcher};
use baton_engine::Engine;
use baton_net::serve::{Drain, Drained, ServeOptions, serve};
use baton_net::tasks::Tasks;
use baton_state::Idempotency;
use baton_telemetry::ConfigReload;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::control::{self, Control, SOCKET};
use crate::core::Core;
use crate::notices::Notices;
use crate::output::note;
use crate::settings::{access, settings};
use crate::status::Status;

/// How often the histograms give back what they hold.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long the store has to take what is left at the end.
const DRAIN_STORE: Duration = Duration::from_secs(20);

/// Serves until a signal says to stop.
pub(crate) async fn run(config: Arc<Config>, sources: Sources) -> anyhow::Result<()> {
    // Before anything is open: a signal that comes early must not end the process unprepared.
    let signals = Signals::listen()?;
    let metrics = metrics()?;
    let core = Core::open(&config).await?;
    if config.is_open_to_others() && !core.keys.has_keys() {
        bail!(
            "`{}` is reachable from other machines, and no key is needed: set `auth.required: true` and make a key (`baton keys create NAME`), or listen on 127.0.0.1",
            config.listen
        );
    }
    if !config.listen.ip().is_loopback() && !core.keys.has_keys() {
        bail!(
            "`{}` is reachable from other machines, and there is no key that could use it: make one with `baton keys create NAME`, or set `BATON_ADMIN_KEY`",
            config.listen
        );
    }
    core.versions.check_names(&config, sources.file.as_deref())?;
    core.record_config(&config).await?;
    let stop = CancellationToken::new();
    let drain = Drain::new(stop.clone(), config.limits.drain_timeout);
    let engine = Engine::new(
        Arc::new(settings(&config)?),
        Arc::clone(&core.journal),
        core.sealer.clone(),
        core.tools.clone(),
        core.ids.clone(),
        drain.last_words.clone(),
    );
    let engine = Arc::new(match &config.audit.capture {
        Some(capture) => engine.with_capture(core.contents.capture(capture, &core.keys)?),
        None => engine,
    });
    engine.health().restore(crate::plans::switches(&config.data_dir)?);
    core.follow_policies(Arc::clone(&engine)).await?;
    core.keep_in_order(&config)?;
    let gate = Arc::new(Gate::new(Arc::clone(&core.keys), core.ids.clone(), access(&config)));
    let draining = Arc::new(AtomicBool::new(false));
    let status = Status {
        engine: Arc::clone(&engine),
        journal: Arc::clone(&core.journal),
        relay: Arc::clone(&core.relay),
        draining: Arc::clone(&draining),
        metrics: metrics.clone(),
    };
    let ids = core.ids.clone();
    let clock = Box::new(move || ids.now_ms());
    let idempotency = Idempotency::open(&config.data_dir, core.idempotency.expose(), clock)?;
    let tasks = Tasks::new();
    let feedback = FeedbackLog::new(Arc::clone(&core.journal), Arc::clone(&core.queries));
    let admin = AdminState::new(
        Arc::clone(&core.keys),
        Arc::clone(&core.decisions),
        feedback.clone(),
        Arc::clone(&core.queries),
        Arc::clone(&engine),
    )
    .with_contents(Arc::clone(&core.contents) as _);
    let stored_runs = core.stored_runs()?;
    let told = config.runs.webhook.as_ref();
    let notices = told.map(|settings| Notices::new(settings, &stored_runs, &core.ids)).transpose()?;
    let notices = notices.map(Arc::new);
    if let Some(notices) = &notices {
        drop(tasks.spawn(Arc::clone(notices).work(tasks.clone())));
    }
    let responses = core.stored_responses(&config);
    let runs = RunDesk::new(
        stored_runs,
        Arc::clone(&engine),
        Arc::clone(&gate),
        tasks.clone(),
        stop.clone(),
        RunOptions::STANDARD,
        notices.map(|notices| notices as _),
    )
    .with_responses(responses.clone());
    drop(tasks.spawn(runs.clone().work()));
    let state = ApiState {
        engine: Arc::clone(&engine),
        gate: Arc::clone(&gate),
        idempotency: Arc::clone(&idempotency),
        responses,
        compactions: core.compactions(),
        runs,
        tasks: tasks.clone(),
        decisions: Arc::clone(&core.decisions),
        feedback: FeedbackDesk::new(feedback, core.sealer.clone()),
        status: Arc::new(status),
    };
    let answers = Arc::clone(&idempotency);
    let control = Control::new(&core, Arc::clone(&engine), &config.data_dir)
        .with_answers(move || answers.forget_answers());
    let routes = baton_admin::router(admin, control::over_the_network(control.clone()));
    let beside = Beside { routes, openapi: control::openapi };
    let router = baton_api::router(state, beside);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on `{}`", config.listen))?;
    let address = listener.local_addr()?;
    let control_socket = control_listener(&config.data_dir)?;
    greet(&config, address, &core);

    drop(tasks.spawn(upkeep(metrics, stop.clone())));
    let options = ServeOptions {
        header_timeout: config.limits.header_timeout,
        max_connections: config.limits.max_connections,
        malformed: Some(baton_api::malformed),
        ..ServeOptions::default()
    };
    let control_drain = Drain::new(stop.clone(), Duration::from_secs(1));
    let control_routes = control::router(control);
    drop(tasks.spawn(serve(
        control_socket,
        control_routes,
        ServeOptions::default(),
        control_drain,
        tasks.clone(),
    )));
    let served = tasks.spawn(serve(listener, router, options, drain, tasks.clone()));
    let file = sources.file.clone();
    let watcher = Watcher::start(sources, Arc::clone(&config))?;
    let reload = Reload { engine, gate, watcher, file, config: Arc::clone(&config) };
    let outcome = until_stopped(signals, reload, &core, &draining, &stop, &tasks, served).await;
    drop(std::fs::remove_file(config.data_dir.join(SOCKET)));
    core.close(DRAIN_STORE).await?;
    outcome
}

/// Follows signals and changes of the file until it is time to stop, then waits for open requests.
async fn until_stopped(
    mut signals: Signals,
    mut reload: Reload,
    core: &Core,
    draining: &AtomicBool,
    stop: &CancellationToken,
    tasks: &Tasks,
    served: JoinHandle<Drained>,
) -> anyhow::Result<()> {
    let trigger = reload.watcher.trigger();
    loop {
        tokio::select! {
            () = signals.stop.recv() => break,
            _ = signals.hang_up.recv() => trigger.reload(),
            Some(change) = reload.watcher.next() => reload.take(core, change).await,
        }
    }
    draining.store(true, Ordering::Relaxed);
    tracing::info!("stopping: open requests are finished first; a second signal ends them");
    stop.cancel();
    let drained = tokio::select! {
        drained = served => drained?,
        () = signals.stop.recv() => bail!("stopped by a second signal with requests open"),
    };
    if drained.cut > 0 {
        tracing::warn!(cut = drained.cut, "requests were still open at the end of the drain");
    }
    tasks.shut_down(Duration::from_secs(2)).await;
    Ok(())
}

/// What the process is told from outside.
struct Signals {
    stop: StopSignals,
    hang_up: Signal,
}

/// The two signals that ask the process to end.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let stop = StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Self { stop, hang_up: signal(SignalKind::hangup())? })
    }
}

impl StopSignals {
    /// Waits until the process is asked to end.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a new configuration is put into.
struct Reload {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    watcher: Watcher,
    /// Where it comes from.
    file: Option<PathBuf>,
    /// What is in force.
    config: Arc<Config>,
}

impl Reload {
    /// Puts a new configuration in force; a bad one changes nothing.
    async fn take(&mut self, core: &Core, change: baton_config::Reload) {
        match change {
            baton_config::Reload::Unchanged => tracing::info!("configuration unchanged"),
            baton_config::Reload::Refused(error) => {
                ConfigReload::Rejected { mistakes: &error.to_string() }.emit();
            }
            baton_config::Reload::Changed { config, needs_restart } => {
                for key in needs_restart {
                    tracing::warn!(key, "this key changed and takes effect at the next start");
                }
                match self.apply(core, &config).await {
                    Ok(()) => ConfigReload::Applied { version: config.version() }.emit(),
                    Err(error) => ConfigReload::Rejected { mistakes: &format!("{error:#}") }.emit(),
                }
            }
        }
    }

    async fn apply(&mut self, core: &Core, config: &Arc<Config>) -> anyhow::Result<()> {
        core.versions.check_names(config, self.file.as_deref())?;
        let settings = settings(config)?;
        core.record_config(config).await?;
        self.engine.apply(Arc::new(settings));
        core.tools.apply(config.tools.clone());
        for provider in &config.providers {
            let name = &provider.upstream.name;
            let before = self.config.providers.iter().find(|before| before.upstream.name == *name);
            if before.is_some_and(|before| !same_keys(before, provider)) {
                // What was learnt of the old keys says nothing of the new ones.
                self.engine.health().forget_credentials(name);
            }
        }
        self.config = Arc::clone(config);
        self.gate.apply(access(config));
        Ok(())
    }
}

/// Whether two forms of a provider have the same keys in the same places.
fn same_keys(one: &Provider, other: &Provider) -> bool {
    let keys = |provider: &Provider| {
        provider.upstream.credentials.iter().map(|key| key.expose().clone()).collect::<Vec<_>>()
    };
    keys(one) == keys(other)
}

fn metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0])?
        .install_recorder()?;
    baton_telemetry::describe();
    Ok(handle)
}

async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}

/// The control socket. A socket that a dead server left is replaced: the journal's lock is ours.
fn control_listener(data_dir: &Path) -> anyhow::Result<UnixListener> {
    let path = data_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace `{}`", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen on `{}`", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Who listens on every address is tried on the one that is always there.
fn address_to_try(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Says where everything is, with a command that works.
fn greet(config: &Config, address: SocketAddr, core: &Core) {
    let url = format!("http://{}", address_to_try(address));
    if cfg!(feature = "bench-no-audit") {
        note("this build is for benchmarks: it RECORDS NOTHING of what is asked and answered");
    }
    note(&format!("baton {} on http://{address}   docs {url}/docs", env!("CARGO_PKG_VERSION")));
    let names: Vec<String> =
        config.providers.iter().map(|provider| provider.upstream.name.to_string()).collect();
    note(&format!(
        "providers  echo (built in){}",
        names.iter().map(|name| format!(", {name}")).collect::<String>()
    ));
    let database = match config.database {
        baton_config::Database::Sqlite => config.data_dir.join("baton.db").display().to_string(),
        baton_config::Database::Postgres(_) => "Postgres".to_owned(),
    };
    note(&format!("audit log  {} → {database}", config.data_dir.join("journal").display()));
    let key = if config.auth.required {
        if !core.keys.has_keys() {
            note("keys       none yet: `baton keys create NAME` makes one");
        }
        " -H \"authorization: Bearer $BATON_KEY\""
    } else {
        ""
    };
    note(&format!(
        "try        curl {url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{{\"model\":\"echo/hello\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'"
    ));
}

#[cfg(test)]
mod tests;
