//! Time, number and size; who may come, and when all must go.

use super::*;

#[tokio::test]
async fn strangers_hear_554_and_may_quit() {
    let nobody = ServerSettings {
        networks: Vec::new(),
        ..settings()
    };
    let server = start(Protocol::Smtp, nobody);
    let mut client = server.client().await;
    assert!(client.reply().await.starts_with("554 5.7.1"));
    client
        .talk(&[("EHLO a", "503"), ("MAIL FROM:<>", "503"), ("QUIT", "221")])
        .await;
}

/// However many come, and however long they stay.
#[tokio::test]
async fn strangers_beyond_number_are_told_and_cost_no_task() {
    let nobody = ServerSettings {
        networks: Vec::new(),
        ..settings()
    };
    let server = start(Protocol::Smtp, nobody);
    let mut clients = Vec::new();
    for _ in 0..130 {
        let mut client = server.client().await;
        let reply = client.reply().await;
        assert!(reply.starts_with("554 5.7.1"), "{reply}");
        clients.push(client);
    }
    let tasks = server.shutdown.sessions.len();
    assert_eq!(tasks, 50 + 50, "sessions, and refusals");
    assert_eq!(clients[129].reply().await, "", "it is closed at once");
}

#[tokio::test]
async fn overlong_and_unix_lines_are_refused_in_step() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client.send(&[b'x'; 200_000]).await;
    client.send(b"\r\nNOOP\r\nNOOP\nNOOP\r\n").await;
    for expected in ["500 5.5.2", "250 2.0.0", "500 5.5.2", "250 2.0.0"] {
        assert!(client.reply().await.starts_with(expected));
    }
}

/// Octet by octet: without a whole command the time is up, however busy the client seems.
#[tokio::test]
async fn silent_and_dripping_clients_are_dropped() {
    let hasty = ServerSettings {
        idle_timeout: Duration::from_millis(300),
        ..settings()
    };
    let server = start(Protocol::Smtp, hasty);
    let mut silent = server.client().await;
    silent.greeted("EHLO mta.example").await;
    assert!(silent.reply().await.starts_with("421 4.4.2"));
    assert_eq!(silent.reply().await, "");

    let mut silent_in_data = server.client().await;
    silent_in_data.greeted("EHLO mta.example").await;
    silent_in_data.talk(SMTP).await;
    assert!(silent_in_data.reply().await.starts_with("421 4.4.2"));

    for in_content in [false, true] {
        let mut dripping = server.client().await;
        dripping.greeted("EHLO mta.example").await;
        if in_content {
            dripping.talk(SMTP).await;
        }
        let (mut reader, mut writer) = dripping.stream.split();
        let mut reply = [0; 9];
        let drip = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            read = timeout(SOON, reader.read_exact(&mut reply)) => { read.unwrap().unwrap(); }
            () = drip => panic!("cut off without a reply"),
        }
        assert_eq!(&reply, b"421 4.4.2");
    }
}

/// Chunk by chunk: each is whole and in time, but the message does not come forward.
#[tokio::test]
async fn a_message_in_dripping_chunks_is_dropped() {
    let hasty = ServerSettings {
        idle_timeout: Duration::from_millis(300),
        ..settings()
    };
    let server = start(Protocol::Smtp, hasty);
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<c@d.example>", "250")])
        .await;
    let (mut reader, mut writer) = client.stream.split();
    let drip = async {
        while writer.write_all(b"BDAT 1\r\nx").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending().await
    };
    let mut replies = Vec::new();
    let all = timeout(SOON, reader.read_to_end(&mut replies));
    tokio::select! {
        // What was sent after the end resets the connection.
        read = all => drop(read.expect("the session does not live for ever")),
        () = drip => {}
    }
    let replies = String::from_utf8(replies).unwrap();
    let last = replies.lines().last().unwrap();
    assert!(last.starts_with("421 4.4.2"), "{replies}");
}

#[tokio::test]
async fn shutdown_ends_the_idle_and_lets_transactions_end() {
    let mut server = start(Protocol::Smtp, settings());
    let mut idle = server.client().await;
    idle.greeted("EHLO mta.example").await;
    let mut waiting = server.client().await;
    waiting.greeted("EHLO mta.example").await;
    waiting.talk(SMTP).await;
    waiting.send(b"\r\n.\r\n").await;
    let mut got = server.next().await;
    let mut sending = server.client().await;
    sending.greeted("EHLO mta.example").await;
    sending.talk(SMTP).await;
    let mut stuck = server.client().await;
    stuck.greeted("EHLO mta.example").await;
    stuck.talk(SMTP).await;

    server.shutdown.draining.cancel();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    timeout(SOON, &mut server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "closed");
    sending.send(b"\r\n.\r\n").await;
    let mut late = server.next().await;
    late.answer(0, "late");
    assert_eq!(sending.reply().await, "250 late");
    assert!(sending.reply().await.starts_with("421 4.3.2"));

    server.shutdown.expired.cancel();
    assert!(stuck.reply().await.starts_with("421 4.3.2"));
    got.answer(0, "after all");
    assert_eq!(waiting.reply().await, "250 after all");
    drop((idle, waiting, sending, stuck));
    server.shutdown.sessions.close();
    timeout(SOON, server.shutdown.sessions.wait())
        .await
        .unwrap();
}

#[tokio::test]
async fn shutdown_tells_those_who_wait_to_be_accepted() {
    let one = ServerSettings {
        max_sessions: 1,
        ..settings()
    };
    let server = start(Protocol::Smtp, one);
    let mut first = server.client().await;
    first.greeted("EHLO mta.example").await;
    let mut second = server.client().await;
    server.shutdown.draining.cancel();
    assert!(second.reply().await.starts_with("421 4.3.2"));
}

