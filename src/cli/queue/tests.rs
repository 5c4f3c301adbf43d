//! What is asked, and what is printed of the answers; the other end is played.

use super::*;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};
use tempfile::TempDir;

/// A daemon that gives these answers, one a connection, and hears what was asked.
struct Played {
    counter: Counter,
    asked: JoinHandle<Vec<String>>,
    _directory: TempDir,
}

impl Played {
    fn with(answers: &[(u16, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let answers: Vec<String> = answers.iter().map(http).collect();
        let asked = thread::spawn(move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                let mut lines = BufReader::new(&stream);
                lines.read_line(&mut line).unwrap();
                let mut rest = String::new();
                while rest != "\r\n" {
                    rest.clear();
                    lines.read_line(&mut rest).unwrap();
                }
                stream.write_all(answer.as_bytes()).unwrap();
                line.trim_end_matches(" HTTP/1.1\r\n").to_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        Self {
            counter: Counter {
                client: Client::new(&path),
                now: Timestamp::from_second(1_900_000_000).unwrap(),
            },
            asked,
            _directory: directory,
        }
    }

    /// What came of it, what was printed, and what was asked.
    fn say<T>(
        self,
        say: impl FnOnce(&Counter, &mut Vec<u8>) -> Result<T, Trouble>,
    ) -> (Result<T, Trouble>, String, Vec<String>) {
        let mut out = Vec::new();
        let said = say(&self.counter, &mut out);
        (
            said,
            String::from_utf8(out).unwrap(),
            self.asked.join().unwrap(),
        )
    }
}

fn http((status, body): &(u16, &str)) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn entry(id: &str) -> String {
    let time = "2030-03-17T14:46:40Z";
    format!(
        "{{\"id\":\"{id}\",\"state\":\"held\",\"sender\":\"\",\"size\":1,\"received\":\"{time}\",\
         \"next_attempt\":null,\"expires\":\"{time}\",\"recipients\":[]}}"
    )
}

fn page(ids: &[&str], next: &str) -> String {
    let entries: Vec<String> = ids.iter().map(|id| entry(id)).collect();
    let entries = entries.join(",");
    format!("{{\"messages\":[{entries}],\"next\":{next},\"total\":null}}")
}

fn which(ids: &[&str], scope: Scope, output: Output) -> QueueWhich {
    let filter = QueueFilter {
        domain: None,
        sender: None,
        state: None,
        older_than: None,
        newer_than: None,
    };
    QueueWhich {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        filter,
        scope,
        output,
    }
}

#[test]
fn lists_are_asked_for_page_by_page_up_to_their_limit() {
    let everything = QueueSelection::default();
    let first = page(&["A", "B"], "7");
    let sparse = page(&[], "9");
    let last = page(&["C"], "null");
    let played = Played::with(&[(200, &first), (200, &sparse), (200, &last)]);
    let (said, out, asked) = played.say(|counter, out| counter.array(&everything, u64::MAX, out));
    assert_eq!(said.unwrap(), Success::Whole);
    let read: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let ids: Vec<_> = read.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, ["A", "B", "C"]);
    assert_eq!(
        asked,
        [
            "GET /queue?limit=1000",
            "GET /queue?after=7&limit=1000",
            "GET /queue?after=9&limit=1000",
        ]
    );
    let one = page(&["C"], "8");
    let played = Played::with(&[(200, &first), (200, &one)]);
    let (said, out, asked) = played.say(|counter, out| counter.table(&everything, 3, out));
    assert_eq!((said.unwrap(), out.lines().count()), (Success::Whole, 4));
    assert_eq!(asked[1], "GET /queue?after=7&limit=1");
}

#[test]
fn a_list_that_does_not_advance_ends() {
    let (first, again) = (page(&["A"], "7"), page(&["A"], "7"));
    let played = Played::with(&[(200, &first), (200, &again)]);
    let everything = QueueSelection::default();
    let (said, out, _) = played.say(|counter, out| counter.array(&everything, u64::MAX, out));
    assert_eq!((said.unwrap(), out.lines().count()), (Success::Whole, 4));
}

#[test]
fn each_message_is_an_object_a_line() {
    let missing = "{\"id\":\"B\",\"error\":\"no such message in the queue\"}";
    let found = entry("A");
    let played = Played::with(&[(200, &found), (404, missing)]);
    let ids = ["A".to_owned(), "B".to_owned()];
    let (said, out, asked) = played.say(|counter, out| counter.show(&ids, Output::Json, out));
    assert_eq!(said.unwrap(), Success::Partial);
    assert_eq!(out, format!("{found}\n{missing}\n"));
    assert_eq!(asked, ["GET /queue/A", "GET /queue/B"]);
}

#[test]
fn a_change_goes_on_until_nothing_is_left_of_it() {
    let part = "{\"messages\":2,\"recipients\":3,\"rest\":{\"after\":5,\"until\":9}}";
    let rest = "{\"messages\":1,\"recipients\":1,\"rest\":null}";
    let played = Played::with(&[(200, part), (200, rest)]);
    let all = which(&[], Scope::All, Output::Text);
    let (said, out, asked) = played.say(|counter, out| counter.change(Act::Drop, &all, out));
    assert_eq!(said.unwrap(), Success::Whole);
    assert_eq!(out, "dropped: 4 recipients of 3 messages\n");
    assert_eq!(
        asked,
        [
            "POST /queue/drop?all=yes&",
            "POST /queue/drop?all=yes&after=5&until=9",
        ]
    );
}

#[test]
fn messages_that_are_missing_are_named_and_the_others_changed() {
    let done = "{\"messages\":1,\"recipients\":2,\"rest\":null}";
    let missing = "{\"id\":\"A\",\"error\":\"no such message in the queue\"}";
    let played = Played::with(&[(404, missing), (200, done)]);
    let two = which(&["A", "B"], Scope::Selected, Output::Json);
    let (said, out, asked) = played.say(|counter, out| counter.change(Act::Hold, &two, out));
    assert_eq!(said.unwrap(), Success::Partial);
    assert_eq!(
        out,
        "{\"messages\":1,\"recipients\":2,\"missing\":[\"A\"]}\n"
    );
    assert_eq!(asked, ["POST /queue/hold?id=A&", "POST /queue/hold?id=B&"]);
}

#[test]
fn nothing_is_changed_without_a_selection() {
    let nothing = which(&[], Scope::Selected, Output::Text);
    let (said, out, _) =
        Played::with(&[]).say(|counter, out| counter.change(Act::Drop, &nothing, out));
    let trouble = said.unwrap_err();
    assert_eq!((trouble.exit_code(), &*out), (2, ""));
    assert!(trouble.to_string().contains("--all"), "{trouble}");
}

#[test]
fn a_daemon_that_cannot_is_quoted() {
    let played = Played::with(&[(503, "{\"error\":\"no space left\"}")]);
    let all = which(&[], Scope::All, Output::Json);
    let (said, out, _) = played.say(|counter, out| counter.change(Act::Retry, &all, out));
    let trouble = said.unwrap_err();
    assert_eq!((trouble.exit_code(), &*out), (3, ""));
    assert!(trouble.to_string().contains("no space left"), "{trouble}");
}
