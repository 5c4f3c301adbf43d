//! The package and the units, as an administrator meets them: built, installed, run under systemd, upgraded, removed.
//! What would change this machine happens on a layer over its files. Without root, dpkg, overlayfs or systemd-nspawn
//! these tests say SKIPPED and pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it is test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::{TempDir, tempdir};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealpost");
/// Seconds after which a sandbox is ended, which takes 20.
const PATIENCE: &str = "150";

#[test]
fn the_unit_fits_the_systemd_that_it_is_for() {
    for (version, kind, commands) in [
        ("257", "notify-reload", 1),
        ("253", "notify-reload", 1),
        ("252", "notify", 2), // Debian 12
        ("252.39-1~deb12u1", "notify", 2),
        ("", "notify", 2),
        ("unknown", "notify", 2),
    ] {
        let mut adapt = command("sh");
        adapt.args(["systemd/adapt.sh", version, "/usr/local/sbin/sealpost"]);
        adapt.stdin(fs::File::open("systemd/sealpost.service").unwrap());
        let unit = said(&mut adapt);
        let of = |key: &str| -> Vec<String> {
            let values = unit.lines().filter_map(|line| line.strip_prefix(key));
            values.map(str::to_owned).collect()
        };
        assert_eq!(of("Type="), [kind], "{version}");
        let reloads = of("ExecReload=");
        assert_eq!(reloads.len(), commands, "{version}: {reloads:?}");
        // The signal comes first: the check tells what became of it.
        assert_eq!(reloads.len() == 2, reloads[0] == "/bin/kill -HUP $MAINPID");
        let check = "/usr/local/sbin/sealpost config check --config /etc/sealpost/sealpost.toml";
        assert_eq!(reloads.last().unwrap(), check, "{version}");
        let run = "/usr/local/sbin/sealpost run --config /etc/sealpost/sealpost.toml";
        assert_eq!(of("ExecStart="), [run], "{version}");
    }
}

#[test]
fn make_install_keeps_a_configuration_and_so_does_make_uninstall() {
    let root = tempdir().unwrap();
    let make = |goal: &str| {
        let mut make = command("make");
        make.args([goal, &format!("BINARY={PROGRAM}")]);
        make.arg(format!("DESTDIR={}", root.path().display()));
        said(&mut make)
    };
    let at = |path: &str| root.path().join(path);
    make("install");
    for file in [
        "usr/local/sbin/sealpost",
        "usr/local/lib/systemd/system/sealpost.service",
        "usr/local/lib/systemd/system/sealpost.socket",
        "usr/local/share/man/man1/sealpost.1",
        "usr/local/share/bash-completion/completions/sealpost",
        "usr/local/share/zsh/site-functions/_sealpost",
        "usr/local/share/fish/vendor_completions.d/sealpost.fish",
        "usr/local/share/man/man5/sealpost.toml.5",
        "usr/local/share/sealpost/postfix/lmtp.cf",
        "usr/local/share/sealpost/prometheus/alerts.yml",
        "usr/local/share/doc/sealpost/docs/install.md",
    ] {
        assert!(at(file).is_file(), "{file}");
    }
    let config = at("etc/sealpost/sealpost.toml");
    let shipped = fs::read("config/sealpost.toml").unwrap();
    assert_eq!(fs::read(&config).unwrap(), shipped);
    fs::write(&config, "# mine\n").unwrap();
    make("install");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    make("uninstall");
    assert_eq!(files(root.path()), [config]);
}

#[test]
fn the_socket_in_postfixs_directory_has_one_name() {
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let unit = read("systemd/sealpost-postfix.socket");
    let path = unit.lines().find_map(|l| l.strip_prefix("ListenStream="));
    let path = path.unwrap();
    let of_listen = format!("\n#address = \"unix:{path}\"\n");
    assert!(read("config/sealpost.toml").contains(&of_listen), "{path}");
    let name = path.strip_prefix("/var/spool/postfix/").unwrap();
    for file in ["config/postfix/lmtp.cf", "config/postfix/transport"] {
        assert!(read(file).contains(&format!(":unix:{name}\n")), "{file}");
    }
    // A service of that name has a socket of Postfix's own there.
    let services = read("config/postfix/master.cf");
    let name = name.strip_prefix("private/").unwrap();
    let service = format!("{name} ");
    assert!(!services.lines().any(|line| line.starts_with(&service)));
}

