//! A check in words.

use super::report::{Host, Report, Verdict, Visit};
use std::fmt::Write;

/// The report, step by step; nothing that a stranger sends can move the cursor.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out.chars()
        .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
        .collect()
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let destination = &report.destination;
    writeln!(out, "{}", destination.domain)?;
    match &destination.rule {
        Some(rule) => writeln!(out, "  rule         {rule}")?,
        None => writeln!(out, "  rule         none, policy.default applies")?,
    }
    if destination.next_hop != destination.domain {
        writeln!(out, "  next hop     {}", destination.next_hop)?;
    }
    writeln!(out, "  EHLO name    {}", report.hostname)?;
    for source in &report.sources {
        let names = match source.names.as_slice() {
            [] => "no PTR record".to_owned(),
            names => names.join(", "),
        };
        writeln!(out, "  source       {} ({names})", source.address)?;
    }
    if let Some(reply) = &report.reply {
        writeln!(out, "  no route     {reply}")?;
    }
    for host in &report.hosts {
        write_host(out, host)?;
    }
    let verdict = match report.verdict {
        Verdict::Deliverable => "mail would flow",
        Verdict::NotDeliverable => "mail would NOT flow",
        Verdict::Temporary => "mail would be deferred: a temporary failure of DNS or network",
    };
    writeln!(out, "  => {verdict}")
}

fn write_host(out: &mut String, host: &Host) -> std::fmt::Result {
    let name = host.host.as_deref().unwrap_or("address literal");
    write!(out, "  MX host      {name}")?;
    match &host.canonical {
        Some(canonical) if Some(canonical) != host.host.as_ref() => {
            writeln!(out, " (alias of {canonical})")?;
        }
        _ => writeln!(out)?,
    }
    if !host.addresses.is_empty() {
        writeln!(
            out,
            "    addresses  {} port {}",
            host.addresses.join(", "),
            host.port
        )?;
    }
    if let Some(policy) = &host.policy {
        write!(
            out,
            "    policy     {} ({} of {})",
            policy.level, policy.source, policy.subject
        )?;
        if !policy.accepts.is_empty() {
            write!(out, ", certificate for {}", policy.accepts.join(" or "))?;
        }
        writeln!(out, ", plaintext {}", policy.plaintext)?;
    }
    for visit in &host.visits {
        write_visit(out, visit)?;
    }
    match &host.reply {
        Some((reply, _)) => writeln!(out, "    fails      {reply}"),
        None => Ok(()),
    }
}

fn write_visit(out: &mut String, visit: &Visit) -> std::fmt::Result {
    if let Some(reply) = &visit.reply {
        return writeln!(out, "    {}: {reply}", visit.address);
    }
    let Some(version) = visit.tls else {
        return writeln!(out, "    {}: ok, in the clear", visit.address);
    };
    write!(out, "    {}: ok, TLSv{version}", visit.address)?;
    for word in [visit.cipher, visit.group].into_iter().flatten() {
        write!(out, " {word}")?;
    }
    write!(out, ", key {}", visit.key.as_deref().unwrap_or("unknown"))?;
    write!(
        out,
        ", authenticated {}",
        visit.authenticated.unwrap_or("none")
    )?;
    match &visit.certificate_problem {
        Some(problem) => writeln!(out, "; a full check says: {problem}"),
        None => writeln!(out, "; a full check finds nothing wrong"),
    }
}
