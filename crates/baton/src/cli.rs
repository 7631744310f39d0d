//! What can be said on the command line.

use std::path::PathBuf;

use baton_access::Selector;
use baton_engine::Scope;
use baton_model::{ModelName, NameError};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::audit::Filters;
use crate::control::remote::Gateway;
use crate::store::Other;

/// A gateway to every model that records every decision before it takes effect.
#[derive(Debug, Parser)]
#[command(name = "baton", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Where the configuration and the data are; the same for every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Place {
    /// The configuration file; without one, `baton.yaml` is read if it is there
    #[arg(long, global = true, env = "BATON_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where journal, keys and embedded store are
    #[arg(long, global = true, env = "BATON_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// `sqlite`, or the URL of a Postgres
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// The address to serve on
    #[arg(long, global = true, env = "BATON_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// A gateway elsewhere, for commands that ask one; with an administrator's key in `BATON_ADMIN_KEY`
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<Gateway>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands. Without one, `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until stopped
    Serve,
    /// Check a configuration file without serving; exits 1 when something is wrong
    Check {
        /// The file; the same as `--config`
        file: Option<PathBuf>,
    },
    /// Say why an answer came from where it came, or what would be decided for a request
    Explain {
        /// The id of a decision (`x-baton-decision-id`) or of a run
        #[arg(required_unless_present_any = ["models", "policy", "agent"])]
        id: Option<String>,
        /// Instead: what would be decided among these models
        #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "id")]
        models: Vec<String>,
        /// Under this policy; alone, among the policy's own models
        #[arg(long, value_name = "NAME", conflicts_with = "id")]
        policy: Option<String>,
        /// Instead: what this agent is told, and which tools it has
        #[arg(long, value_name = "NAME", conflicts_with_all = ["id", "models", "policy"])]
        agent: Option<String>,
        /// For this prompt; `-` is standard input
        #[arg(long, value_name = "FILE", conflicts_with = "id")]
        prompt_file: Option<PathBuf>,
        /// For this kind of task
        #[arg(long, value_name = "KIND", conflicts_with = "id")]
        task: Option<String>,
    },
    /// Show, check and hand out what was recorded
    #[command(subcommand)]
    Audit(Box<AuditCommand>),
    /// Replay decisions, compare and test policies, and keep versions of them in the store
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show how every target is; drain, disable or enable one
    Targets {
        /// What to do; without, `list`
        #[command(subcommand)]
        command: Option<TargetsCommand>,
    },
    /// Make, list, rotate and revoke keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// List the tools of MCP servers that are pinned, or take a server's changed ones
    Mcp {
        /// What to do; without, `list`
        #[command(subcommand)]
        command: Option<McpCommand>,
    },
    /// List the models that can be named, or show what is known of one
    Models {
        /// What to do; without, `list`
        #[command(subcommand)]
        command: Option<ModelsCommand>,
    },
    /// Check what a working gateway needs; exits 1 when something is missing
    Doctor {
        /// Only whether a server answers on the address: for health checks
        #[arg(long)]
        live: bool,
    },
    /// Copy the log, the keys and the policies to another store and back.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print what to set so that a client asks this gateway; without a name, which clients there are.
    Connect {
        /// The client.
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::connect::names()))]
        client: Option<String>,
        /// A model, route or agent.
        #[arg(long, value_name = "MODEL", value_parser = model_pattern)]
        model: Option<String>,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether it asks a gateway that may be elsewhere (`--url`). What works on files of its own machine does not,
    /// nor what only whoever has the data directory may do.
    pub(crate) const fn may_ask_elsewhere(&self) -> bool {
        match self {
            Self::Keys(_) | Self::Targets { .. } | Self::Connect { .. } => true,
            Self::Explain { agent, .. } => agent.is_none(),
            Self::Policy(command) => !matches!(command, PolicyCommand::Test { .. }),
            Self::Mcp { command } => !matches!(command, Some(McpCommand::Approve { .. })),
            Self::Models { command } => !matches!(command, Some(ModelsCommand::List { all: true })),
            Self::Audit(command) => match **command {
                AuditCommand::Tail { .. }
                | AuditCommand::List { .. }
                | AuditCommand::Show { .. }
                | AuditCommand::Explain { .. }
                | AuditCommand::Replay { .. }
                | AuditCommand::Key => true,
                AuditCommand::Export { csv, ndjson, .. } => csv || ndjson,
                _ => false,
            },
            Self::Serve
            | Self::Check { .. }
            | Self::Doctor { .. }
            | Self::Store(_)
            | Self::Openapi
            | Self::Completions { .. } => false,
        }
    }
}

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy what the other store does not have, and check it there. A copy in a file is a backup.
    ///
    /// One side is the configuration's store. A running server goes on; what it writes meanwhile is the next
    /// copy's.
    Copy(Copying),
}

/// The other side of a copy.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Copying {
    /// Copy to this file, or `postgres://` URL.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) to: Option<Other>,
    /// Copy from this file, or `postgres://` URL.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) from: Option<Other>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest decisions
    Tail {
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        last: u32,
        /// Go on with those that come
        #[arg(short, long)]
        follow: bool,
    },
    /// List decisions, newest first
    List {
        #[command(flatten)]
        filters: Box<Filters>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u64,
    },
    /// Show a decision, or all of a run, as recorded
    Show {
        /// The id of a decision or of a run
        id: String,
        /// Instead: what was asked and answered under a decision, where it was captured. That it was read is recorded
        #[arg(long)]
        content: bool,
    },
    /// Erase what is kept of somebody: captured content, stored responses, runs, answers for repeats
    ///
    /// The log keeps every decision, and that this was done; `verify` finds nothing missing.
    Erase {
        /// The end user as requests name it (`safety_identifier`, `user`), a subject's id (`user_…`), or a
        /// key's id for what came without a user
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
    },
    /// Say why an answer came from where it came
    Explain {
        /// The id of a decision or of a run
        id: String,
    },
    /// Check every hash, signature and row; exits 1 when something was changed
    Verify {
        /// Compare with the checkpoints of this file, which was kept outside
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
        /// Check this exported file instead of the store; needs `--key`
        #[arg(long, value_name = "FILE", requires = "keys")]
        export: Option<PathBuf>,
        /// A public key that may have signed, or a file with it; repeat for more. Without, the own ones
        #[arg(long = "key", value_name = "PUBLIC")]
        keys: Vec<String>,
    },
    /// Write the evidence to a file that can be checked elsewhere, or the decisions as a table
    Export {
        /// The file; without, or with `-`, standard output
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Decisions as CSV
        #[arg(long, conflicts_with = "ndjson")]
        csv: bool,
        /// Decisions as NDJSON
        #[arg(long)]
        ndjson: bool,
        #[command(flatten)]
        filters: Box<Filters>,
    },
    /// Derive decisions again from what was recorded; exits 1 when one comes out otherwise
    Replay {
        /// The id of a decision
        #[arg(required_unless_present = "last")]
        id: Option<String>,
        /// Instead: so many of the newest
        #[arg(long, value_name = "N", conflicts_with = "id")]
        last: Option<u32>,
    },
    /// Print what was said of decisions as rows to train the scorer of `auto` on
    ///
    /// A row has its text only where content is captured; that it was read is recorded.
    Lessons,
    /// Count costs anew with the prices of now, where they were wrong
    ///
    /// Nothing that was recorded changes: what comes out otherwise is written down as a correction.
    Recompute(Recompute),
    /// Make the rows that are listed and counted again from the evidence
    Reproject {
        /// Only of this chain
        #[arg(long, value_name = "BOOT")]
        chain: Option<String>,
    },
    /// Print the public keys that have signed here, oldest first
    Key,
    /// Let another key sign from now on
    RotateKey,
}

