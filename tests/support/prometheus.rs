//! Debian's Prometheus as a child process, on a port and with a directory of its own.

use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const POLL: Duration = Duration::from_millis(100);

/// A running server. It is killed when dropped.
pub struct Prometheus {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
    patience: Duration,
}

impl Prometheus {
    /// Starts it and waits until it answers; all waiting is for so long at most.
    pub async fn start(configuration: &str, patience: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name| directory.path().join(name);
        std::fs::write(at("prometheus.yml"), configuration).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--log.format=json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).unwrap())
            .spawn()
            .expect("prometheus can be started");
        let mut prometheus = Self {
            child,
            directory,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            patience,
        };
        prometheus.address = prometheus
            .wait("its address", async |p| p.listening())
            .await;
        prometheus
            .wait("readiness", async |p| p.get("/-/ready").await)
            .await;
        prometheus
    }

    /// Where it says that it listens.
    fn listening(&self) -> Option<SocketAddr> {
        let lines = self.log();
        let mut lines = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find_map(|line| match line["msg"].as_str()? {
            "Listening on" => line["address"].as_str()?.parse().ok(),
            _ => None,
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn wait<T>(&self, what: &str, mut there: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(there) = there(self).await {
                return there;
            }
            assert!(
                Instant::now() < until,
                "no {what} in {:?}\n{}",
                self.patience,
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The body of a successful answer.
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        // Version 1.0: the body comes in one piece.
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        (head.split(' ').nth(1)? == "200").then(|| body.to_owned())
    }

    async fn api(&self, path: &str) -> Option<Value> {
        let body = self.get(&format!("/api/v1/{path}")).await?;
        let mut answer: Value = serde_json::from_str(&body).ok()?;
        Some(answer["data"].take())
    }

    /// Waits until its only target is up.
    pub async fn wait_for_healthy_target(&self) {
        let up = async |p: &Self| {
            let targets = p.api("targets").await?;
            let targets = targets["activeTargets"].as_array()?.clone();
            assert!(targets.len() < 2, "{targets:?}");
            (targets.first()?["health"] == "up").then_some(())
        };
        self.wait("healthy target", up).await;
    }

    /// Waits until a query has this one value.
    pub async fn wait_for(&self, query: &str, value: f64) {
        let path = format!("query?query={}", encoded(query));
        let is = async |p: &Self| {
            let answer = p.api(&path).await?;
            let found: f64 = match &answer["result"].as_array()?[..] {
                [one] => one["value"][1].as_str()?.parse().ok()?,
                _ => return None,
            };
            (found == value).then_some(())
        };
        self.wait(&format!("{value} for {query}"), is).await;
    }

    /// Alerts that are pending or firing.
    pub async fn alerts(&self) -> Vec<Value> {
        let alerts = self.api("alerts").await.expect("an answer");
        alerts["alerts"].as_array().expect("a list").clone()
    }

    /// Waits until an alert is pending or firing.
    pub async fn wait_for_alert(&self, name: &str) {
        let is = async |p: &Self| {
            let alerts = p.alerts().await;
            alerts
                .iter()
                .any(|alert| alert["labels"]["alertname"] == name)
                .then_some(())
        };
        self.wait(&format!("alert {name}"), is).await;
    }

    /// Waits until every rule was evaluated; the names of alerts in order. Panics if one cannot be.
    pub async fn wait_for_evaluated_rules(&self) -> Vec<String> {
        let all = async |p: &Self| {
            let answer = p.api("rules").await?;
            let groups = answer["groups"].as_array()?;
            let rules = groups
                .iter()
                .flat_map(|group| group["rules"].as_array().into_iter().flatten());
            let mut names = Vec::new();
            for rule in rules {
                let name = rule["name"].as_str()?;
                match rule["health"].as_str()? {
                    "ok" if rule["type"] == "recording" => {}
                    "ok" => names.push(name.to_owned()),
                    "err" => panic!("{name}: {}", rule["lastError"]),
                    _ => return None, // not yet
                }
            }
            names.sort_unstable();
            Some(names)
        };
        self.wait("evaluation of all rules", all).await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |encoded, octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {
                encoded + &char::from(octet).to_string()
            }
            _ => encoded + &format!("%{octet:02X}"),
        })
}
