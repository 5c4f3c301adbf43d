//! A private instance of the machine's Postfix: its own configuration, queue and log in a temporary directory, on a
//! loopback address of its own. It never touches the instance that the machine itself may run.
//!
//! ```no_run
//! # fn example() -> std::io::Result<()> {
//! use lab::postfix::{Postfix, Setup};
//! if let Err(why) = lab::postfix::available() {
//!     println!("SKIPPED: {why}");
//!     return Ok(());
//! }
//! let postfix = Postfix::start(&Setup {
//!     listen: "127.0.0.5:2500".parse().unwrap(),
//!     main: "relayhost = [127.0.0.1]:2525".to_owned(),
//!     ..Setup::default()
//! })?;
//! // ... mail is given to 127.0.0.5:2500 ...
//! assert!(!postfix.log().contains("delivery temporarily suspended"));
//! # Ok(()) }
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(50);
/// How often Postfix is asked to try everything at once while its queue is to become empty.
const FLUSH: Duration = Duration::from_secs(3);
/// What every `main.cf` here begins with; `DIR` is the instance's directory.
const MAIN: &str = "compatibility_level = 3.6
queue_directory = DIR/spool
data_directory = DIR/data
maillog_file = DIR/log/mail
maillog_file_prefixes = DIR/log
myhostname = postfix.test
mydestination = postfix.test
local_transport = discard:
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
message_size_limit = 52428800
smtpd_peername_lookup = no
smtpd_recipient_limit = 1000
local_header_rewrite_clients =
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
";
/// The services that mail needs, as Debian has them but for chroot.
const MASTER: &str = "postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
";

/// What an instance is to be like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it takes mail over SMTP.
    pub listen: SocketAddr,
    /// Added to `main.cf`, where the last word wins; `DIR` stands for the instance's directory.
    pub main: String,
    /// Added to `master.cf`.
    pub master: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 2500)),
            main: String::new(),
            master: String::new(),
        }
    }
}

/// A running instance. It is stopped, and everything of it removed, when this is dropped.
#[derive(Debug)]
pub struct Postfix {
    directory: TempDir,
    listen: SocketAddr,
}

/// Whether an instance can be started.
///
/// # Errors
/// Says why not: no Postfix, or not root.
pub fn available() -> Result<(), String> {
    let effective = Command::new("id").arg("-u").output();
    let root = effective.is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        return Err("Postfix can be started by root only".to_owned());
    }
    match command("postconf").args(["-d", "mail_version"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) | Err(_) => Err("Postfix is not installed".to_owned()),
    }
}

