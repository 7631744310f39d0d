//! Turns a checked configuration into what engine and gate run on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_access::HostPolicy;
use baton_api::Access;
use baton_config::{Config, McpEndpoint, Provider};
use baton_engine::{CatalogBuilder, Route, Settings, Specialist, Specialists};
use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::{ProxyConfig, Trust};
use baton_upstream::Upstream;

/// What distinguishes one client's pool from another's.
type ClientKey = (Duration, Option<String>, Option<String>);

/// The engine's view of a configuration.
pub(crate) fn settings(config: &Config) -> anyhow::Result<Settings> {
    let connect = config.default_policy().map_or(Duration::from_secs(2), |policy| policy.timeouts().connect);
    let mut clients: HashMap<ClientKey, HttpClient> = HashMap::new();
    let mut upstreams = vec![Arc::new(Upstream::echo())];
    for provider in &config.providers {
        let mut client = |connect: Duration| {
            client(&mut clients, connect, provider)
                .with_context(|| format!("provider `{}`", provider.upstream.name))
        };
        let usual = client(connect)?;
        let others: BTreeSet<Duration> = config
            .policies
            .iter()
            .map(|policy| policy.timeouts().connect)
            .filter(|time| *time != connect)
            .collect();
        let others =
            others.into_iter().map(|time| Ok((time, client(time)?))).collect::<anyhow::Result<_>>()?;
        upstreams.push(Arc::new(Upstream::with_clients(provider.upstream.clone(), usual, others)?));
    }
    let policy = |name: &str| config.policy(name).cloned().with_context(|| format!("no policy `{name}`"));
    let routes = config
        .routes
        .iter()
        .map(|route| {
            let policy = policy(&route.policy)?;
            Ok((route.name.clone(), Route { pool: route.pool.clone(), policy, handoff: route.handoff }))
        })
        .collect::<anyhow::Result<_>>()?;
    let (knowledge_version, knowledge) = config.knowledge();
    let catalog = CatalogBuilder {
        upstreams,
        knowledge: Arc::new(knowledge),
        knowledge_version,
        routes,
        default_provider: config.default_provider.clone(),
        policies: config.policies.clone(),
        default_policy: policy(baton_config::DEFAULT_POLICY)?,
        crew: Arc::new(crate::agents::crew(&config.agents)?),
    };
    let specialists = specialists(&config.mcp_endpoint);
    Ok(Settings {
        version: config.version().to_owned(),
        catalog: catalog.build(),
        specialists,
        workflows: config.workflows.clone(),
    })
}

fn specialists(endpoint: &McpEndpoint) -> Specialists {
    let row = |row: &baton_config::Specialist| Specialist {
        name: row.name.clone(),
        models: row.models.clone(),
        prompt_style: row.prompt_style.clone(),
        focus: row.focus.clone(),
    };
    Specialists {
        rows: endpoint.specialists.iter().map(row).collect(),
        otherwise: endpoint.otherwise.clone(),
        select: endpoint.select.clone(),
    }
}

/// The gate's view of a configuration.
pub(crate) fn access(config: &Config) -> Access {
    Access {
        required: config.auth.required,
        host_policy: config.listen.ip().is_loopback().then(|| HostPolicy::new(config.cors.origins.clone())),
        max_body_bytes: usize::try_from(config.limits.max_body_bytes).unwrap_or(usize::MAX),
        cors_origins: config.cors.origins.clone(),
    }
}

/// One client for all providers that connect alike, so that they share its pool.
pub(crate) fn client(
    clients: &mut HashMap<ClientKey, HttpClient>,
    connect: Duration,
    provider: &Provider,
) -> anyhow::Result<HttpClient> {
    let proxy = provider.proxy.as_ref().map(|url| url.expose().clone());
    let pem = provider.ca_file.as_ref().map(|file| file.pem.clone());
    let key = (connect, proxy.clone(), pem.clone());
    if let Some(client) = clients.get(&key) {
        return Ok(client.clone());
    }
    let mut options = ClientOptions::new(Trust::Operator);
    options.connect_timeout = connect;
    options.extra_ca_pem = pem.map(String::into_bytes);
    options.proxy = proxy.map(|url| ProxyConfig::new(&url)).transpose()?;
    let client = HttpClient::new(options)?;
    clients.insert(key, client.clone());
    Ok(client)
}
