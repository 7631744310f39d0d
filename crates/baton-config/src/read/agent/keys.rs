//! The keys of Docker Agent that are not honoured here, and why.
//!
//! - **Invariant:** every key of its schema is honoured somewhere or stands in one of these tables.

use super::note::Notes;
use crate::reader::{Reader, Section};
use crate::value::Wrong;

/// What is done about a key.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It changes nothing here.
    Nothing(&'static str),
    /// It is not done here.
    Missing(&'static str),
    /// It is refused.
    Refused(&'static str),
}

use Fate::{Missing, Nothing, Refused};

/// Of the top level.
pub(super) const TOP: [(&str, Fate); 11] = [
    ("version", Nothing("every version is read alike")),
    ("metadata", Nothing("it is for people")),
    ("mcps", Missing("configure the servers in `mcp_servers` and name them by `ref`")),
    ("toolsets", Missing("give the toolsets to each agent")),
    ("rag", Missing("there is no retrieval here")),
    ("commands", Missing("clients have no commands here")),
    ("skills", Missing("there are no skills here")),
    ("permissions", Missing("leave tools out with `tools` of a toolset")),
    ("runtime", Missing("there is no sandbox here, as no agent starts a program")),
    ("budgets", Missing("write `budget`, for every run, or give an agent one of its own")),
    ("flavors", Missing("write one file for each")),
];

/// Of an agent.
pub(super) const AGENT: [(&str, Fate); 29] = [
    ("welcome_message", Nothing("nobody is welcomed by a request")),
    ("use_toolsets", Missing("give the toolsets to each agent")),
    ("harness", Refused("no agent starts a program")),
    ("code_mode_tools", Missing("models call tools one by one")),
    ("add_date", Missing("write it into the instruction or the request")),
    ("add_environment_info", Missing("an agent knows nothing of this machine")),
    ("add_prompt_files", Missing("write `instruction_file`")),
    ("add_prompt_files_depth", Missing("write `instruction_file`")),
    ("add_description_parameter", Missing("tools keep the schema that they have")),
    ("readonly", Missing("leave `write` out of `filesystem`")),
    ("safety", Missing("no tool is asked about yet")),
    ("redact_secrets", Missing("prompts are sent as they are, and not recorded")),
    ("max_consecutive_tool_calls", Missing("`max_iterations` bounds an agent")),
    ("max_old_tool_call_tokens", Missing("the whole conversation is sent")),
    ("max_tool_result_tokens", Missing("`max_result` of a server bounds its results")),
    ("num_history_items", Missing("write `handoff_config.history` in the request")),
    ("session_compaction", Missing("the whole conversation is sent")),
    ("compaction_threshold", Missing("the whole conversation is sent")),
    ("compaction_model", Missing("the whole conversation is sent")),
    ("budgets", Missing("write `budget`")),
    ("commands", Missing("clients have no commands here")),
    ("use_commands", Missing("clients have no commands here")),
    ("hooks", Missing("no agent starts a program; rules of a policy act between turns")),
    ("cache", Missing("answers are not kept")),
    ("skills", Missing("there are no skills here")),
    ("use_skills", Missing("there are no skills here")),
    ("rag", Missing("there is no retrieval here")),
    ("title_model", Missing("conversations have no titles here")),
    ("instruction_files", Missing("write `instruction_file`")),
];

/// Of a model's alias.
pub(super) const MODEL: [(&str, Fate); 14] = [
    ("description", Nothing("it is for people")),
    ("track_usage", Nothing("usage is always asked for")),
    ("bypass_models_gateway", Nothing("this is the gateway")),
    ("base_url", Missing("write it under `providers`")),
    ("token_key", Missing("write `api_key` under `providers`")),
    ("auth", Missing("write it under `providers`")),
    ("provider_opts", Missing("settings are those that every provider knows")),
    ("task_budget", Missing("write `budget`")),
    ("routing", Missing("write a route, and rules in its policy")),
    ("title_model", Missing("conversations have no titles here")),
    ("compaction_model", Missing("the whole conversation is sent")),
    ("compaction_threshold", Missing("the whole conversation is sent")),
    ("unload_api", Missing("models are not unloaded here")),
    ("penalties", Missing("write `frequency_penalty` and `presence_penalty`")),
];

/// Of a toolset, beside what its type honours.
pub(super) const TOOLSET: [(&str, Fate); 41] = [
    ("config", Missing("configure the server in `mcp_servers`")),
    ("command", Missing("configure the server in `mcp_servers` and name it by `ref`")),
    ("args", Missing("configure the server in `mcp_servers` and name it by `ref`")),
    ("env", Missing("configure the server in `mcp_servers` and name it by `ref`")),
    ("remote", Missing("configure the server in `mcp_servers` and name it by `ref`")),
    ("instruction", Missing("write it into the agent's `instruction`")),
    ("model", Missing("an agent's turns all go to its models")),
    ("toon", Missing("results are given as they are")),
    ("shared", Missing("nothing is shared between agents")),
    ("path", Missing("write `roots`")),
    ("shell", Refused("no agent starts a program")),
    ("post_edit", Refused("no agent starts a program")),
    ("api_config", Missing("only MCP servers have tools here")),
    ("webhook_config", Missing("only MCP servers have tools here")),
    ("rag_config", Missing("there is no retrieval here")),
    ("defer", Missing("tools are offered from the beginning")),
    ("timeout", Missing("write `call_timeout` of the server")),
    ("allowed_domains", Missing("write `mcp_allow_urls`")),
    ("blocked_domains", Missing("write `mcp_allow_urls`")),
    ("allow_private_ips", Missing("an address of the file may be private")),
    ("allow_list", Missing("write `roots`")),
    ("deny_list", Missing("write `roots` that leave it out")),
    ("url", Missing("configure the server in `mcp_servers`")),
    ("headers", Missing("write them under the server in `mcp_servers`")),
    ("name", Nothing("a server is called by its `ref`")),
    ("models", Missing("a client picks the model or the agent")),
    ("version", Nothing("a server has one version")),
    ("working_dir", Missing("programs start where the gateway did")),
    ("lifecycle", Missing("servers are connected when they are needed")),
    ("allowed_servers", Missing("name each server by `ref`")),
    ("blocked_servers", Missing("name each server by `ref`")),
    ("file_types", Missing("there is no language server here")),
    ("ignore_vcs", Missing("every file of the roots is seen")),
    ("recall", Missing("nothing is remembered between requests")),
    ("sudo_askpass", Refused("no agent starts a program")),
    ("tools", Missing("this toolset offers none")),
    ("ref", Missing("only `mcp` has one")),
    ("readonly", Missing("only `filesystem` has it")),
    ("roots", Missing("only `filesystem` has it")),
    ("write", Missing("only `filesystem` has it")),
    ("oauth", Missing("write `headers` of the server")),
];

/// Notes what came of each key of a section that is not honoured. Keys that were taken stay as they were noted.
pub(super) fn note(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    table: &[(&'static str, Fate)],
    notes: &mut Notes,
) {
    for (key, fate) in table {
        if section.was_taken(key) {
            continue;
        }
        let Some((span, path)) = section.place_of(key) else { continue };
        match fate {
            Nothing(why) => notes.without_effect(span, &path, *why),
            Missing(why) => notes.unsupported(span, &path, *why),
            Refused(why) => {
                reader.wrong_at(span, &path, Wrong::new(format!("refused: {why}")).hint("leave it out"));
            }
        }
    }
}