/// Which costs are counted anew.
#[derive(Args, Debug)]
pub(crate) struct Recompute {
    /// Of decisions made then or later: `2h` ago, `2026-11-21`, `2026-11-21T20:36:29Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) from: String,
    /// Of decisions made before then
    #[arg(long, value_name = "TIME")]
    pub(crate) to: String,
    /// Only where this model or target was chosen
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Say what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Derive decisions again from what was recorded; exits 1 when one comes out otherwise
    Replay {
        /// The id of a decision
        #[arg(required_unless_present = "last")]
        id: Option<String>,
        /// Instead: so many of the newest
        #[arg(long, value_name = "N", conflicts_with = "id")]
        last: Option<u32>,
    },
    /// Say what another policy would have decided
    WhatIf {
        /// A configuration file with that policy
        #[arg(long = "policy", value_name = "FILE")]
        file: PathBuf,
        /// The policy's name, where the file has several
        #[arg(long)]
        name: Option<String>,
        /// How many of the newest decisions are looked at
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        last: u32,
    },
    /// List the policies of file and store, with their versions
    List,
    /// Show a policy's content
    Show {
        /// `NAME` for what is active, or `NAME@VERSION`
        policy: String,
    },
    /// Add a version to the store and print it; nothing uses it before it is activated
    Put {
        /// A configuration file with the policy
        file: PathBuf,
        /// The policy's name in the store; in the file it has the same, or is the only one
        #[arg(long)]
        name: String,
    },
    /// Plan with a version from now on
    Activate {
        /// `NAME@VERSION`; the first six digits do
        version: Selector,
    },
    /// Plan with the version before again
    Rollback {
        /// The policy's name
        name: String,
    },
    /// Plan a share of the requests with a version
    Canary {
        /// `NAME@VERSION`; the first six digits do
        version: Selector,
        /// How many of a hundred conversations
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
    },
    /// Plan every request with a version too, without effect, and record what it would have chosen
    Shadow {
        /// `NAME@VERSION`; the first six digits do
        version: Selector,
    },
    /// End canary and shadow
    Off {
        /// The policy's name
        name: String,
    },
    /// Plan the requests of a file and compare with what it expects; exits 1 when one differs
    Test {
        /// The cases
        file: PathBuf,
    },
}

