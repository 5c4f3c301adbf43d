//! `sealpost run` as a child process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::config::parsed;
use super::metrics::Metrics;

const READY: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Environment: another binary than the one that was built for the tests, such as `target/release/sealpost`.
const BINARY: &str = "SEALPOST_BINARY";

/// Octets of the log's end that a failing test shows.
const MOST_SHOWN: usize = 256 * 1024;

/// One line of the log.
pub type Log = Value;

/// A running daemon. It is killed when dropped; if the test is failing, its log is printed.
pub struct Daemon {
    child: Child,
    directory: TempDir,
    pub smtp: Option<SocketAddr>,
    pub lmtp: Option<SocketAddr>,
    pub admin: SocketAddr,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Daemon {
    /// Starts the daemon with this configuration and waits until it is ready.
    ///
    /// `STATE` in the text stands for a directory of its own.
    pub async fn start(config: String) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &config).await
    }

    /// The same with a directory that the configuration may already refer to.
    pub async fn start_in(directory: TempDir, config: &str) -> Self {
        let mut daemon = Self::spawn_in(directory, config);
        daemon.wait_until_ready().await;
        daemon
    }

    /// The same without waiting.
    pub fn spawn_in(directory: TempDir, config: &str) -> Self {
        Self::spawn_under(&[], directory, config)
    }

    /// The same with other words before the command, such as `sh -c 'ulimit ...; exec "$0" "$@"'`.
    pub fn spawn_under(words: &[&str], directory: TempDir, config: &str) -> Self {
        Self::spawn(words, directory, config, |_| {})
    }

    /// The same with two listening sockets that it inherits under these names, as systemd passes them
    /// (sd_listen_fds(3)).
    pub fn spawn_passing(
        sockets: [(&str, TcpListener); 2],
        directory: TempDir,
        config: &str,
    ) -> Self {
        let [(one, first), (two, second)] = sockets;
        // They arrive as stdin and stdout, which need no unsafe code, and move to where they belong.
        let shell = format!(
            "exec 3<&0 4<&1 </dev/null >/dev/null; \
             export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES={one}:{two}; exec \"$0\" \"$@\""
        );
        Self::spawn(&["sh", "-c", &shell], directory, config, |command| {
            command.stdin(OwnedFd::from(first));
            command.stdout(OwnedFd::from(second));
        })
    }

    fn spawn(
        words: &[&str],
        directory: TempDir,
        config: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let config = config.replace("STATE", &directory.path().display().to_string());
        let table = parsed(&config);
        let listener = |protocol: &str| {
            let listeners = table.get("listen")?.as_array()?;
            let of =
                |l: &&toml::Value| l.get("protocol").and_then(|p| p.as_str()) == Some(protocol);
            listeners
                .iter()
                .filter(of)
                .find_map(|l| l.get("address")?.as_str()?.parse().ok())
        };
        let (smtp, lmtp) = (listener("smtp"), listener("lmtp"));
        let admin = table
            .get("admin")
            .and_then(|admin| admin.get("listen")?.as_str()?.parse().ok());
        let admin = admin.expect("a test's configuration has admin.listen");
        let file = directory.path().join("sealpost.toml");
        std::fs::write(&file, config).unwrap();
        let child = Self::run(words, directory.path(), change);
        Self {
            child,
            directory,
            smtp,
            lmtp,
            admin,
        }
    }

    fn run(words: &[&str], directory: &Path, change: impl FnOnce(&mut Command)) -> Child {
        let binary = std::env::var(BINARY);
        let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_sealpost"));
        let mut words = [words, &[binary]].concat().into_iter();
        let file = |name| {
            let path = directory.join(name);
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let mut command = Command::new(words.next().expect("there is the binary at least"));
        command
            .args(words)
            .args(["run", "--config"])
            .arg(directory.join("sealpost.toml"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("SEALPOST_CONFIG")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        change(&mut command);
        command.spawn().expect("the binary can be started")
    }

    /// Kills it with this signal, waits for its end and starts it again as it was; its log goes on.
    pub async fn restart(&mut self, signal: &str) {
        self.end(signal).await;
        self.start_again().await;
    }

    /// Ends it by this signal, `TERM` or `KILL`, and waits until it is gone.
    pub async fn end(&mut self, signal: &str) {
        self.signal(signal);
        self.gone().await;
    }

    /// Waits for its end.
    pub async fn gone(&mut self) {
        let gone = self.wait_exit(PATIENCE).await;
        assert!(gone.is_some(), "still there {PATIENCE:?} after a signal");
    }

    /// Sends SIGKILL this very moment, without a detour through kill(1).
    pub fn kill(&mut self) {
        self.child.kill().expect("the daemon is there");
    }

    /// Starts it again with the same file and directory, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.begin_again();
        self.wait_until_ready().await;
    }

    /// The same without waiting.
    pub fn begin_again(&mut self) {
        self.begin_again_under(&[]);
    }

    /// The same with other words before the command.
    pub fn begin_again_under(&mut self, words: &[&str]) {
        self.child = Self::run(words, self.directory.path(), |_| {});
    }

    pub async fn wait_until_ready(&mut self) {
        let until = Instant::now() + READY;
        loop {
            if self
                .get("/readyz")
                .await
                .is_some_and(|(status, _)| status == 200)
            {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("sealpost ended with {status}:\n{}", self.stderr());
            }
            assert!(
                Instant::now() < until,
                "not ready in {READY:?}:\n{}",
                self.stderr()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The daemon's directory: `sealpost.toml`, the state, what it printed.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The queue, as it is told to scripts.
    pub fn queue(&self) -> Vec<Value> {
        let file = self.config_file();
        let words = ["queue", "list", "--json", "--config"];
        let exit = Self::command(&[&words[..], &[file.to_str().unwrap()]].concat());
        assert_eq!(exit.code, Some(0), "{exit:?}");
        serde_json::from_str(&exit.stdout).unwrap()
    }

    /// Waits until nothing in the queue is left to be attempted; panics after 30 seconds.
    pub async fn at_rest(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let left = self.queue();
            if left.iter().all(|message| message["state"] == "held") {
                return;
            }
            assert!(Instant::now() < until, "{left:?}");
            tokio::time::sleep(POLL * 5).await;
        }
    }

    /// How many large contents are kept beside the database.
    pub fn kept_files(&self) -> usize {
        let inside = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
        let of_databases = inside(self.directory.path().join("queue"));
        of_databases.map(|entry| inside(entry.path()).count()).sum()
    }

    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("sealpost.toml")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Status and body of a GET; `None` if there was no answer within 5 seconds.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let request = async {
            let mut stream = TcpStream::connect(self.admin).await.ok()?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let status = answer.split(' ').nth(1)?.parse().ok()?;
            Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
        };
        tokio::time::timeout(Duration::from_secs(5), request)
            .await
            .ok()
            .flatten()
    }

    pub async fn metrics(&self) -> Metrics {
        let (status, text) = self.get("/metrics").await.expect("/metrics is answered");
        assert_eq!(status, 200, "{text}");
        Metrics::parse(&text)
    }

    /// The sum of all samples with these labels, now.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().await.get(name, labels)
    }

    /// Everything logged so far that is JSON.
    pub fn log(&self) -> Vec<Log> {
        self.stderr()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Everything printed to stderr so far.
    pub fn stderr(&self) -> String {
        let octets = std::fs::read(self.directory.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// A field of a log line, wherever the formatter has put it.
    pub fn field<'a>(line: &'a Log, name: &str) -> Option<&'a Value> {
        line.get(name).or_else(|| line.get("fields")?.get(name))
    }

    /// The `delivery` events so far.
    pub fn deliveries(&self) -> Vec<Log> {
        let of = |line: &Log| {
            ["event", "message"]
                .iter()
                .any(|name| Self::field(line, name).and_then(Value::as_str) == Some("delivery"))
        };
        self.log().into_iter().filter(of).collect()
    }

    /// Waits for a log line; panics after 20 seconds.
    pub async fn wait_log(&self, is_it: impl Fn(&Log) -> bool) -> Log {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().into_iter().find(&is_it) {
                return line;
            }
            assert!(
                Instant::now() < until,
                "no such log line:\n{}",
                self.stderr()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a metric is at least this; panics after 20 seconds.
    pub async fn wait_metric(&self, name: &str, labels: &[(&str, &str)], at_least: f64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let value = self.metric(name, labels).await;
            if value >= at_least {
                return;
            }
            assert!(
                Instant::now() < until,
                "{name} {labels:?} is {value}, not {at_least}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sends a signal by its name: `HUP`, `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(
            sent.expect("kill(1) exists").success(),
            "the daemon is gone"
        );
    }

    /// Writes another configuration and sends SIGHUP. What comes of it is in metric and log.
    pub fn reload(&self, config: &str) {
        self.write_config(config);
        self.signal("HUP");
    }

    /// Writes another configuration for the next start.
    pub fn write_config(&self, config: &str) {
        let config = config.replace("STATE", &self.directory.path().display().to_string());
        std::fs::write(self.config_file(), config).unwrap();
    }

    /// Waits for the end, at most so long; `None` if it goes on running.
    pub async fn wait_exit(&mut self, limit: Duration) -> Option<Exit> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let stdout = std::fs::read_to_string(self.directory.path().join("stdout"));
                let stdout = stdout.unwrap_or_default();
                return Some(Exit {
                    code: status.code(),
                    stdout,
                    stderr: self.stderr(),
                });
            }
            if Instant::now() > until {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Runs another subcommand to its end.
    pub fn command(arguments: &[&str]) -> Exit {
        let output = Command::new(env!("CARGO_BIN_EXE_sealpost"))
            .args(arguments)
            .env("NO_COLOR", "1")
            .env_remove("SEALPOST_CONFIG")
            .stdin(Stdio::null())
            .output()
            .expect("the binary can be started");
        Exit {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.stderr();
            let end = &log.as_bytes()[log.len().saturating_sub(MOST_SHOWN)..];
            eprintln!(
                "--- sealpost's stderr ---\n{}",
                String::from_utf8_lossy(end)
            );
        }
    }
}
