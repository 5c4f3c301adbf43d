//! Unbound, which serves the zones and validates what it serves.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::Ports;
use tempfile::TempDir;

use super::tools;
use super::zones::{Records, Zones};

/// Last octets of its addresses, next to those of Sealpost.
const DNS: u8 = 248;
const CONTROL: u8 = 249;

const READY: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A running server with a signed world of its own. It is killed when dropped; if the test is failing, its log is
/// printed.
#[derive(Debug)]
pub(super) struct Unbound {
    child: Child,
    directory: TempDir,
    zones: Zones,
    address: SocketAddr,
}

impl Unbound {
    /// Starts one, where nobody else of this network listens and at these addresses.
    pub(super) fn start(ports: &Ports, also: &[SocketAddr], records: &Records) -> Self {
        // On a machine with AppArmor the installed file may read nothing but the machine's own configuration.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = directory.path();
        let program = path.join("unbound");
        std::fs::copy(tools::find("unbound").unwrap(), &program).unwrap();
        let zones = Zones::new(path, records);
        let address = ports.at(DNS);
        let listen = [&[address], also].concat();
        let config = config(&zones, &listen, ports.at(CONTROL), path);
        std::fs::write(path.join("unbound.conf"), config).unwrap();
        std::fs::write(path.join("host.conf"), host_config(&zones, address)).unwrap();
        let log = File::create(path.join("log")).unwrap();
        let child = Command::new(program)
            .args(["-d", "-c"])
            .arg(path.join("unbound.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut unbound = Self {
            child,
            directory,
            zones,
            address,
        };
        unbound.wait_until_ready();
        unbound
    }

    fn wait_until_ready(&mut self) {
        let until = Instant::now() + READY;
        while !self.control(&["status"]).output().unwrap().status.success() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("unbound ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < until,
                "unbound is not ready:\n{}",
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// For `dns.servers`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `dns.trust_anchor`.
    pub(super) fn trust_anchor(&self) -> PathBuf {
        self.zones.trust_anchor()
    }

    /// Serves these records from now on, and remembers nothing of those before.
    pub(super) fn publish(&mut self, records: &Records) {
        self.zones.sign(records);
        for (apex, _) in self.zones.files() {
            self.tell(&["auth_zone_reload", apex]);
            self.tell(&["flush_zone", apex]);
        }
    }

    /// What libunbound thinks of an answer: `secure`, `insecure` or `BOGUS`.
    pub(super) fn proof(&self, name: &str, record_type: &str) -> String {
        let config = self.directory.path().join("host.conf");
        let config = config.display().to_string();
        let said = tools::run(
            "unbound-host",
            &["-C", &config, "-v", "-t", record_type, name],
        );
        let proof = ["(BOGUS", "(insecure", "(secure"]
            .into_iter()
            .find(|word| said.contains(word));
        proof.map_or_else(|| said.clone(), |proof| proof[1..].to_owned())
    }

    fn tell(&self, words: &[&str]) {
        let output = self.control(words).output().unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            tools::said(&output)
        );
    }

    fn control(&self, words: &[&str]) -> Command {
        let mut command = tools::command("unbound-control");
        command
            .arg("-c")
            .arg(self.directory.path().join("unbound.conf"))
            .args(words);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of Unbound's log ---");
            let log = self.log();
            let lines = log.lines().collect::<Vec<_>>();
            for line in &lines[lines.len().saturating_sub(60)..] {
                eprintln!("{line}");
            }
        }
    }
}

fn config(
    zones: &Zones,
    listen: &[SocketAddr],
    control: SocketAddr,
    directory: &std::path::Path,
) -> String {
    let interface =
        |address: &SocketAddr| format!("  interface: {}@{}\n", address.ip(), address.port());
    let interfaces = listen.iter().map(interface).collect::<String>();
    let mut text = format!(
        r#"server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  verbosity: 1
  val-log-level: 2
{interfaces}  access-control: 127.0.0.0/8 allow
  do-ip6: no
  do-not-query-localhost: no
  trust-anchor-file: "{anchor}"
  local-zone: "test." nodefault
  val-bogus-ttl: 1
  val-max-restart: 0
  ede: yes
remote-control:
  control-enable: yes
  control-interface: {control_ip}
  control-port: {control_port}
  control-use-cert: no
"#,
        directory = directory.display(),
        anchor = zones.trust_anchor().display(),
        control_ip = control.ip(),
        control_port = control.port(),
    );
    for (apex, file) in zones.files() {
        text.push_str(&format!(
            "auth-zone:\n  name: \"{apex}\"\n  zonefile: \"{}\"\n  for-upstream: yes\n  for-downstream: no\n",
            file.display()
        ));
    }
    text
}

/// Another validator that asks this server and believes nothing.
fn host_config(zones: &Zones, server: SocketAddr) -> String {
    format!(
        r#"server:
  trust-anchor-file: "{anchor}"
  local-zone: "test." nodefault
  do-not-query-localhost: no
  do-ip6: no
  val-max-restart: 0
forward-zone:
  name: "."
  forward-addr: {ip}@{port}
"#,
        anchor = zones.trust_anchor().display(),
        ip = server.ip(),
        port = server.port(),
    )
}
