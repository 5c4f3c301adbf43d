//! The servers themselves: one Postfix with a service for each case, one Exim and one OpenSMTPD for all of theirs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::Internet;
use lab::ca::Identity;
use lab::postfix::{Postfix, Setup};
use tempfile::TempDir;

use super::cases::{CASES, Case, Program, Published};
use super::tools;

const READY: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Of the private Postfix's usual service, which nobody asks.
const POSTFIX: u8 = 250;

/// A case with an address and a certificate.
pub(super) struct Host {
    pub case: Case,
    pub address: SocketAddr,
    pub identity: Option<Identity>,
}

/// All of them. They end when this is dropped.
pub(super) struct Servers {
    _postfix: Postfix,
    _extracted: Vec<Extracted>,
    pub hosts: Vec<Host>,
}

impl Servers {
    /// Publishes and starts all whose program is here, and waits until they greet.
    pub(super) fn start(net: &Internet) -> Self {
        let peers = peers();
        let hosts = CASES
            .iter()
            .filter(|case| case.program == Program::Postfix || peers.is_some());
        let hosts: Vec<Host> = hosts.map(|case| publish(net, *case)).collect();
        let postfix = postfix(net, &hosts);
        let extracted = match &peers {
            Some(peers) => vec![exim(peers, net, &hosts), opensmtpd(peers, net, &hosts)],
            None => Vec::new(),
        };
        for host in &hosts {
            wait_for_greeting(host, &extracted);
        }
        Self {
            _postfix: postfix,
            _extracted: extracted,
            hosts,
        }
    }
}

/// Where `make test` has extracted Exim and OpenSMTPD, beside our own program.
fn peers() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_sealpost"))
        .ancestors()
        .nth(2)
        .unwrap();
    let root = target.join("peers/root");
    let there = ["exim4", "smtpd"].map(|program| root.join("usr/sbin").join(program).is_file());
    if there == [true; 2] && tools::find("unshare").is_some() {
        return Some(root);
    }
    println!(
        "SKIPPED in part: no Exim and no OpenSMTPD in {} (make test-setup fetches them, as root)",
        root.display()
    );
    None
}

fn publish(net: &Internet, case: Case) -> Host {
    let (domain, name) = (case.domain(), case.host());
    let address = net.ports.next();
    net.dns
        .mx(&domain, 10, &name)
        .address_of(&name, address.ip());
    let identity = case.certificate.map(|cert| net.ca.issue(&cert(&name)));
    let other = net.ca.identity("another.test");
    let published = match (case.tlsa, &identity) {
        (Published::Nothing, _) | (_, None) => None,
        (Published::Right, Some(identity)) => Some(identity.leaf()),
        (Published::Wrong, Some(_)) => Some(other.leaf()),
    };
    if let Some(certificate) = published {
        net.dns
            .secure(&domain)
            .tlsa(&name, address.port(), "3 1 1", certificate);
    }
    Host {
        case,
        address,
        identity,
    }
}

fn of(hosts: &[Host], program: Program) -> impl Iterator<Item = &Host> {
    hosts
        .iter()
        .filter(move |host| host.case.program == program)
}

fn postfix(net: &Internet, hosts: &[Host]) -> Postfix {
    let mut master = String::new();
    for host in of(hosts, Program::Postfix) {
        let name = host.case.host();
        writeln!(master, "{} inet n - n - - smtpd", host.address).unwrap();
        let mut set = |setting: &str| writeln!(master, " -o {{ {setting} }}").unwrap();
        set(&format!("myhostname = {name}"));
        match &host.identity {
            Some(identity) => {
                let files = net.ca.files(identity);
                let (key, cert) = (files.key.display(), files.cert.display());
                set("smtpd_tls_security_level = may");
                set(&format!("smtpd_tls_chain_files = {key}, {cert}"));
            }
            None => set("smtpd_tls_security_level = none"),
        }
        host.case.settings.iter().for_each(|setting| set(setting));
    }
    let setup = Setup {
        listen: net.ports.at(POSTFIX),
        main: String::new(),
        master,
    };
    Postfix::start(&setup).unwrap()
}

/// A server that was extracted from its package, in namespaces of its own.
struct Extracted {
    child: Child,
    directory: TempDir,
}

impl Extracted {
    fn start(program: &str, peers: &Path, directory: TempDir) -> Self {
        let log = File::create(directory.path().join("log")).unwrap();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop_scan/isolated.sh"
        );
        let child = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child=KILL",
            ])
            .args(["sh", script])
            .args([peers, directory.path()])
            .arg(program)
            .env("PATH", tools::path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Extracted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- {} ---\n{}",
                self.directory.path().display(),
                self.log()
            );
        }
    }
}

