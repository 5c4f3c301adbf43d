//! `sealpost check` in an Internet without a daemon.

use lab::Internet;
use serde_json::Value;
use tempfile::TempDir;

use super::daemon::{Daemon, Exit};
use super::world::WorldBuilder;

/// An Internet and a configuration, without a daemon.
pub struct Bench {
    pub net: Internet,
    pub directory: TempDir,
}

impl Bench {
    pub async fn of(builder: WorldBuilder) -> Self {
        let (net, config) = builder.config("dns.timeout = '1s'").prepare().await;
        let directory = tempfile::tempdir().unwrap();
        let config = config.replace("STATE", &directory.path().display().to_string());
        std::fs::write(directory.path().join("sealpost.toml"), config).unwrap();
        Self { net, directory }
    }

    pub async fn check(&self, words: &[&str]) -> Exit {
        self.command("check", words).await
    }

    /// `sealpost scan`, without a pause before what failed is tried again.
    pub async fn scan(&self, words: &[&str]) -> Exit {
        let words = [&["--retry-after", "0"], words].concat();
        self.command("scan", &words).await
    }

    /// The records of a scan, by domain; exit code 0.
    pub async fn records(&self, words: &[&str]) -> Vec<Value> {
        let exit = self.scan(&[&["--format", "json"], words].concat()).await;
        assert_eq!(exit.code, Some(0), "{exit:?}");
        let lines = exit.stdout.lines();
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let mut records: Vec<Value> = lines.map(read).collect();
        records.sort_by_key(|record| record["domain"].to_string() + &record["group"].to_string());
        records
    }

    async fn command(&self, command: &str, words: &[&str]) -> Exit {
        let file = self.directory.path().join("sealpost.toml");
        let mut arguments = vec![
            command.to_owned(),
            "--config".to_owned(),
            file.display().to_string(),
        ];
        arguments.extend(words.iter().map(|word| (*word).to_owned()));
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Daemon::command(&arguments)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    pub async fn json(&self, words: &[&str]) -> (Option<i32>, Vec<Value>) {
        let exit = self.check(&[&["--json"], words].concat()).await;
        let reports =
            serde_json::from_str(&exit.stdout).unwrap_or_else(|e| panic!("{e}: {exit:?}"));
        (exit.code, reports)
    }
}
