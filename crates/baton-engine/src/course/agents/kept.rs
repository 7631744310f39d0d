//! What a run of agents needs to go on in another process: its tasks are open again, its tools are known.

use std::collections::HashMap;
use std::sync::Arc;

use baton_run::Task;
use serde_json::{Map, Value};

use super::{PREFIX, Scene, Way, request_of};

impl Way {
    /// Opens the conversation of a task that was given elsewhere. Whoever does it comes to work later.
    pub(in crate::course) fn open_scene(&mut self, to: usize, task: &Task) {
        let client = Arc::clone(&self.client);
        let Some(agents) = &mut self.agents else { return };
        let name = format!("{PREFIX}{}", agents.name(to));
        if let Some(base) = request_of(&client, &name, task) {
            agents.scenes.push(Scene { base: Arc::new(base), stations: HashMap::new() });
        }
    }

    /// The names of the tools that are run for an agent at work.
    pub(in crate::course) fn station_tools(&self, member: usize) -> Option<Vec<String>> {
        let station = self.agents.as_ref()?.station(member)?;
        Some(station.tools.iter().map(|tool| tool.name.clone()).collect())
    }

    /// The variables, as they are now.
    pub(in crate::course) fn context_now(&self) -> Option<&Map<String, Value>> {
        self.agents.as_ref().map(|agents| &agents.context)
    }

    /// The variables, as steps made them elsewhere; who is reached from whom follows.
    pub(in crate::course) fn set_context(&mut self, context: &Map<String, Value>) {
        if let Some(agents) = &mut self.agents {
            agents.context.clone_from(context);
            self.context_changed();
        }
    }
}
