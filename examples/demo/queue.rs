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

/// A line of what happens, and whether it should.
fn tell(is_so: bool, what: &str) -> bool {
    let verdict = if is_so { "ok" } else { "UNEXPECTED" };
    println!("{what}  {verdict}");
    is_so
}

/// Sends, kills, starts again and waits; whether all was as it should be.
pub(crate) async fn show(net: &Internet, daemon: &mut Daemon, open: &AtomicBool) -> Result<bool> {
    println!("\nOne SMTP message to {}:\n", TO.join(", "));
    let mut client = SmtpClient::smtp(net.relay_smtp()).await?;
    client.patience(MESSAGE);
    let before = net.mx("bank.test").messages().len();
    let reply = client.mail("demo@client.test", &TO, CONTENT).await?;
    let queued = reply.code == 250 && reply.to_string().contains(" queued as ");
    let mut right = tell(queued, &format!("the client hears {reply}"));
    daemon.kill()?;
    right &= tell(true, "the daemon is killed (kill -9) and started again");
    daemon.start_again()?;
    daemon.ready(net).await?;
    let home = net.mx(HOME);
    let told = home.wait_for_messages(1).await
        && home.messages().iter().any(|notice| {
            notice.sender.is_empty() && notice.content.windows(5).any(|octets| octets == b"5.1.1")
        });
    right &= tell(
        told,
        "the sender is told that nobody@choosy.test is unknown there",
    );
    open.store(true, Ordering::SeqCst);
    let closed = net.mx("closed.test");
    let arrived = closed
        .wait_at_most(Duration::from_secs(20), |seen| seen.messages.len() == 1)
        .await;
    right &= tell(
        arrived,
        "closed.test opens, and c@closed.test has the message",
    );
    let once = net.mx("bank.test").messages().len() == before + 1;
    right &= tell(once, "c@bank.test, who had it at once, has it once");
    Ok(right)
}
