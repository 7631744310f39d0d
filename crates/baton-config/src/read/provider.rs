//! Reads `providers` and `default_provider`.

use baton_model::{Dialect, ModelName, ProviderName, Secret, nearest};
use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::{ProxyConfig, Trust};
use baton_upstream::{AuthScheme, BaseUrl, ModelNames, PRESETS, Preset, ProviderConfig, preset};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::load::detected_providers;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, did_you_mean};
use crate::{CaFile, Provider};

/// The provider that is always there, and answers in process.
pub(super) const BUILT_IN: &str = "echo";

/// Headers that belong to the connection or to Baton. The list is the upstream's; a test compares.
const OWN_HEADERS: [HeaderName; 14] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A provider of the file. Its name is known even if the rest of it is wrong, so that one mistake
/// does not make others.
pub(super) struct Entry {
    pub(super) name: ProviderName,
    pub(super) provider: Option<Provider>,
}

/// The providers of the file; if it says nothing of them, those of the environment.
pub(super) fn providers(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Vec<Entry> {
    let Some(at) = reader.take(top, "providers") else {
        return from_environment(reader);
    };
    let entries = reader.named(&at);
    entries.iter().filter_map(|entry| read(reader, entry)).collect()
}

/// The provider for names that nobody serves.
pub(super) fn default_provider(
    reader: &mut Reader<'_>,
    top: &mut Section<'_>,
    providers: &[Entry],
) -> Option<ProviderName> {
    let at = reader.take(top, "default_provider")?;
    let names = || providers.iter().map(|entry| entry.name.as_str()).chain([BUILT_IN]);
    reader.read(&at, |text| {
        let known = names().find(|name| *name == text).and_then(|name| name.parse().ok());
        known.ok_or_else(|| unknown_provider(text, names()))
    })
}

/// What is wrong with the name of a provider that is not there.
pub(super) fn unknown_provider<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Wrong {
    let wrong = Wrong::new(format!("provider `{name}` is not configured"));
    match did_you_mean(name, known) {
        Some(hint) => wrong.hint(hint),
        None if preset(name).is_some() => wrong.hint(format!("add `{name}` to `providers`")),
        None => wrong,
    }
}

fn from_environment(reader: &mut Reader<'_>) -> Vec<Entry> {
    let detected = detected_providers(&|name| reader.env(name));
    let found = detected.iter().filter_map(|found| preset(found.provider));
    found
        .filter_map(|preset| {
            let keys = key_of_environment(reader, preset).into_iter().collect();
            let mut upstream = ProviderConfig::from_preset(preset, keys).ok()?;
            if let Some(base_url) = base_url_of_environment(reader, preset) {
                upstream.base_url = base_url;
                upstream.responses = false;
            }
            let name = upstream.name.clone();
            Some(Entry { name, provider: Some(Provider { upstream, proxy: None, ca_file: None }) })
        })
        .collect()
}

fn key_of_environment(reader: &Reader<'_>, preset: &Preset) -> Option<Secret<String>> {
    let key = preset.key_env.iter().find_map(|name| reader.env(name))?.trim().to_owned();
    is_header_value(&key).then(|| Secret::new(key))
}

fn base_url_of_environment(reader: &Reader<'_>, preset: &Preset) -> Option<BaseUrl> {
    let host = reader.env(preset.host_env?)?;
    preset.base_url_from_host(&host).ok()
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>) -> Option<Entry> {
    let name: ProviderName = match entry.name.parse() {
        Ok(name) => name,
        Err(error) => {
            let wrong = Wrong::new(format!("{error}")).hint("letters, digits, `-`, `_` and `.`");
            reader.wrong_at(entry.key, &entry.value.path, wrong);
            return None;
        }
    };
    if entry.name == BUILT_IN {
        let wrong = Wrong::new("this provider is built in").hint("choose another name");
        reader.wrong_at(entry.key, &entry.value.path, wrong);
        return None;
    }
    let preset = preset(entry.name);
    let provider = match reader.section(&entry.value) {
        Some(mut section) => {
            let provider = read_section(reader, &mut section, entry, &name, preset);
            reader.finish(section);
            provider
        }
        None => None,
    };
    Some(Entry { name, provider })
}

fn read_section(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    entry: &Named<'_>,
    name: &ProviderName,
    preset: Option<&Preset>,
) -> Option<Provider> {
    let keys = read_keys(reader, section);
    let dialect_at = reader.take(section, "dialect");
    let url_at = reader.take(section, "base_url");
    let dialects = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    let dialect = dialect_at.as_ref().and_then(|at| reader.word(at, &dialects));
    let url = url_at.as_ref().and_then(|at| base_url(reader, at));
    let auth = reader.take(section, "auth").and_then(|at| read_auth(reader, &at));
    let models = reader.take(section, "models").and_then(|at| read_models(reader, &at));
    let responses_at = reader.take(section, "responses");
    let responses = responses_at.as_ref().and_then(|at| reader.boolean(at));
    let headers = reader.take(section, "headers").map(|at| read_headers(reader, &at)).unwrap_or_default();
    let proxy = reader.take(section, "proxy").and_then(|at| read_proxy(reader, &at));
    let ca_file = reader.take(section, "ca_file").and_then(|at| read_ca_file(reader, &at));

    let is_bare = dialect_at.is_none() && url_at.is_none();
    if let Some(meant) = nearest_preset(name).filter(|_| preset.is_none() && is_bare) {
        let wrong = Wrong::new("no preset has this name, and neither `dialect` nor `base_url` is given");
        reader.wrong_at(entry.key, &entry.value.path, wrong.hint(format!("did you mean `{meant}`?")));
    } else if preset.is_none() {
        for (key, is_there, hint) in [
            ("dialect", dialect_at.is_some(), "such as `openai_chat`; only presets have one of their own"),
            (
                "base_url",
                url_at.is_some(),
                "such as `http://127.0.0.1:8000/v1`; only presets have one of their own",
            ),
        ] {
            if !is_there {
                reader.missing(section, key, hint);
            }
        }
    }
    let mut upstream = match (preset, dialect, url) {
        (Some(preset), dialect, url) => {
            let url = url.or_else(|| base_url_of_environment(reader, preset));
            from_preset(preset, name, dialect, url)?
        }
        (None, Some(dialect), Some(url)) => ProviderConfig::new(name.clone(), dialect, url),
        (None, _, _) => return None,
    };
    upstream.credentials = match keys {
        Some(keys) => keys,
        None => preset.and_then(|preset| key_of_environment(reader, preset)).into_iter().collect(),
    };
    if let Some(preset) = preset.filter(|preset| preset.needs_key && url_at.is_none())
        && upstream.credentials.is_empty()
        && !section.has("api_key")
        && !section.has("api_keys")
    {
        let variable = preset.key_env.first().copied().unwrap_or("API_KEY");
        reader.missing(section, "api_key", format!("set `{variable}`, or write `api_key: ${{{variable}}}`"));
    }
    if let Some(auth) = auth {
        upstream.auth = auth;
    }
    match (responses, &responses_at) {
        (Some(true), Some(at)) if upstream.dialect != Dialect::OpenaiChat => {
            let wrong = Wrong::new("only a provider of `openai_chat` can have `/responses` beside it");
            reader.wrong(at, wrong.hint("leave it out"));
        }
        (Some(responses), _) => upstream.responses = responses,
        (None, _) => {}
    }
    if let Some(models) = models {
        upstream.models = models;
    }
    upstream.headers = header_map(reader, headers, &upstream.auth, &entry.value.path);
    Some(Provider { upstream, proxy, ca_file })
}

fn nearest_preset(name: &ProviderName) -> Option<&'static str> {
    nearest(name.as_str(), PRESETS.iter().map(|preset| preset.name))
}