impl Postfix {
    /// Starts an instance; it takes mail when this returns.
    ///
    /// # Errors
    /// If Postfix does not start, with what it said.
    pub fn start(setup: &Setup) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("postfix").tempdir()?;
        let path = directory.path();
        // Most of Postfix runs as another user, who has to get through.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        for name in ["etc", "spool", "data", "log", "mail"] {
            fs::create_dir(path.join(name))?;
        }
        for name in ["data", "mail"] {
            let owned = command("chown")
                .arg("postfix")
                .arg(path.join(name))
                .output()?;
            succeeded("chown", &owned)?;
        }
        let here = |text: &str| text.replace("DIR", &path.display().to_string());
        fs::write(
            path.join("etc/main.cf"),
            here(&format!("{MAIN}{}\n", setup.main)),
        )?;
        let mut master = format!("{MASTER}{} inet n - n - - smtpd\n", setup.listen);
        // Writing to a String cannot fail.
        let _ = writeln!(master, "{}", setup.master);
        fs::write(path.join("etc/master.cf"), here(&master))?;
        let postfix = Self {
            listen: setup.listen,
            directory,
        };
        let started = postfix.postfix("start")?;
        succeeded("postfix start", &started)
            .map_err(|error| io::Error::other(format!("{error}\n{}", postfix.log())))?;
        Ok(postfix)
    }

    /// Where it takes mail over SMTP.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Its `queue_directory`, which is the root of what it runs chrooted.
    pub fn queue_directory(&self) -> PathBuf {
        self.directory.path().join("spool")
    }

    /// What postmap(1) finds in a table for a key; `Err` with what it said where it failed.
    ///
    /// # Errors
    /// Nothing was found (then it is empty), or the table failed.
    pub fn look_up(&self, table: &str, key: &str) -> Result<String, String> {
        let etc = self.directory.path().join("etc");
        let mut postmap = command("postmap");
        postmap.arg("-c").arg(etc).args(["-q", key, table]);
        let output = postmap.output().map_err(|error| error.to_string())?;
        let said = |octets: &[u8]| String::from_utf8_lossy(octets).trim_end().to_owned();
        if output.status.success() {
            return Ok(said(&output.stdout));
        }
        Err(said(&output.stderr))
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        let octets = fs::read(self.directory.path().join("log/mail")).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// The lines of the log that hold this.
    pub fn lines(&self, text: &str) -> Vec<String> {
        let log = self.log();
        log.lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }

    /// Waits, 20 seconds at most, until so many lines of the log hold this; whether that came about.
    pub async fn wait_log(&self, text: &str, lines: usize) -> bool {
        let until = Instant::now() + crate::mx::PATIENCE;
        while self.lines(text).len() < lines {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// How many messages it has, in whatever queue.
    pub fn queued(&self) -> usize {
        let queues = ["maildrop", "hold", "incoming", "active", "deferred"];
        queues
            .map(|queue| files(&self.directory.path().join("spool").join(queue)).len())
            .iter()
            .sum()
    }

    /// Waits until it has no message any more, with a queue run now and then: its own timers have been seen to
    /// leave out a message that was deferred while a peer died. Whether that came about.
    pub async fn wait_until_empty(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        // A message is on its way between two directories for a moment: twice nothing is nothing.
        let mut empty = 0;
        let mut flush = Instant::now() + FLUSH;
        while empty < 2 {
            if Instant::now() > until {
                return false;
            }
            if Instant::now() > flush {
                // It says nothing that matters; if it fails, the queue does not become empty.
                let _ = self.queue_command("-f");
                flush = Instant::now() + FLUSH;
            }
            empty = if self.queued() == 0 { empty + 1 } else { 0 };
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// What it has, and why, in `postqueue`'s words.
    pub fn queue(&self) -> String {
        self.queue_command("-p").map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    fn queue_command(&self, what: &str) -> io::Result<Output> {
        let etc = self.directory.path().join("etc");
        command("postqueue").arg("-c").arg(etc).arg(what).output()
    }

    /// What it delivered into the maildir of `main.cf`'s [`maildir`]: the contents, in no order.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let new = self.directory.path().join("mail/all/new");
        files(&new)
            .iter()
            .filter_map(|file| fs::read(file).ok())
            .collect()
    }

    fn postfix(&self, verb: &str) -> io::Result<Output> {
        let mut command = command("postfix");
        command
            .arg("-c")
            .arg(self.directory.path().join("etc"))
            .arg(verb);
        command.stdin(Stdio::null()).output()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines = log.lines().collect::<Vec<_>>();
            eprintln!("--- the end of Postfix's log ---");
            lines[lines.len().saturating_sub(100)..]
                .iter()
                .for_each(|line| eprintln!("{line}"));
        }
        // `abort` waits for nobody; it fails only if the instance is gone.
        let _ = self.postfix("abort");
    }
}

/// Settings for `main.cf` by which a domain's mail goes into a maildir, octet by octet but for the ends of lines.
pub fn maildir(domain: &str) -> String {
    format!(
        "virtual_mailbox_domains = {domain}
virtual_mailbox_base = DIR/mail
virtual_mailbox_maps = static:all/
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
",
        uid = id("-u"),
        gid = id("-g"),
    )
}

/// The user `postfix`.
fn id(what: &str) -> String {
    let output = command("id").args([what, "postfix"]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        Ok(_) | Err(_) => Vec::new(),
    });
    below.collect()
}

/// Programs of administrators are not on everybody's path.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn succeeded(what: &str, output: &Output) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(io::Error::other(format!(
        "{what}: {}\n{said}",
        output.status
    )))
}
