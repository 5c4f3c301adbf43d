//! What each command leads to.

use super::act::{Act, render};
use super::check;
use super::record::{Channel, Recipient};
use super::script::{Handshake, NoRecipients, Offer, Stage};
use super::session::{Over, Session, Transaction};

impl Session {
    pub(super) async fn dispatch(&mut self, line: &str) -> Result<(), Over> {
        let verb = line
            .split([' ', ':'])
            .next()
            .unwrap_or("")
            .to_ascii_uppercase();
        self.check_pipelining(&verb);
        match verb.as_str() {
            "EHLO" => self.ehlo(line).await,
            "HELO" => {
                self.keywords = Some(Vec::new());
                self.transaction = None;
                let (act, name) = (self.script().helo.clone(), self.hostname());
                self.answer(Stage::Helo, line, &act, (250, &name))
                    .await
                    .map(drop)
            }
            "STARTTLS" => self.starttls(line).await,
            "MAIL" => self.mail(line).await,
            "RCPT" => self.rcpt(line).await,
            "DATA" => self.data(line).await,
            "BDAT" => self.bdat(line).await,
            "RSET" => {
                let act = self.script().rset.clone();
                let code = self
                    .answer(Stage::Rset, line, &act, (250, "2.0.0 ok"))
                    .await?;
                if code == Some(250) {
                    self.transaction = None;
                }
                Ok(())
            }
            "NOOP" => {
                let act = self.script().noop.clone();
                self.answer(Stage::Noop, line, &act, (250, "2.0.0 ok"))
                    .await
                    .map(drop)
            }
            "QUIT" => {
                self.shared.note(self.id, |seen| seen.quit = true);
                let act = self.script().quit.clone();
                self.answer(Stage::Quit, line, &act, (221, "2.0.0 bye"))
                    .await?;
                self.close().await
            }
            _ => {
                self.violation(format!("unknown command: {line:?}"));
                let unknown = (500, "5.5.2 what?");
                self.answer(Stage::Other, line, &Act::Normal, unknown)
                    .await
                    .map(drop)
            }
        }
    }

    /// RFC 2920 §3.1: what may stand before other commands in one packet.
    fn check_pipelining(&self, verb: &str) {
        if self.buffer.is_empty() || verb == "BDAT" {
            return;
        }
        let pipelining = check::offered(self.keywords.as_deref().unwrap_or_default(), "PIPELINING");
        if !pipelining {
            self.violation(format!("pipelined after {verb} though not offered"));
        } else if !matches!(verb, "MAIL" | "RCPT" | "RSET") {
            self.violation(format!(
                "octets after {verb}, which must be the last of a group"
            ));
        }
    }

    async fn ehlo(&mut self, line: &str) -> Result<(), Over> {
        let (stage, act, mut keywords) = match self.channel {
            Channel::Clear => (
                Stage::Ehlo,
                self.script().ehlo.clone(),
                self.script().keywords.clone(),
            ),
            Channel::Tls => {
                let script = self.script();
                let keywords = script.tls_keywords.as_ref().unwrap_or(&script.keywords);
                (Stage::TlsEhlo, script.tls_ehlo.clone(), keywords.clone())
            }
        };
        if self.channel == Channel::Clear && self.script().offer == Offer::StartTls {
            keywords.push("STARTTLS".to_owned());
        }
        let text = [vec![self.hostname()], keywords.clone()]
            .concat()
            .join("\n");
        self.transaction = None;
        let act = self.decide(stage, line, "", &act);
        if act.code(250) == Some(250) {
            self.keywords = Some(said(&act).unwrap_or(keywords));
        }
        self.perform(&act, &render(250, &text)).await
    }

    async fn starttls(&mut self, line: &str) -> Result<(), Over> {
        if self.channel == Channel::Tls {
            self.violation("STARTTLS within TLS".to_owned());
            let no = (503, "5.5.1 TLS is on already");
            return self
                .answer(Stage::StartTls, line, &Act::Normal, no)
                .await
                .map(drop);
        }
        if !check::offered(self.keywords.as_deref().unwrap_or_default(), "STARTTLS") {
            self.violation("STARTTLS though not offered".to_owned());
        }
        let mut act = self.decide(Stage::StartTls, line, "", &self.script().starttls);
        let normal = (220, "2.0.0 go ahead");
        if let (Act::Normal, Handshake::Surplus(octets)) = (&act, &self.script().handshake) {
            act = Act::raw([render(normal.0, normal.1), octets.clone()].concat());
        }
        self.perform(&act, &render(normal.0, normal.1)).await?;
        if act.code(220) == Some(220) {
            self.handshake().await
        } else {
            Ok(())
        }
    }

