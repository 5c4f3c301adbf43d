//! Sealpost as shipped: only what is not this machine's (names, ports, directories) is set.

use super::processes::Tree;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// The running daemon. It ends with this value.
#[derive(Debug)]
pub struct Sealpost {
    process: Process,
    directory: TempDir,
    pub address: SocketAddr,
    /// Of `/metrics` and `/readyz`.
    pub admin: SocketAddr,
}

#[derive(Debug)]
struct Process(Child);

/// What it does.
#[derive(Debug, Clone)]
pub enum Work {
    /// It passes on what comes by SMTP.
    Smtp,
    /// By LMTP.
    Lmtp,
    /// It keeps what comes by SMTP; this is `queue.retry`, and what else is set, as TOML.
    Queue { retry: &'static str, more: String },
}

/// What differs from one run to another.
#[derive(Debug)]
pub struct Setup<'a> {
    pub program: &'a Path,
    pub directory: &'a Path,
    pub work: Work,
    pub resolver: SocketAddr,
    pub trust_anchor: PathBuf,
    /// The port of all MX hosts.
    pub port: u16,
    pub keep: bool,
}

impl Sealpost {
    /// Starts it in a directory of its own, and waits until it accepts mail.
    pub async fn start(setup: &Setup<'_>) -> io::Result<Self> {
        let directory = new_directory(setup)?;
        let mut sealpost = Self::spawn(setup, directory)?;
        sealpost.wait_until(greets).await?;
        Ok(sealpost)
    }

    /// Starts it where another one was; its work has begun when this returns.
    pub fn spawn(setup: &Setup<'_>, directory: TempDir) -> io::Result<Self> {
        let [address, admin] = [free_address()?, free_address()?];
        let file = write_configuration(setup, directory.path(), [address, admin])?;
        let log = File::create(directory.path().join("log"))?;
        let child = Command::new(setup.program)
            .args(["run", "--config"])
            .arg(file)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        Ok(Self {
            process: Process(child),
            directory,
            address,
            admin,
        })
    }

    /// Ends it as an administrator would; what it leaves behind.
    pub fn stop(self) -> io::Result<TempDir> {
        let Self {
            mut process,
            directory,
            ..
        } = self;
        let id = process.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        process.0.wait()?;
        Ok(directory)
    }

    pub fn tree(&self) -> Tree {
        Tree {
            root: self.process.0.id(),
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A page that it shows to anyone, if it is shown without an error.
    pub fn page(&self, path: &str) -> Option<String> {
        page(self.admin, path)
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = self.page("/metrics")?;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    /// Waits until it is there, by this sign, which is looked for at its address.
    pub async fn wait_until(&mut self, is_there: fn(SocketAddr) -> bool) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            if is_there(self.address) {
                return Ok(());
            }
            if self.process.0.try_wait()?.is_some() || begin.elapsed() > START {
                let log = fs::read_to_string(self.directory.path().join("log"));
                let log = log.unwrap_or_default();
                return Err(io::Error::other(format!("Sealpost does not start:\n{log}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a daemon can live.
pub fn new_directory(setup: &Setup<'_>) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new()
        .prefix("bench-sealpost-")
        .disable_cleanup(setup.keep)
        .tempdir_in(setup.directory)?;
    fs::create_dir(directory.path().join("state"))?;
    Ok(directory)
}

/// Where a daemon that lives there has its messages.
pub fn database(directory: &Path) -> PathBuf {
    directory.join("state/sealpost.db")
}

fn page(admin: SocketAddr, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(admin).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_good = head.split(' ').nth(1) == Some("200");
    is_good.then(|| body.to_owned())
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Whether a mail server greets there.
pub fn greets(address: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(address) else {
        return false;
    };
    let mut greeting = [0; 4];
    let timeout = socket.set_read_timeout(Some(Duration::from_secs(5)));
    timeout.is_ok() && socket.read_exact(&mut greeting).is_ok() && greeting == *b"220 "
}

fn write_configuration(
    setup: &Setup<'_>,
    directory: &Path,
    [address, admin]: [SocketAddr; 2],
) -> io::Result<PathBuf> {
    let state = directory.join("state");
    let file = directory.join("sealpost.toml");
    let (protocol, custody, more) = match &setup.work {
        Work::Smtp => ("smtp", "client", String::new()),
        Work::Lmtp => ("lmtp", "client", String::new()),
        Work::Queue { retry, more } => {
            let queue = format!("[queue]\nretry = [\"{retry}\"]\n{more}");
            ("smtp", "queue", queue)
        }
    };
    let Setup {
        resolver,
        trust_anchor,
        port,
        ..
    } = setup;
    let state = state.display();
    let anchor = trust_anchor.display();
    let text = format!(
        r#"hostname = "relay.bench.test"
state_dir = "{state}"
[[listen]]
address = "{address}"
protocol = "{protocol}"
[relay]
custody = "{custody}"
[dns]
servers = ["{resolver}"]
trust_anchor = "{anchor}"
[outbound]
port = {port}
blocked_networks = []
[store]
url = "sqlite://{state}/sealpost.db"
[admin]
listen = "{admin}"
socket = "{state}/admin.sock"
[log]
format = "text"
{more}"#
    );
    fs::write(&file, text)?;
    Ok(file)
}