#[test]
fn the_same_program_makes_the_same_package() {
    if !has("dpkg-deb") {
        return;
    }
    let directory = tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let out = directory.path().join(name);
        fs::read(package("1.0", &out)).unwrap()
    });
    assert!(one == other, "two builds differ");
}

#[test]
fn the_package_is_installed_upgraded_and_purged_without_a_trace() {
    let Some(shared) = shared() else { return };
    let ended = sandbox("chroot", shared.path());
    judge(&shared, &ended);
}

#[test]
fn systemd_runs_the_package_and_postfix_uses_it() {
    if !has("systemd-nspawn") {
        return;
    }
    let Some(shared) = shared() else { return };
    let ended = sandbox("boot", shared.path());
    if !shared.path().join("said").exists() {
        println!("SKIPPED: systemd-nspawn cannot boot here: {ended:?}");
        return;
    }
    judge(&shared, &ended);
}

/// Two versions of the package, a certificate and the scripts; `None` if there cannot be a sandbox.
fn shared() -> Option<TempDir> {
    if !["dpkg-deb", "unshare", "perl"].into_iter().all(has) {
        return None;
    }
    let shared = tempdir().unwrap();
    let tried = sandbox("try", shared.path());
    if !tried.status.success() {
        println!("SKIPPED: no layer over this machine's files: {tried:?}");
        return None;
    }
    for script in fs::read_dir("tests/packaging").unwrap() {
        let script = script.unwrap();
        fs::copy(script.path(), shared.path().join(script.file_name())).unwrap();
    }
    for (name, version) in [("first.deb", "1.0"), ("second.deb", "1.1")] {
        let built = package(version, shared.path());
        fs::rename(built, shared.path().join(name)).unwrap();
    }
    let pair = rcgen::generate_simple_self_signed(["relay.sandbox.test".to_owned()]).unwrap();
    fs::write(shared.path().join("cert.pem"), pair.cert.pem()).unwrap();
    fs::write(
        shared.path().join("key.pem"),
        pair.signing_key.serialize_pem(),
    )
    .unwrap();
    Some(shared)
}

fn sandbox(mode: &str, shared: &Path) -> Output {
    // All of it ends with the first process, and is gone with it.
    let mut sandbox = command("timeout");
    sandbox.args(["--kill-after=5", PATIENCE, "unshare", "--mount", "--pid"]);
    sandbox.args(["--fork", "--kill-child", "--mount-proc", "sh"]);
    sandbox
        .args(["tests/packaging/sandbox.sh", mode])
        .arg(shared);
    sandbox.output().unwrap()
}

/// Every check of the script came out well, and it came to its end.
fn judge(shared: &TempDir, ended: &Output) {
    let said = fs::read_to_string(shared.path().join("said")).unwrap_or_default();
    let failed = said
        .lines()
        .filter(|line| line.starts_with("FAILED"))
        .count();
    assert!(
        failed == 0 && said.ends_with("done\n") && said.lines().count() > 30,
        "{said}\n{ended:?}"
    );
    for skipped in said
        .lines()
        .filter_map(|line| line.strip_prefix("skipped "))
    {
        println!("SKIPPED: {skipped}");
    }
}

/// A package of the program that is tested.
fn package(version: &str, out: &Path) -> PathBuf {
    let mut make = command("make");
    make.args(["deb", "COMPRESSION=none"]);
    make.arg(format!("BINARY={PROGRAM}"));
    make.arg(format!("VERSION={version}"));
    make.arg(format!("OUT={}", out.display()));
    said(&mut make);
    let built = files(out).into_iter();
    let named = format!("sealpost_{version}_");
    let mut built = built.filter(|path| path.to_string_lossy().contains(&named));
    built.next().expect("it says that it was built")
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    // `make test` may be what runs this.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
        command.env_remove(variable);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::null());
    command
}

/// What a command prints that must succeed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn has(program: &str) -> bool {
    let found = command("sh")
        .args(["-c", "command -v \"$0\"", program])
        .output();
    let found = found.unwrap().status.success();
    if !found {
        println!("SKIPPED: {program} is not installed");
    }
    found
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let below = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(below).collect()
}
