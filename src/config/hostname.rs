//! The machine's fully qualified name, where the file has none.

use crate::names::DomainName;
use std::path::Path;

/// The host name if it is qualified, else the canonical name that /etc/hosts gives it.
pub(super) fn of_this_machine() -> Result<DomainName, String> {
    let name = nix::unistd::gethostname().map_err(|error| error.to_string())?;
    let name = name.to_string_lossy().into_owned();
    let hosts = super::read_bounded(Path::new("/etc/hosts")).unwrap_or_default();
    qualify(&name, &hosts)
}

/// hosts(5): address, canonical name, aliases.
fn qualify(name: &str, hosts: &str) -> Result<DomainName, String> {
    let qualified = |text: &str| {
        DomainName::parse(text)
            .ok()
            .filter(DomainName::is_qualified)
            .filter(|name| !name.as_str().starts_with("localhost."))
    };
    if let Some(name) = qualified(name) {
        return Ok(name);
    }
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
        .filter(|names| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
        .find_map(|names| names.into_iter().find_map(qualified))
        .ok_or_else(|| format!("this machine's name, {name:?}, is not fully qualified"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_qualified_by_the_hosts_file_or_not_at_all() {
        let hosts = "127.0.0.1 localhost.localdomain localhost\n\
                     # 192.0.2.9 wrong.example mx\n\
                     192.0.2.1 MX.example.net mx # ours\n\
                     192.0.2.2 other.example.net other\n";
        for (name, expected) in [
            ("mx", Some("mx.example.net")),
            ("mail.example.org", Some("mail.example.org")), // needs no hosts file
            ("other", Some("other.example.net")),
            ("localhost", None),
            ("unknown", None),
            ("", None),
        ] {
            let got = qualify(name, hosts).ok();
            assert_eq!(got.as_ref().map(DomainName::as_str), expected, "{name}");
        }
    }
}
