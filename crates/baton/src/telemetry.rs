//! Sets up logs and, where an endpoint is configured, traces.

use std::io::IsTerminal;

use anyhow::Context;
use baton_config::{LogFormat, Telemetry};
use baton_telemetry::genai::SPAN_TARGET;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Keeps the exporter alive; flushes it at the end.
#[derive(Debug)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left.
    pub(crate) fn shut_down(&self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(error = %error, "the last traces were not sent");
        }
    }
}

/// Installs logs and traces for the process. Before the runtime starts: the exporter has its own thread.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the bare method is not general over lifetimes"
)]
pub(crate) fn install(config: &Telemetry) -> anyhow::Result<Traces> {
    // Spans are for traces: without an exporter nobody wants them, and then they cost nothing.
    // The MCP library logs what servers say of themselves.
    let wanted = format!("{},{SPAN_TARGET}=off,rmcp=off", config.log_filter);
    let filter = EnvFilter::try_new(wanted).context("`telemetry.log_filter`")?;
    let pretty = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    // A log line stands alone.
    let logs = if pretty {
        fmt::layer().with_writer(std::io::stderr).with_target(false).boxed()
    } else {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed()
    };
    // As one filter: of two in a row, each would have to say no for a span to cost nothing.
    let logs = logs.with_filter(filter.and(filter_fn(|meta| meta.is_event())));
    let provider = config.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("baton"))
            .with_filter(Targets::new().with_target(SPAN_TARGET, LevelFilter::INFO))
    });
    tracing_subscriber::registry().with(logs).with(traces).try_init().context("logs were set up before")?;
    Ok(Traces(provider))
}

/// OTLP over HTTP, in batches, from a thread of its own.
fn exporter(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let url = if endpoint.ends_with("/v1/traces") {
        endpoint.to_owned()
    } else {
        format!("{}/v1/traces", endpoint.trim_end_matches('/'))
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .build()
        .context("`telemetry.otlp_endpoint`")?;
    let resource = Resource::builder().with_service_name("baton").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
