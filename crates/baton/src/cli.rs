//! What can be said on the command line.

use std::path::PathBuf;

use baton_model::{ModelName, NameError};
use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Say why an answer came from where it came
    Explain {
        /// The id of a decision (`x-baton-decision-id`) or of a run
        id: String,
    },
    /// Make, list, rotate and revoke keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// List the models that can be named
    Models,
    /// Check what a working gateway needs; exits 1 when something is missing
    Doctor {
        /// Only whether a server answers on the address: for health checks
        #[arg(long)]
        live: bool,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
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
fn model_pattern(text: &str) -> Result<String, NameError> {
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
