//! An instance of Debian's Postfix of its own, in a temporary directory, in its best set-up: connections
//! and TLS sessions are used again, 200 processes, nothing that looks into messages or waits on purpose.

use super::peers::domain;
use super::processes::Tree;
use super::sealpost::{free_address, greets};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/sbin/postfix";
/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the shipped settings deliver to.
const SHIPPED_ADDRESS: &str = "unix:private/sealpost";

/// Where it lives, and what is set beside what this benchmark needs.
#[derive(Debug, Clone, Copy)]
pub struct PostfixSetup<'a> {
    pub directory: &'a Path,
    pub keep: bool,
    /// Lines of main.cf; of two that name the same, the last one counts.
    pub further: &'a [String],
}

/// The running instance. Its processes and files end with this value.
#[derive(Debug)]
pub struct Postfix {
    directory: TempDir,
    tree: Tree,
    pub address: SocketAddr,
}

/// How it gets rid of its mail.
#[derive(Debug, Clone)]
pub enum Way {
    /// By itself: the domain with number N to the Nth of these hosts.
    Direct(Vec<SocketAddr>),
    /// By the shipped settings, through the Sealpost that listens here for LMTP.
    Through(SocketAddr),
}

/// What becomes of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    Delivered,
    /// Until [`Postfix::unhold`] and [`Postfix::flush`].
    Held,
}

/// Why it cannot be measured on this machine.
pub fn obstacle() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        Some("this is not root")
    } else if !Path::new(PROGRAM).exists() {
        Some("there is no /usr/sbin/postfix (Debian package postfix)")
    } else {
        None
    }
}

/// Its version.
pub fn version() -> String {
    let output = Command::new("/usr/sbin/postconf")
        .args(["-dh", "mail_version"])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

impl Postfix {
    pub async fn start(setup: &PostfixSetup<'_>, way: &Way, intake: Intake) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("bench-postfix-")
            .permissions(fs::Permissions::from_mode(0o755)) // user postfix must come in
            .disable_cleanup(setup.keep)
            .tempdir_in(setup.directory)?;
        let address = free_address()?;
        let tree = Tree { root: 0 };
        let mut postfix = Self {
            directory,
            tree,
            address,
        };
        postfix.configure(way, intake, setup.further)?;
        postfix.ask(PROGRAM, &["start"])?;
        let begin = Instant::now();
        while !postfix.is_up() {
            if begin.elapsed() > PATIENCE {
                return Err(postfix.failure("does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(postfix)
    }

    pub fn tree(&self) -> Tree {
        self.tree
    }

    /// Puts what is held into the deferred queue, which is looked at only when it is asked to.
    pub fn unhold(&self) -> io::Result<()> {
        self.ask("/usr/sbin/postsuper", &["-H", "ALL"])
    }

    /// Begins to deliver the deferred queue.
    pub fn flush(&self) -> io::Result<()> {
        self.ask("/usr/sbin/postqueue", &["-f"])
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let output = self.run(program, arguments)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(self.failure(&String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// What went wrong, with the end of the log.
    fn failure(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        let end = lines[lines.len().saturating_sub(20)..].join("\n");
        io::Error::other(format!("Postfix {what}:\n{end}"))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn is_up(&mut self) -> bool {
        let id = fs::read_to_string(self.path("queue/pid/master.pid"));
        let Some(root) = id.ok().and_then(|id| id.trim().parse().ok()) else {
            return false;
        };
        self.tree = Tree { root };
        greets(self.address)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Output> {
        Command::new(program)
            .arg("-c")
            .arg(self.path("config"))
            .args(arguments)
            .output()
    }

    fn configure(&self, way: &Way, intake: Intake, further: &[String]) -> io::Result<()> {
        for name in ["config", "queue", "data"] {
            fs::create_dir(self.path(name))?;
        }
        let user = nix::unistd::User::from_name("postfix").map_err(io::Error::from)?;
        let user = user.ok_or_else(|| io::Error::other("there is no user postfix"))?;
        nix::unistd::chown(&self.path("data"), Some(user.uid), Some(user.gid))?;
        let mut main = main_cf(&self.directory.path().display().to_string());
        let mut master = master_cf(self.address);
        match way {
            Way::Direct(hosts) => {
                let transport = self.path("config/transport");
                fs::write(&transport, transport_map(hosts))?;
                let _ = writeln!(main, "transport_maps = texthash:{}", transport.display());
            }
            Way::Through(sealpost) => {
                let shipped = include_str!("../../config/postfix/lmtp.cf");
                main.push_str(&shipped.replace(SHIPPED_ADDRESS, &format!("inet:{sealpost}")));
                master.push_str(include_str!("../../config/postfix/master.cf"));
            }
        }
        if intake == Intake::Held {
            main.push_str("smtpd_recipient_restrictions = check_client_access static:HOLD\n");
        }
        for setting in further {
            let _ = writeln!(main, "{setting}");
        }
        fs::write(self.path("config/main.cf"), main)?;
        fs::write(self.path("config/master.cf"), master)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.run(PROGRAM, &["abort"]);
        if self.tree.root == 0 {
            return;
        }
        let begin = Instant::now();
        loop {
            let left = self.tree.processes();
            if left.is_empty() {
                break;
            }
            if begin.elapsed() > PATIENCE / 10 {
                let ids = left.iter().map(ToString::to_string);
                let _ = Command::new("kill").arg("-9").args(ids).output();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn main_cf(directory: &str) -> String {
    format!(
        "compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.bench.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = none
default_process_limit = 200
in_flow_delay = 0
default_destination_concurrency_limit = 50
smtp_destination_concurrency_limit = 50
initial_destination_concurrency = 50
smtp_tls_security_level = may
smtp_tls_connection_reuse = yes
smtp_tls_session_cache_database = btree:{directory}/data/smtp_scache
queue_run_delay = 3600s
minimal_backoff_time = 3600s
"
    )
}

/// The services of a stock master.cf that are needed, without chroot.
fn master_cf(address: SocketAddr) -> String {
    format!(
        "{address} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsproxy unix - - n - 0 tlsproxy
postlog unix-dgram n - n - 1 postlogd
"
    )
}

/// Postfix needs no resolver: each domain has its host.
fn transport_map(hosts: &[SocketAddr]) -> String {
    let mut map = String::new();
    for (number, host) in (0..).zip(hosts) {
        let _ = writeln!(
            map,
            "{} smtp:[{}]:{}",
            domain(number),
            host.ip(),
            host.port()
        );
    }
    map
}