/// A preset's row under the name of the file, with what the file says otherwise.
fn from_preset(
    preset: &Preset,
    name: &ProviderName,
    dialect: Option<Dialect>,
    url: Option<BaseUrl>,
) -> Option<ProviderConfig> {
    let mut upstream = ProviderConfig::from_preset(preset, Vec::new()).ok()?;
    upstream.name = name.clone();
    if let Some(dialect) = dialect.filter(|dialect| *dialect != upstream.dialect) {
        let url = url.clone().unwrap_or(upstream.base_url);
        upstream = ProviderConfig::new(name.clone(), dialect, url);
    }
    if let Some(url) = url {
        upstream.base_url = url;
        // What answers there is not known: many servers have chat completions alone.
        upstream.responses = false;
    }
    Some(upstream)
}

/// `api_key` or `api_keys`; `None` when the file gives neither.
fn read_keys(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<Vec<Secret<String>>> {
    let one = reader.take(section, "api_key");
    let many = reader.take(section, "api_keys");
    if let (Some(_), Some(many)) = (&one, &many) {
        reader.wrong_secret(
            many,
            Wrong::new("both `api_key` and `api_keys` are given").hint("keep one of them"),
        );
    }
    if let Some(at) = one {
        return Some(read_key(reader, &at).into_iter().collect());
    }
    let items = reader.list(&many?)?;
    Some(items.iter().filter_map(|at| read_key(reader, at)).collect())
}

fn read_key(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret<String>> {
    let key = reader.secret(at)?;
    if is_header_value(key.expose()) {
        return Some(key);
    }
    reader.wrong_secret(at, Wrong::new("the key has a space or a character that no header can carry"));
    None
}

fn is_header_value(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A URL without a password, a query or a fragment.
pub(super) fn base_url(reader: &mut Reader<'_>, at: &At<'_>) -> Option<BaseUrl> {
    reader.read(at, |text| {
        let error = match text.parse() {
            Ok(url) => return Ok(url),
            Err(error) => error,
        };
        let wrong = Wrong::new(format!("{error}"));
        let is_bare = !text.contains("://") && !text.contains(char::is_whitespace);
        Err(if is_bare { wrong.hint(format!("did you mean `http://{text}`?")) } else { wrong })
    })
}

fn read_auth(reader: &mut Reader<'_>, at: &At<'_>) -> Option<AuthScheme> {
    reader.read(at, |text| match text {
        "bearer" => Ok(AuthScheme::Bearer),
        "x-api-key" => Ok(AuthScheme::XApiKey),
        other => {
            let name = HeaderName::try_from(other).ok().filter(|name| !OWN_HEADERS.contains(name));
            name.map(AuthScheme::Header)
                .ok_or_else(|| Wrong::new("expected `bearer`, `x-api-key` or the name of a header"))
        }
    })
}

fn read_models(reader: &mut Reader<'_>, at: &At<'_>) -> Option<ModelNames> {
    let items = reader.list(at)?;
    let names: Vec<(&At<'_>, ModelName)> =
        items.iter().filter_map(|item| Some((item, reader.parse(item)?))).collect();
    let is_any = |name: &ModelName| name.as_str() == "*";
    for (item, name) in &names {
        if name.as_str().contains('*') && !is_any(name) {
            reader.wrong(
                item,
                Wrong::new("a pattern is not taken here").hint("list the names, or write `[\"*\"]` for any"),
            );
        }
    }
    if names.iter().any(|(_, name)| is_any(name)) {
        return Some(ModelNames::Any);
    }
    Some(ModelNames::Listed(names.into_iter().map(|(_, name)| name).collect()))
}

fn read_headers(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<(HeaderName, HeaderValue, Span)> {
    let mut headers = Vec::new();
    for entry in reader.named(at) {
        let Ok(name) = HeaderName::try_from(entry.name) else {
            reader.wrong_at(entry.key, &entry.value.path, Wrong::new("this is not the name of a header"));
            continue;
        };
        let Some(text) = reader.secret(&entry.value) else { continue };
        match HeaderValue::try_from(text.expose().as_str()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((name, value, entry.key));
            }
            Err(_not_shown) => {
                reader.wrong_secret(&entry.value, Wrong::new("no header can carry this value"));
            }
        }
    }
    headers
}

/// The headers as a map, without those that carry the key or belong to the connection.
fn header_map(
    reader: &mut Reader<'_>,
    headers: Vec<(HeaderName, HeaderValue, Span)>,
    auth: &AuthScheme,
    path: &str,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value, span) in headers {
        let carries_key = match auth {
            AuthScheme::Bearer => false,
            AuthScheme::XApiKey => name == "x-api-key",
            AuthScheme::Header(carrier) => name == *carrier,
        };
        if carries_key {
            let wrong = Wrong::new("this header carries the key").hint("write `api_key`");
            reader.wrong_at(span, &format!("{path}.headers.{name}"), wrong);
        } else if OWN_HEADERS.contains(&name) {
            let wrong = Wrong::new("Baton sets this header itself");
            reader.wrong_at(span, &format!("{path}.headers.{name}"), wrong);
        } else {
            map.append(name, value);
        }
    }
    map
}

/// The URL of a proxy may hold a user and a password, so it is never shown.
fn read_proxy(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret<String>> {
    let url = reader.secret(at)?;
    match ProxyConfig::new(url.expose()) {
        Ok(_usable) => Some(url),
        Err(error) => {
            reader.wrong_secret(at, Wrong::new(error.to_string()));
            None
        }
    }
}

fn read_ca_file(reader: &mut Reader<'_>, at: &At<'_>) -> Option<CaFile> {
    let (path, pem) = reader.file(at)?;
    let mut options = ClientOptions::new(Trust::Operator);
    options.extra_ca_pem = Some(pem.clone().into_bytes());
    match HttpClient::new(options) {
        Ok(_usable) => Some(CaFile { path, pem }),
        Err(error) => {
            reader.wrong(at, Wrong::new(error.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests;