/// What can be done with targets.
#[derive(Debug, Subcommand)]
pub(crate) enum TargetsCommand {
    /// Show how every target is
    List,
    /// Give a target or provider no new conversations
    Drain {
        /// `provider` or `provider/model`
        scope: Scope,
    },
    /// Give it nothing at all
    Disable {
        /// `provider` or `provider/model`
        scope: Scope,
    },
    /// Use it again
    Enable {
        /// `provider` or `provider/model`
        scope: Scope,
    },
}

/// What can be done with the tools of MCP servers.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// List every pinned tool, and which changed since it was first seen
    List,
    /// Take a server's tools as they are now, after having looked at what changed
    Approve {
        /// The server's name, or the URL that requests name it by
        server: String,
    },
}

/// What can be asked of models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models that can be named here
    List {
        /// The whole catalogue, whether or not a provider is configured
        #[arg(long)]
        all: bool,
    },
    /// Show all that is known of a model, and from where
    Show {
        /// Its name or an alias
        name: String,
    },
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and show it, once
    Create {
        /// What people call it
        name: String,
        /// What it may do
        #[arg(long, default_value = "use")]
        role: RoleArg,
        /// A model it may use, may end in `*`; repeat for more; without, it may use all
        #[arg(long = "model", value_name = "MODEL", value_parser = model_pattern)]
        models: Vec<String>,
        /// How many requests it may have open at once; without, any number
        #[arg(long, value_name = "N")]
        concurrency: Option<u32>,
        /// For how many days it is valid; without, for ever
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
        /// Whether its requests may bring provider keys of their own
        #[arg(long)]
        byok: bool,
    },
    /// List keys, without their secrets
    List,
    /// Give a key a new secret and show it, once
    Rotate {
        /// The key's id
        id: String,
        /// For how many minutes the old secret stays valid
        #[arg(long, default_value_t = 0, value_name = "MINUTES")]
        grace_minutes: u32,
    },
    /// End a key
    Revoke {
        /// The key's id
        id: String,
    },
}

/// A key's role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RoleArg {
    /// Ask models, and read its own decisions
    Use,
    /// Read everybody's decisions, ask nothing
    Viewer,
    /// Everything
    Admin,
}

/// A model's name, which may end in `*`.
pub(crate) fn model_pattern(text: &str) -> Result<String, NameError> {
    text.parse::<ModelName>().map(String::from)
}

impl RoleArg {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}
