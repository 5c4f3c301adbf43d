//! The second part: one SMTP message to three destinations that fare differently, which Sealpost keeps, and a
//! daemon that is killed in the middle of it.

use super::{CONTENT, Daemon, MESSAGE, Result};
use lab::Internet;
use lab::client::SmtpClient;
use lab::mx::{Act, Script, Stage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What takes notices in: the mail server of the sender.
pub(crate) const HOME: &str = "home.test";
const TO: [&str; 3] = ["c@bank.test", "c@closed.test", "nobody@choosy.test"];

/// The hosts behind it; `closed.test` opens when it is told to.
pub(crate) async fn internet(net: &mut Internet) -> Result<Arc<AtomicBool>> {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let closed = Script::default().on(move |moment| {
        let shut = !is_open.load(Ordering::SeqCst);
        if moment.stage == Stage::Greeting && shut {
            return Act::reply(421, "4.3.2 closed for now").then_close();
        }
        Act::Normal
    });
    net.domain("closed.test", closed).await?;
    net.domain(HOME, Script::default()).await?;
    Ok(open)
}

/// Lines of what happens, and whether all of it should.
#[derive(Default)]
struct Told {
    wrong: usize,
}

impl Told {
    fn line(&mut self, what: &str, expected: Option<()>) {
        let verdict = match expected {
            Some(()) => "ok",
            None => {
                self.wrong += 1;
                "UNEXPECTED"
            }
        };
        println!("{what}  {verdict}");
    }
}

/// Sends, kills, starts again and waits; whether all was as it should be.
pub(crate) async fn show(net: &Internet, daemon: &mut Daemon, open: &AtomicBool) -> Result<bool> {
    println!("\nOne SMTP message to {}:\n", TO.join(", "));
    let mut client = SmtpClient::smtp(net.relay_smtp()).await?;
    client.patience(MESSAGE);
    let before = net.mx("bank.test").messages().len();
    let reply = client.mail("demo@client.test", &TO, CONTENT).await?;
    let queued = reply.code == 250 && reply.to_string().contains(" queued as ");
    let mut told = Told::default();
    told.line(&format!("the client hears {reply}"), queued.then_some(()));
    daemon.kill()?;
    told.line("the daemon is killed (kill -9) and started again", Some(()));
    daemon.start_again()?;
    daemon.ready(net).await?;
    let home = net.mx(HOME);
    let reported = home.wait_for_messages(1).await
        && home.messages().iter().any(|notice| {
            notice.sender.is_empty() && notice.content.windows(5).any(|octets| octets == b"5.1.1")
        });
    told.line(
        "the sender is told that nobody@choosy.test is unknown there",
        reported.then_some(()),
    );
    open.store(true, Ordering::SeqCst);
    let closed = net.mx("closed.test");
    let arrived = closed
        .wait_at_most(Duration::from_secs(20), |seen| seen.messages.len() == 1)
        .await;
    told.line(
        "closed.test opens, and c@closed.test has the message",
        arrived.then_some(()),
    );
    let once = net.mx("bank.test").messages().len() == before + 1;
    told.line(
        "c@bank.test, who had it at once, has it once",
        once.then_some(()),
    );
    Ok(told.wrong == 0)
}
