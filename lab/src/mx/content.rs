//! The content of a message: DATA with its dots (RFC 5321 §4.5.2), BDAT with its chunks (RFC 3030).

use std::time::Instant;

use super::act::render;
use super::check;
use super::record::Message;
use super::script::{Content, Stage};
use super::session::{Over, Session, Transaction};

const READ: usize = 65_536;

impl Session {
    pub(super) async fn content(&mut self) -> Result<(), Over> {
        let mut content = Vec::new();
        let mut wrong = Vec::new();
        let mut line_end = LineEnd::Crlf;
        let mut total = self.buffer.len();
        if total > 0 {
            self.violation("content before the 354".to_owned());
        }
        loop {
            let mut start = 0;
            while let Some(length) = memchr::memchr(b'\n', &self.buffer[start..]) {
                let line = &self.buffer[start..=start + length];
                start += length + 1;
                // Only CRLF . CRLF ends it; anything laxer is the way of smugglers.
                if line == b".\r\n" && line_end == LineEnd::Crlf {
                    self.buffer.drain(..start);
                    wrong.dedup();
                    wrong.into_iter().for_each(|what| self.violation(what));
                    return self.finish(content).await;
                }
                line_end = if line.ends_with(b"\r\n") {
                    LineEnd::Crlf
                } else {
                    LineEnd::BareLf
                };
                wrong.extend(check::content_line(line).filter(|_| wrong.len() < 100));
                content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            }
            self.buffer.drain(..start);
            total += self.read_content(total).await?;
        }
    }

    async fn read_content(&mut self, total: usize) -> Result<usize, Over> {
        match self.script().content {
            Content::Normal => self.read_more(READ).await,
            Content::Slow { octets, pause } => {
                tokio::time::sleep(pause).await;
                self.read_more(octets).await
            }
            Content::Stop => std::future::pending().await,
            Content::CloseAfter(limit) if total >= limit => self.close().await.map(|()| 0),
            Content::ResetAfter(limit) if total >= limit => self.reset().map(|()| 0),
            Content::SayAfter(limit, text) if total >= limit => self
                .perform(&super::Act::raw(text).then_close(), b"")
                .await
                .map(|()| 0),
            Content::SayAndStop(limit, text) if total >= limit => {
                self.perform(&super::Act::raw(text), b"").await?;
                std::future::pending().await
            }
            Content::CloseAfter(limit)
            | Content::ResetAfter(limit)
            | Content::SayAfter(limit, _)
            | Content::SayAndStop(limit, _) => self.read_more(limit - total).await,
        }
    }

    pub(super) async fn bdat(&mut self, line: &str) -> Result<(), Over> {
        let mut words = line.split(' ').skip(1);
        let size = words.next().and_then(|size| size.parse::<usize>().ok());
        let last = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let Some(size) = size else {
            self.violation(format!("BDAT without a size: {line:?}"));
            return Err(Over);
        };
        if !check::offered(self.keywords.as_deref().unwrap_or_default(), "CHUNKING") {
            self.violation("BDAT though not offered".to_owned());
        }
        while self.buffer.len() < size {
            self.read_more(READ).await?;
        }
        let chunk = self.buffer.drain(..size).collect::<Vec<_>>();
        let Some(transaction) = self
            .transaction
            .as_mut()
            .filter(|t| !t.recipients.is_empty())
        else {
            return self
                .perform(&(503, "5.5.1 no valid recipients").into(), b"")
                .await;
        };
        transaction.content.extend(chunk);
        if last {
            let content = std::mem::take(&mut transaction.content);
            return self.finish(content).await;
        }
        self.answer(
            Stage::Bdat,
            line,
            &super::Act::Normal,
            (250, "2.0.0 chunk ok"),
        )
        .await
        .map(drop)
    }

    /// Records the message before it is answered, so that whoever sees the answer finds the record.
    async fn finish(&mut self, content: Vec<u8>) -> Result<(), Over> {
        let transaction = self.transaction.take();
        let Some(transaction) = transaction.filter(|t| !t.recipients.is_empty()) else {
            if !content.is_empty() {
                self.violation("content for no recipient".to_owned());
            }
            self.transactions += 1;
            return self
                .perform(&(554, "5.5.1 no valid recipients").into(), b"")
                .await;
        };
        self.transaction = Some(Transaction {
            sender: transaction.sender.clone(),
            ..Default::default()
        });
        let act = self.decide(Stage::Dot, "", "", &self.script().dot);
        self.shared.message(Message {
            connection: self.id,
            sender: transaction.sender,
            params: transaction.params,
            recipients: transaction.recipients,
            content,
            channel: self.channel,
            reply: act.code(250),
            at: Instant::now(),
        });
        let normal = format!("2.0.0 queued as {}.{}", self.id, self.transactions);
        self.finished_transaction();
        self.perform(&act, &render(250, &normal)).await
    }
}

#[derive(PartialEq)]
enum LineEnd {
    Crlf,
    BareLf,
}

/// The receive buffer of a host that reads slowly, in octets.
pub(super) fn receive_buffer(content: Content) -> Option<u32> {
    match content {
        // Less than a segment of the loopback interface would make the sender wait for its persist timer.
        Content::Slow { .. } | Content::Stop | Content::SayAndStop(..) => Some(131_072),
        Content::Normal
        | Content::CloseAfter(_)
        | Content::ResetAfter(_)
        | Content::SayAfter(..) => None,
    }
}
