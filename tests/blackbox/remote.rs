//! `--url`: commands that ask a gateway elsewhere, and the routes under `/admin/v1` that they ask.

mod elsewhere;
mod routes;

use tokio::process::Command;

use super::keys::create;
use super::support::{Baton, Home, Output, finished};

/// A gateway, and another machine with nothing but its URL and a key.
struct Far {
    server: Baton,
    here: Home,
    /// The key of an administrator, and its id.
    admin: String,
    admin_id: String,
}

impl Far {
    async fn start(config: &str) -> Self {
        let server = Baton::start(config).await;
        let admin = create(&server, &["far", "--role", "admin"]).await;
        Self { server, here: Home::new(""), admin: admin.secret, admin_id: admin.id }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// A command on the other machine, with this key.
    fn command(&self, url: &str, key: Option<&str>, arguments: &[&str]) -> Command {
        let mut command = self.here.command(&[arguments, &["--url", url]].concat());
        command.envs(key.map(|key| ("BATON_ADMIN_KEY", key)));
        command
    }

    /// Runs a command as the administrator. No key is in what it says, and nothing is left on the machine.
    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_at(&self.url(), arguments).await
    }

    async fn run_at(&self, url: &str, arguments: &[&str]) -> Output {
        let output = finished(self.command(url, Some(&self.admin), arguments)).await;
        let said = format!("{}{}", output.out, output.err);
        assert!(!said.contains(&self.admin), "the key is shown: {output:?}");
        assert!(!self.here.data().exists(), "a data directory was made here");
        output
    }
}