    async fn mail(&mut self, line: &str) -> Result<(), Over> {
        let Some(keywords) = self.keywords.clone() else {
            let what = match self.channel {
                Channel::Clear => "MAIL without EHLO",
                Channel::Tls => "MAIL without EHLO after TLS",
            };
            self.violation(what.to_owned());
            return self.perform(&(503, "5.5.1 EHLO first").into(), b"").await;
        };
        if self.transaction.is_some() {
            self.violation("MAIL within a transaction".to_owned());
        }
        let (sender, params) = match check::path(line, "MAIL FROM:") {
            Ok((sender, params)) => (sender.to_owned(), params),
            Err(what) => {
                self.violation(what);
                return self.perform(&(501, "5.5.4 syntax").into(), b"").await;
            }
        };
        for what in check::not_offered(&params, &keywords) {
            self.violation(what);
        }
        if !sender.is_ascii() && !params.iter().any(|p| p.eq_ignore_ascii_case("SMTPUTF8")) {
            self.violation(format!("a sender beyond ASCII without SMTPUTF8: {sender}"));
        }
        let act = self.decide(Stage::Mail, line, &sender, &self.script().mail);
        if act.code(250) == Some(250) {
            self.transaction = Some(Transaction {
                sender,
                params,
                ..Transaction::default()
            });
        }
        self.perform(&act, &render(250, "2.1.0 sender ok")).await
    }

    async fn rcpt(&mut self, line: &str) -> Result<(), Over> {
        let (address, params) = match check::path(line, "RCPT TO:") {
            Ok((address, params)) => (address.to_owned(), params),
            Err(what) => {
                self.violation(what);
                return self.perform(&(501, "5.5.4 syntax").into(), b"").await;
            }
        };
        for what in check::not_offered(&params, self.keywords.as_deref().unwrap_or_default()) {
            self.violation(what);
        }
        let Some(transaction) = &self.transaction else {
            // A pipelining client could not know yet that MAIL was refused.
            return self.perform(&(503, "5.5.1 MAIL first").into(), b"").await;
        };
        let script = self.script();
        let full = script
            .rcpt_limit
            .is_some_and(|limit| transaction.recipients.len() >= limit);
        let field = script
            .rcpts
            .get(&address.to_ascii_lowercase())
            .unwrap_or(&script.rcpt);
        let full_act = Act::reply(452, "4.5.3 too many recipients");
        let act = self.decide(
            Stage::Rcpt,
            line,
            &address,
            if full { &full_act } else { field },
        );
        let accepted = matches!(act.code(250), Some(200..=299));
        if let (true, Some(transaction)) = (accepted, &mut self.transaction) {
            transaction.recipients.push(Recipient { address, params });
        }
        self.perform(&act, &render(250, "2.1.5 recipient ok")).await
    }

    async fn data(&mut self, line: &str) -> Result<(), Over> {
        let recipients = self.transaction.as_ref().map_or(0, |t| t.recipients.len());
        let normal = match (recipients, self.script().no_recipients) {
            (0, NoRecipients::Refuse) => (554, "5.5.1 no valid recipients"),
            (0, NoRecipients::Accept) | (1.., _) => (354, "go ahead"),
        };
        let act = self.script().data.clone();
        match self.answer(Stage::Data, line, &act, normal).await? {
            Some(354) => self.content().await,
            _ => Ok(()),
        }
    }
}

/// The keywords of an EHLO reply that a script wrote itself.
fn said(act: &Act) -> Option<Vec<String>> {
    let text = match act {
        Act::Reply(_, text) => text.clone(),
        Act::Raw(octets) => String::from_utf8_lossy(octets)
            .lines()
            .map(|line| format!("{}\n", line.get(4..).unwrap_or("")))
            .collect(),
        Act::After(_, act) | Act::Dripped(_, act) | Act::Then(act, _) => return said(act),
        Act::Normal | Act::Endless(_) | Act::Silence | Act::Close | Act::Reset => return None,
    };
    Some(text.lines().skip(1).map(str::to_owned).collect())
}
