//! Debian's Postfix in front of Sealpost, set up as `config/postfix` says.

use super::{Script, World, WorldBuilder};
use lab::client::SmtpClient;
use lab::postfix::{Postfix, Setup, available};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Last octet of the client's address; those of Sealpost follow.
const CLIENT: u8 = 250;
/// How Postfix hands mail over.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// `lmtp.cf`: to the socket in its chroot.
    Lmtp,
    /// `relayhost.cf`.
    Smtp,
}

/// One message for Postfix.
#[derive(Clone, Debug)]
pub struct Mail {
    pub to: Vec<String>,
    pub content: Vec<u8>,
}

pub fn skipped() -> bool {
    let missing = available();
    if let Err(why) = &missing {
        println!("SKIPPED: {why}");
    }
    missing.is_err()
}

/// A world that logs no more than an administrator's would.
pub fn quiet() -> WorldBuilder {
    World::new().config("[log]\nlevel = 'info'")
}

pub fn with_domains(world: WorldBuilder, domains: &[String], script: &Script) -> WorldBuilder {
    domains
        .iter()
        .fold(world, |world, domain| world.domain(domain, script.clone()))
}

/// A Postfix that gives all mail to Sealpost as `config/postfix` says.
pub async fn client(world: &World, over: Over) -> Postfix {
    client_with(world, over, "").await
}

/// The same, with settings that were in its `main.cf` before.
pub async fn client_with(world: &World, over: Over, before: &str) -> Postfix {
    let main = match over {
        Over::Lmtp => shipped("lmtp.cf"),
        Over::Smtp => {
            let smtp = world.daemon.smtp.unwrap();
            let here = format!("[{}]:{}", smtp.ip(), smtp.port());
            shipped("relayhost.cf").replace("[127.0.0.1]:2525", &here)
        }
    };
    let postfix = with_shipped_services(world, format!("{before}{main}"));
    if matches!(over, Over::Lmtp) {
        listen_in_the_chroot_of(&postfix, world).await;
    }
    postfix
}

/// A file of `config/postfix`.
pub fn shipped(name: &str) -> String {
    let path = format!("{}/config/postfix/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

pub fn with_shipped_services(world: &World, main: String) -> Postfix {
    let setup = Setup {
        listen: world.net.ports.at(CLIENT),
        main,
        master: shipped("master.cf"),
    };
    Postfix::start(&setup).unwrap()
}

/// Has Sealpost listen at `private/sealpost` of this Postfix, beside where it listens anyway.
pub async fn listen_in_the_chroot_of(postfix: &Postfix, world: &World) {
    let socket = postfix.queue_directory().join("private/sealpost");
    let mut config: toml::Table = world.config().parse().unwrap();
    let listeners = config["listen"].as_array_mut().unwrap();
    let mut unix = toml::Table::new();
    for (key, value) in [
        ("address", format!("unix:{}", socket.display())),
        ("protocol", "lmtp".to_owned()),
        ("mode", "0666".to_owned()),
    ] {
        unix.insert(key.to_owned(), value.into());
    }
    listeners.push(unix.into());
    world.daemon.reload(&config.to_string());
    let until = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(Instant::now() < until, "{}", world.daemon.stderr());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Gives messages to a server over so many sessions; each must be accepted.
pub async fn inject(server: SocketAddr, mails: Vec<Mail>, sessions: usize) {
    let mut running = JoinSet::new();
    let share = mails.len().div_ceil(sessions);
    for mails in mails.chunks(share).map(<[Mail]>::to_vec) {
        running.spawn(async move {
            let mut client = SmtpClient::smtp(server).await.unwrap();
            client.patience(Duration::from_secs(60));
            for mail in mails {
                let to = mail.to.iter().map(String::as_str).collect::<Vec<_>>();
                let reply = client
                    .mail("sender@postfix.test", &to, &mail.content)
                    .await
                    .unwrap();
                assert_eq!(reply.code, 250, "{reply}");
            }
            client.command("QUIT").await.unwrap();
        });
    }
    running.join_all().await;
}

pub fn numbered(n: usize) -> Vec<u8> {
    format!("From: sender@postfix.test\r\nTo: someone\r\nMessage-ID: <{n}@postfix.test>\r\nX-Number: {n}\r\n\r\nhello\r\n").into_bytes()
}

/// The number of a message made by [`numbered`] or [`awkward`].
pub fn number(content: &[u8]) -> usize {
    let text = String::from_utf8_lossy(&content[..content.len().min(8192)]);
    let (_, after) = text
        .split_once("X-Number: ")
        .expect("each message has a number");
    let digits = after.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("X-Number is one")
}
