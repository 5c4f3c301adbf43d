//! A check in words.

mod facts;

use super::report::{Host, Policy, Report, Sts, StsPolicy, Tlsa, Verdict, Visit};
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
    writeln!(out, "  DNSSEC       {}", report.dnssec)?;
    if let Some(proof) = report.mx_proof {
        write!(out, "  MX records   {proof}")?;
        match &report.expanded {
            Some(expanded) => writeln!(out, ", at {expanded}")?,
            None => writeln!(out)?,
        }
    }
    if let Some(sts) = &report.mta_sts {
        write_sts(out, sts)?;
    }
    if let Some(tlsrpt) = &report.tlsrpt {
        facts::write_tlsrpt(out, tlsrpt)?;
    }
    if let Some(reply) = &report.reply {
        writeln!(out, "  no route     {reply}")?;
    }
    for host in &report.hosts {
        write_host(out, host)?;
    }
    facts::write_findings(out, &report.findings)?;
    let verdict = match report.verdict {
        Verdict::Deliverable => "mail would flow",
        Verdict::NotDeliverable => "mail would NOT flow",
        Verdict::Temporary => "mail would be deferred: a temporary failure of DNS or network",
    };
    writeln!(out, "  => {verdict}")
}

fn write_sts(out: &mut String, sts: &Sts) -> std::fmt::Result {
    writeln!(out, "  MTA-STS      of {}: {}", sts.domain, sts.record)?;
    match (&sts.published, &sts.failure) {
        (Some(policy), _) => write_sts_policy(out, "published", policy, "fetched now")?,
        (None, Some(failure)) => {
            let result = sts.result.unwrap_or_default();
            writeln!(out, "    published  not to be had: {failure} ({result})")?;
        }
        (None, None) => {}
    }
    match &sts.cached {
        Some(policy) => write_sts_policy(out, "cached", policy, &sts.cache)?,
        None => writeln!(out, "    cached     {}", sts.cache)?,
    }
    match sts.in_force {
        "none" => writeln!(out, "    in force   no policy"),
        which => writeln!(out, "    in force   the {which} one"),
    }
}

fn write_sts_policy(
    out: &mut String,
    which: &str,
    policy: &StsPolicy,
    since: &str,
) -> std::fmt::Result {
    write!(out, "    {which:10} {}", policy.mode)?;
    if !policy.mx.is_empty() {
        write!(out, ", MX {}", policy.mx.join(" "))?;
    }
    writeln!(out, ", max_age {}, {since}", policy.max_age)
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
    if !host.tried {
        writeln!(
            out,
            "    not tried  a delivery gives up before it comes to this host"
        )?;
    }
    if !host.addresses.is_empty() {
        writeln!(
            out,
            "    addresses  {} port {}, {}",
            host.addresses.join(", "),
            host.port,
            host.address_proof
        )?;
    }
    if let Some(tlsa) = &host.tlsa {
        write_tlsa(out, tlsa)?;
    }
    match host.listed {
        Some(true) => writeln!(out, "    MTA-STS    lists this host")?,
        Some(false) => writeln!(out, "    MTA-STS    does NOT list this host")?,
        None => {}
    }
    if let Some(policy) = &host.policy {
        write_policy(out, policy)?;
    }
    for visit in &host.visits {
        write_visit(out, visit)?;
    }
    match &host.reply {
        Some((reply, _)) => writeln!(out, "    fails      {reply}"),
        None => Ok(()),
    }
}

fn write_tlsa(out: &mut String, tlsa: &Tlsa) -> std::fmt::Result {
    write!(out, "    TLSA       {}", tlsa.finding.replace('_', " "))?;
    match (&tlsa.failure, tlsa.asked.as_slice()) {
        (Some(failure), []) => writeln!(out, ": {failure}")?,
        (None, []) => writeln!(
            out,
            ": nobody asks, the host's name is not secured by DNSSEC"
        )?,
        (Some(_) | None, _) => writeln!(out)?,
    }
    for question in &tlsa.asked {
        writeln!(out, "      {}: {}", question.name, question.answer)?;
        for record in &question.records {
            write!(out, "        {}: {}", record.record, record.state)?;
            match &record.reason {
                Some(reason) => writeln!(out, ", {reason}")?,
                None => writeln!(out)?,
            }
        }
    }
    Ok(())
}

fn write_policy(out: &mut String, policy: &Policy) -> std::fmt::Result {
    write!(
        out,
        "    policy     {} ({} of {})",
        policy.level, policy.source, policy.subject
    )?;
    if !policy.accepts.is_empty() {
        write!(out, ", certificate for {}", policy.accepts.join(" or "))?;
    }
    if let Some(dane) = policy.dane {
        write!(out, ", {dane}: a TLSA record must match")?;
        if !policy.dane_names.is_empty() {
            let names = policy.dane_names.join(" or ");
            write!(out, ", under usage 2 with a certificate for {names}")?;
        }
    }
    if let Some(host) = &policy.mta_sts {
        write!(out, ", by MTA-STS a certificate for {host}")?;
    }
    writeln!(out, ", plaintext {}", policy.plaintext)?;
    if let Some(reason) = &policy.testing {
        writeln!(
            out,
            "    testing    the MTA-STS policy, if enforced, would not use the host: {reason}"
        )?;
    }
    match &policy.dry_run {
        Some(reason) => writeln!(
            out,
            "    dry-run    the rule would hold mail back: {reason}"
        ),
        None => Ok(()),
    }
}

fn write_matches(out: &mut String, visit: &Visit) -> std::fmt::Result {
    for found in &visit.tlsa_matches {
        write!(out, "      TLSA {}: ", found.record)?;
        match (found.depth, &found.subject) {
            (Some(depth), Some(subject)) => write!(out, "certificate {depth} ({subject})")?,
            (_, _) if found.stands_for == "published" => write!(out, "an anchor of its own")?,
            (_, _) => write!(out, "no certificate of the chain")?,
        }
        match &found.problem {
            Some(problem) => writeln!(out, "; {problem}")?,
            None => writeln!(out, "; satisfied")?,
        }
    }
    Ok(())
}

fn write_visit(out: &mut String, visit: &Visit) -> std::fmt::Result {
    write_outcome(out, visit)?;
    facts::write_seen(out, &visit.seen)?;
    write_matches(out, visit)?;
    match &visit.dry_run {
        Some(reason) => writeln!(
            out,
            "      dry-run: the rule would hold mail back: {reason}"
        ),
        None => Ok(()),
    }
}

fn write_outcome(out: &mut String, visit: &Visit) -> std::fmt::Result {
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
