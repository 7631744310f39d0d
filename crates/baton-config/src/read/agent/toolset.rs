//! Reads `toolsets`: what an agent may use beside the client's tools.

use super::keys;
use super::note::Notes;
use super::texts;
use crate::agents::{AgentServer, Folder};
use crate::read::names::Names;
use crate::reader::{At, Reader, Section};
use crate::value::{Wrong, did_you_mean, path};

/// How Docker Agent names servers of its catalogue.
const DOCKER: &str = "docker:";

/// What an agent has.
#[derive(Default)]
pub(super) struct Toolsets {
    pub(super) servers: Vec<AgentServer>,
    pub(super) folders: Vec<Folder>,
    /// Whether it may have others work while it goes on.
    pub(super) background: bool,
}

/// What is done about a type.
#[derive(Clone, Copy)]
enum Kind {
    Mcp,
    Filesystem,
    Background,
    Missing(&'static str),
    Refused(&'static str),
}

use Kind::{Background, Filesystem, Mcp, Missing, Refused};

const NO_PROGRAM: &str = "it starts programs, and no agent does";

const TYPES: [(&str, Kind); 27] = [
    ("mcp", Mcp),
    ("filesystem", Filesystem),
    ("background_agents", Background),
    ("mcp_catalog", Missing("configure the servers in `mcp_servers` and name them by `ref`")),
    ("think", Missing("use a model that reasons")),
    ("memory", Missing("nothing is remembered between requests; an MCP server can")),
    ("file", Missing("write `type: filesystem`")),
    ("tasks", Missing("there are no lists of tasks here")),
    ("plan", Missing("there are no plans of a session here")),
    ("session_plan", Missing("there are no plans of a session here")),
    ("session_context", Missing("the conversation is all that an agent sees")),
    ("todo", Missing("there are no lists of tasks here")),
    ("fetch", Missing("an MCP server can fetch; its address is filtered there")),
    ("api", Missing("only MCP servers have tools here")),
    ("openapi", Missing("only MCP servers have tools here")),
    ("open_url", Missing("only MCP servers have tools here")),
    ("lsp", Refused(NO_PROGRAM)),
    ("user_prompt", Missing("an agent asks by answering")),
    ("model_picker", Missing("a client picks the model or the agent")),
    ("scheduler", Missing("nothing runs on a schedule here")),
    ("rag", Missing("there is no retrieval here")),
    ("git", Refused(NO_PROGRAM)),
    ("webhook", Missing("only MCP servers have tools here")),
    ("shell", Refused(NO_PROGRAM)),
    ("script", Refused(NO_PROGRAM)),
    ("background_jobs", Refused(NO_PROGRAM)),
    ("a2a", Refused("agents elsewhere (A2A) are not reached by this version")),
];

pub(super) fn toolsets(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Toolsets {
    let mut all = Toolsets::default();
    for item in reader.list(at).unwrap_or_default() {
        let Some(mut section) = reader.section(&item) else { continue };
        read(reader, &item, &mut section, names, notes, &mut all);
        keys::note(reader, &mut section, &keys::TOOLSET, notes);
        reader.finish(section);
    }
    all
}

fn read(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    section: &mut Section<'_>,
    names: &Names<'_>,
    notes: &mut Notes,
    all: &mut Toolsets,
) {
    let Some(at) = reader.take(section, "type") else {
        reader.missing(section, "type", "such as `mcp` or `filesystem`");
        return;
    };
    let Some(kind) = reader.read(&at, |text| {
        let found = TYPES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let wrong = Wrong::new(format!("there is no toolset `{text}`"));
            match did_you_mean(text, TYPES.iter().map(|(name, _)| *name)) {
                Some(hint) => wrong.hint(hint),
                None => wrong.hint("`mcp`, `filesystem` and `background_agents` are there"),
            }
        })
    }) else {
        return;
    };
    match kind {
        Mcp => {
            notes.honoured(at.node.span, &at.path);
            all.servers.extend(read_server(reader, item, section, names, notes));
        }
        Filesystem => {
            notes.honoured(at.node.span, &at.path);
            all.folders.extend(read_folder(reader, item, section, notes));
        }
        Background => {
            notes.honoured(at.node.span, &at.path);
            all.background = true;
        }
        Missing(why) => notes.unsupported(at.node.span, &at.path, why),
        Refused(why) => reader.wrong(&at, Wrong::new(format!("refused: {why}")).hint("leave it out")),
    }
}

fn read_server(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    section: &mut Section<'_>,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Option<AgentServer> {
    let tools = notes.take(reader, section, "tools").map(|at| texts(reader, &at));
    let Some(at) = notes.take(reader, section, "ref") else {
        if section.has("command") || section.has("remote") {
            let why = "offers nothing without a `ref`: configure the server in `mcp_servers`";
            notes.warn(item.node.span, &item.path, why);
        } else {
            reader.missing(section, "ref", "the name of a server in `mcp_servers`");
        }
        return None;
    };
    let name = reader.read(&at, |text| {
        let bare = text.strip_prefix(DOCKER).unwrap_or(text);
        names.server(bare).map_err(|wrong| match bare == text {
            true => wrong,
            false => Wrong::new(format!("`{text}` is bound to no server"))
                .hint(format!("add `{bare}` to `mcp_servers`")),
        })
    })?;
    Some(AgentServer { name, tools })
}

fn read_folder(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    section: &mut Section<'_>,
    notes: &mut Notes,
) -> Option<Folder> {
    let tools = notes.take(reader, section, "tools").map(|at| texts(reader, &at));
    let write = notes.take(reader, section, "write").and_then(|at| reader.boolean(&at));
    let readonly = notes.take(reader, section, "readonly").and_then(|at| reader.boolean(&at));
    let roots_at = notes.take(reader, section, "roots");
    let roots: Vec<_> = roots_at
        .and_then(|at| reader.one_or_more(&at))
        .unwrap_or_default()
        .iter()
        .filter_map(|at| reader.read(at, path))
        .collect();
    if roots.is_empty() {
        let why = "offers nothing without `roots`: name the folders that the agent may read";
        notes.warn(item.node.span, &item.path, why);
        return None;
    }
    let write = write.unwrap_or_default() && !readonly.unwrap_or_default();
    Some(Folder { roots, write, tools })
}