#[tokio::test]
async fn at_the_limit_accepting_pauses_before_anybody_hears_421() {
    let one = ServerSettings {
        max_sessions: 1,
        ..settings()
    };
    let server = start(Protocol::Smtp, one);
    let mut first = server.client().await;
    first.greeted("EHLO mta.example").await;
    let begun = tokio::time::Instant::now();
    let mut second = server.client().await;
    let reply = second.reply().await;
    assert!(reply.starts_with("421 4.3.2"), "{reply}");
    assert!(begun.elapsed() >= Duration::from_secs(10));
    let mut third = server.client().await;
    first.talk(&[("QUIT", "221")]).await;
    drop(first);
    assert!(
        third.reply().await.starts_with("220 "),
        "the place is free again"
    );
}

#[tokio::test]
async fn the_watchdog_is_answered_whatever_accepting_waits_for() {
    let one = ServerSettings {
        max_sessions: 1,
        ..settings()
    };
    let mut server = start(Protocol::Smtp, one);
    let beats = async |server: &Server| timeout(SOON, server.pulse.beat()).await.is_ok();
    assert!(beats(&server).await, "nobody comes");
    let mut first = server.client().await;
    first.greeted("EHLO mta.example").await;
    let _second = server.client().await;
    assert!(beats(&server).await, "it is full");
    server.shutdown.draining.cancel();
    timeout(SOON, &mut server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(beats(&server).await, "it has ended");
}

#[tokio::test]
async fn new_settings_hold_for_the_next_transaction() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    let smaller = ServerSettings {
        max_message_size: 10,
        ..settings()
    };
    server.settings.send(Arc::new(smaller)).unwrap();
    client
        .talk(&[
            ("MAIL FROM:<> SIZE=11", "552 5.3.4"),
            ("MAIL FROM:<> SIZE=10", "250"),
        ])
        .await;
}

#[tokio::test]
async fn who_is_no_longer_allowed_ends_with_the_transaction() {
    let server = start(Protocol::Smtp, settings());
    let mut idle = server.client().await;
    idle.greeted("EHLO mta.example").await;
    let mut sending = server.client().await;
    sending.greeted("EHLO mta.example").await;
    sending.talk(SMTP).await;
    let nobody = ServerSettings {
        networks: Vec::new(),
        idle_timeout: Duration::from_millis(100),
        ..settings()
    };
    server.settings.send(Arc::new(nobody)).unwrap();
    idle.talk(&[("NOOP", "421 4.7.0")]).await;
    assert_eq!(idle.reply().await, "");
    sending.send(b"\n\r\n.\r\n").await;
    assert!(sending.reply().await.starts_with("550 5.6.11"));
    sending.talk(&[("MAIL FROM:<>", "421 4.7.0")]).await;
}

#[tokio::test]
async fn a_new_time_out_holds_for_open_sessions() {
    let server = start(Protocol::Smtp, settings());
    let mut client = server.client().await;
    client.greeted("EHLO mta.example").await;
    let hasty = ServerSettings {
        idle_timeout: Duration::from_millis(100),
        ..settings()
    };
    server.settings.send(Arc::new(hasty)).unwrap();
    client.talk(&[("NOOP", "250")]).await;
    assert!(client.reply().await.starts_with("421 4.4.2"));
}

#[tokio::test]
async fn random_octets_do_no_harm() {
    let server = start(Protocol::Smtp, settings());
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = server.client().await;
        let words: [&[u8]; 12] = [
            b"EHLO a\r\n",
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<a@b.example>\r\n",
            b"DATA\r\n",
            b"\r\n.\r\n",
            b"BDAT 3\r\n",
            b"\n",
            b"\0\xff",
            b"STARTTLS\r\n",
            b"RSET\r\n",
            b"<@:",
            b"BDAT 9 LAST\r\n",
        ];
        let wire: Vec<u8> = (0..60)
            .flat_map(|_| words[random.usize(..12)].to_vec())
            .collect();
        // The server may have hung up already.
        let _ = client.stream.write_all(&wire).await;
        let _ = client.stream.shutdown().await;
        while !client.reply().await.is_empty() {}
    }
    let mut client = server.client().await;
    client.greeted("EHLO still.there").await;
}

/// An idle session is its task, its socket and a small buffer.
#[tokio::test]
async fn an_idle_session_is_small() {
    use super::super::connection::{Connection, Surroundings};
    use super::super::session::{Role, Session, StartTls};
    use super::super::stream::Stream;
    let server = start(Protocol::Smtp, settings());
    let role = Role {
        protocol: Protocol::Smtp,
        hostname: None,
        bind: Vec::new(),
        starttls: StartTls::NotOffered,
    };
    let client = admission::client(None, &settings());
    let session = Session::new(Arc::new(role), Arc::new(settings()), client);
    let (_sender, watched) = watch::channel(Arc::new(settings()));
    let submit = Arc::clone(&server.relay) as Arc<dyn Submit>;
    let ledger = Ledger::new(LogAddresses::Plain);
    let surroundings = Surroundings {
        context: ServerContext::new(watched, submit, ledger, server.spool.clone()),
        tls: None,
        shutdown: Shutdown::default(),
    };
    let mut connection = Connection::new(Stream::Gone, session, surroundings);
    let state = size_of::<Connection>();
    let task = size_of_val(&connection.run());
    assert!(state + task < 8 * 1024, "{state} + {task}");
}
