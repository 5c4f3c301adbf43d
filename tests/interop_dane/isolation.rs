//! A machine of our own for Postfix's tools, which ask the servers of /etc/resolv.conf, at port 53 and nowhere else:
//! the test runs again in a network, a mount and a process namespace, where both belong to nobody else.

use std::process::{Command, Stdio};

use super::tools;

/// Set in the second run.
const INSIDE: &str = "SEALPOST_INTEROP_INSIDE";

/// Where a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In namespaces of its own: 127.0.0.1:53 is free, and is the server of /etc/resolv.conf.
    Inside,
    /// On the machine itself.
    Outside,
}

/// Runs this very test, known by its full name, again inside and passes its outcome on; what it is to do itself is
/// returned, if anything.
///
/// # Panics
/// If the test failed inside.
pub(super) fn isolate(test: &str) -> Option<Place> {
    if std::env::var_os(INSIDE).is_some() {
        return Some(Place::Inside);
    }
    if let Err(why) = possible() {
        eprintln!("SKIPPED in part: no namespaces here, thus no posttls-finger: {why}");
        return Some(Place::Outside);
    }
    let output = namespaces()
        .arg(
            "ip link set lo up && resolv=$(mktemp) && echo nameserver 127.0.0.1 >$resolv \
             && mount --bind $resolv /etc/resolv.conf && rm $resolv && exec \"$0\" \"$@\"",
        )
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    println!("{}", tools::said(&output));
    assert!(
        output.status.success(),
        "{test} failed inside: {}",
        output.status
    );
    None
}

/// Whether namespaces can be had, and posttls-finger.
fn possible() -> Result<(), String> {
    if tools::find("posttls-finger").is_none() {
        return Err("posttls-finger is not installed".to_owned());
    }
    for program in ["unshare", "ip", "mount"] {
        tools::find(program).ok_or_else(|| format!("{program} is not installed"))?;
    }
    let tried = namespaces()
        .arg("ip link set lo up && mount --bind /dev/null /etc/resolv.conf")
        .output()
        .map_err(|error| error.to_string())?;
    if tried.status.success() {
        Ok(())
    } else {
        Err(tools::said(&tried))
    }
}

/// A shell inside; the script is to be added. It does not outlive us.
fn namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--mount-proc"]);
    command.args(["--kill-child=KILL", "sh", "-c"]);
    command.env("PATH", tools::path()).stdin(Stdio::null());
    command
}
