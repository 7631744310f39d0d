//! The webhooks of the file. Their URLs are the operator's and may be private ones.

use anyhow::Context as _;
use baton_config::{Config, WebhookSettings};
use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::Trust;
use baton_net::webhook::Webhook;

/// Where checkpoints go.
pub(crate) fn checkpoints(settings: &WebhookSettings) -> anyhow::Result<Webhook> {
    webhook(settings).context("`audit.checkpoints.webhook`")
}

/// Where alerts go.
pub(crate) fn alerts(settings: &WebhookSettings) -> anyhow::Result<Webhook> {
    webhook(settings).context("`audit.alerts.webhook`")
}

/// Where it is told that runs have ended.
pub(crate) fn runs(settings: &WebhookSettings) -> anyhow::Result<Webhook> {
    webhook(settings).context("`runs.webhook`")
}

/// Whether all of a configuration can be made.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    config.audit.checkpoints.webhook.as_ref().map(checkpoints).transpose()?;
    config.runs.webhook.as_ref().map(runs).transpose()?;
    config.audit.alerts.as_ref().map(|it| alerts(&it.webhook)).transpose()?;
    crate::agents::crew(&config.agents)?;
    Ok(())
}

fn webhook(settings: &WebhookSettings) -> anyhow::Result<Webhook> {
    let client = HttpClient::new(ClientOptions::new(Trust::Operator))?;
    Ok(Webhook::new(&settings.url, settings.secret.expose(), client)?)
}
