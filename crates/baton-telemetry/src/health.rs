//! What changes in the health of targets and credentials, each with its log line and gauge.

use baton_model::{ProviderName, Target};
use metrics::gauge;

use crate::Metric;

/// What is known of a target's or a credential's health changed. Credentials are told by their number,
/// from 1.
#[derive(Debug)]
pub enum HealthMoved<'a> {
    /// A target was attempted for the first time.
    Known {
        /// Which.
        target: &'a Target,
    },
    /// A target failed too often and is left alone.
    Opened {
        /// Which.
        target: &'a Target,
        /// For so long.
        for_ms: u64,
    },
    /// A target answers again.
    Closed {
        /// Which.
        target: &'a Target,
    },
    /// A target has had too much of a credential.
    Cooling {
        /// Which target.
        target: &'a Target,
        /// Which credential.
        credential: usize,
        /// For so long.
        for_ms: u64,
    },
    /// A credential was refused too often and is left alone.
    CredentialOpened {
        /// Whose.
        provider: &'a ProviderName,
        /// Which.
        credential: usize,
        /// For so long.
        for_ms: u64,
    },
    /// A credential is taken again.
    CredentialClosed {
        /// Whose.
        provider: &'a ProviderName,
        /// Which.
        credential: usize,
    },
    /// A credential has nothing left on its account.
    CredentialCooling {
        /// Whose.
        provider: &'a ProviderName,
        /// Which.
        credential: usize,
        /// For so long.
        for_ms: u64,
    },
    /// An operator switched a target or a provider.
    Switched {
        /// Which.
        scope: &'a str,
        /// `on`, `drained` or `disabled`.
        to: &'static str,
    },
}

impl HealthMoved<'_> {
    /// Sets the gauge of a target, and logs what changed.
    pub fn emit(&self) {
        match self {
            Self::Known { target } => set_up(target, 1.0),
            Self::Opened { target, for_ms } => {
                set_up(target, 0.0);
                tracing::warn!(to = %target, for_ms, "target failed too often, left alone for a while");
            }
            Self::Closed { target } => {
                set_up(target, 1.0);
                tracing::info!(to = %target, "target answers again");
            }
            Self::Cooling { target, credential, for_ms } => {
                tracing::info!(to = %target, credential, for_ms, "target has had too much, rests");
            }
            Self::CredentialOpened { provider, credential, for_ms } => tracing::warn!(
                %provider,
                credential,
                for_ms,
                "credential refused too often, left alone for a while",
            ),
            Self::CredentialClosed { provider, credential } => {
                tracing::info!(%provider, credential, "credential is taken again");
            }
            Self::CredentialCooling { provider, credential, for_ms } => {
                tracing::warn!(%provider, credential, for_ms, "credential is out of quota, rests");
            }
            Self::Switched { scope, to } => tracing::info!(scope, switched_to = to, "switched by hand"),
        }
    }
}

fn set_up(target: &Target, up: f64) {
    let (provider, model) = (target.provider.to_string(), target.model.to_string());
    gauge!(Metric::TargetUp.name(), "provider" => provider, "model" => model).set(up);
}