/// A directory that another user can read, with the certificates and keys of these hosts, named by their addresses.
fn directory<'a>(hosts: impl Iterator<Item = &'a Host>, key_mode: u32) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for host in hosts {
        let Some(identity) = &host.identity else {
            continue;
        };
        let name = host.address.ip().to_string();
        let files = identity.write_pem(directory.path(), &name).unwrap();
        fs::set_permissions(files.key, fs::Permissions::from_mode(key_mode)).unwrap();
    }
    directory
}

/// Exim chooses by the address that it is called at.
fn exim(peers: &Path, net: &Internet, hosts: &[Host]) -> Extracted {
    let hosts: Vec<&Host> = of(hosts, Program::Exim).collect();
    let directory = directory(hosts.iter().copied(), 0o644);
    let path = directory.path().display();
    let list = |hosts: &mut dyn Iterator<Item = &&Host>| {
        hosts
            .map(|host| host.address.ip().to_string())
            .collect::<Vec<_>>()
    };
    let all = list(&mut hosts.iter()).join(" ; ");
    let secured = list(&mut hosts.iter().filter(|host| host.identity.is_some()));
    let secured = secured.iter().map(|ip| format!("{ip}: *\n"));
    fs::write(
        directory.path().join("secured"),
        secured.collect::<String>(),
    )
    .unwrap();
    let mut priorities = String::new();
    let mut names = String::new();
    for host in &hosts {
        let ip = host.address.ip();
        writeln!(names, "{ip}: {}", host.case.host()).unwrap();
        for priority in host.case.settings {
            writeln!(priorities, "{ip}: {priority}").unwrap();
        }
    }
    fs::write(directory.path().join("priorities"), priorities).unwrap();
    fs::write(directory.path().join("names"), names).unwrap();
    let at = "$received_ip_address";
    let conf = format!(
        "exim_path = {program}
primary_hostname = exim.test
local_interfaces = <; {all}
daemon_smtp_ports = {port}
host_lookup =
smtp_accept_max = 0
smtp_active_hostname = ${{lookup{{{at}}}lsearch{{{path}/names}}}}
tls_advertise_hosts = ${{lookup{{{at}}}lsearch{{{path}/secured}}}}
tls_certificate = {path}/{at}.crt
tls_privatekey = {path}/{at}.key
tls_require_ciphers = ${{lookup{{{at}}}lsearch{{{path}/priorities}}{{$value}}{{NORMAL}}}}
",
        program = peers.join("usr/sbin/exim4").display(),
        port = net.ports.port(),
    );
    fs::write(directory.path().join("conf"), conf).unwrap();
    Extracted::start("exim", peers, directory)
}

fn opensmtpd(peers: &Path, net: &Internet, hosts: &[Host]) -> Extracted {
    let hosts: Vec<&Host> = of(hosts, Program::OpenSmtpd).collect();
    let directory = directory(hosts.iter().copied(), 0o600);
    let path = directory.path().display();
    let (mut keys, mut listeners) = (String::new(), String::new());
    for host in hosts {
        let (ip, name) = (host.address.ip(), host.case.host());
        let mut tls = String::new();
        if host.identity.is_some() {
            writeln!(keys, "pki {name} cert \"{path}/{ip}.crt\"").unwrap();
            writeln!(keys, "pki {name} key \"{path}/{ip}.key\"").unwrap();
            tls = format!(" tls pki {name}");
        }
        let port = net.ports.port();
        writeln!(listeners, "listen on {ip} port {port}{tls} hostname {name}").unwrap();
    }
    let conf = format!("{keys}{listeners}match from any for any reject\n");
    fs::write(directory.path().join("conf"), conf).unwrap();
    Extracted::start("opensmtpd", peers, directory)
}

fn wait_for_greeting(host: &Host, extracted: &[Extracted]) {
    let until = Instant::now() + READY;
    while !greets(host.address) {
        let logs: Vec<String> = extracted.iter().map(Extracted::log).collect();
        let name = host.case.name;
        assert!(
            Instant::now() < until,
            "{name} does not start:\n{}",
            logs.join("\n")
        );
        std::thread::sleep(POLL);
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(address) else {
        return false;
    };
    let mut greeting = [0; 4];
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .is_ok()
        && socket.read_exact(&mut greeting).is_ok()
        && greeting == *b"220 "
}
