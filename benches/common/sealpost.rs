//! Sealpost as shipped: only what is not this machine's (names, ports, directories) is set.

use crate::processes::Tree;
use std::fs::{self, File};
use std::io::{self, Read as _};
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
    child: Child,
    directory: TempDir,
    pub address: SocketAddr,
}

/// What differs from one run to another.
#[derive(Debug)]
pub struct Setup<'a> {
    pub program: &'a Path,
    pub directory: &'a Path,
    /// "smtp" or "lmtp".
    pub protocol: &'static str,
    pub resolver: SocketAddr,
    pub trust_anchor: PathBuf,
    /// The port of all MX hosts.
    pub port: u16,
    pub keep: bool,
}

impl Sealpost {
    pub async fn start(setup: &Setup<'_>) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bench-sealpost-")
            .disable_cleanup(setup.keep)
            .tempdir_in(setup.directory)?;
        let address = free_address()?;
        let file = write_configuration(setup, directory.path(), address)?;
        let log = File::create(directory.path().join("log"))?;
        let child = Command::new(setup.program)
            .args(["run", "--config"])
            .arg(file)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let mut sealpost = Self {
            child,
            directory,
            address,
        };
        sealpost.wait_for_greeting().await?;
        Ok(sealpost)
    }

    pub fn tree(&self) -> Tree {
        Tree {
            root: self.child.id(),
        }
    }

    async fn wait_for_greeting(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            if greets(self.address) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || begin.elapsed() > START {
                let log = fs::read_to_string(self.directory.path().join("log"));
                let log = log.unwrap_or_default();
                return Err(io::Error::other(format!("Sealpost does not start:\n{log}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Sealpost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    address: SocketAddr,
) -> io::Result<PathBuf> {
    let state = directory.join("state");
    fs::create_dir(&state)?;
    let file = directory.join("sealpost.toml");
    let Setup {
        protocol,
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
custody = "client"
[dns]
servers = ["{resolver}"]
trust_anchor = "{anchor}"
[outbound]
port = {port}
blocked_networks = []
[store]
url = "sqlite://{state}/sealpost.db"
[admin]
listen = "off"
socket = "{state}/admin.sock"
[log]
format = "text"
"#
    );
    fs::write(&file, text)?;
    Ok(file)
}
