//! Text of strangers without mail addresses: hosts like to say whom they do not know, also within URLs.

const GONE: &str = "(address)";
/// How an `@` is written where it may not stand, lower case.
const DISGUISES: [&str; 5] = ["%40", "&#64;", "&#x40;", "(at)", "[at]"];

/// Whatever looks like an address goes; and of the addresses that are `known`, also the local part by itself and before a
/// `=`, as in variable envelope return paths.
pub fn without_addresses(text: &str, known: &[&str]) -> String {
    let mut text = without_quoted(text);
    let mut locals = Vec::new();
    for address in known {
        let Some((local, _)) = address
            .rsplit_once('@')
            .filter(|(local, _)| !local.is_empty())
        else {
            continue;
        };
        text = replace_in_any_case(&text, address, GONE);
        // A number could be the code of the reply.
        if !local.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            locals.push(local.trim_matches('"').to_ascii_lowercase());
        }
    }
    let words = text.split(' ').map(|word| {
        let lower = word.to_ascii_lowercase();
        let looks = lower.contains('@') || DISGUISES.iter().any(|at| lower.contains(at));
        let is_known = locals.iter().any(|local| names(&lower, local));
        if looks || is_known { GONE } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word is a local part, or has it before a `=`.
fn names(word: &str, local: &str) -> bool {
    let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
    bare == local.trim_matches(|c: char| c.is_ascii_punctuation())
        || word.contains(&format!("{local}="))
}

/// Quoted local parts may have blanks in them.
fn without_quoted(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(end) = text.find("\"@") {
        let begin = opening(&text[..end]).unwrap_or(end);
        let rest = text[end..].find([' ', '>', ',', ';']);
        let stop = rest.map_or(text.len(), |rest| end + rest);
        text.replace_range(begin..stop, GONE);
    }
    text
}

/// The last quote that is not quoted itself.
fn opening(text: &str) -> Option<usize> {
    let mut quotes = text.rmatch_indices('"').map(|(at, _)| at);
    quotes.find(|at| !text[..*at].ends_with('\\'))
}

fn replace_in_any_case(text: &str, found: &str, by: &str) -> String {
    let (lower, found) = (text.to_ascii_lowercase(), found.to_ascii_lowercase());
    let (mut replaced, mut from) = (String::with_capacity(text.len()), 0);
    for (at, _) in lower.match_indices(&found) {
        replaced.push_str(&text[from..at]);
        replaced.push_str(by);
        from = at + found.len();
    }
    replaced.push_str(&text[from..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_left() {
        let known = ["alice@example.test", "bob@x.test", "7@x.test", "", "@"];
        for (text, expected) in [
            ("", ""),
            ("550 no such user", "550 no such user"),
            ("7 days", "7 days"),
            (
                "550 <Alice@Example.test>: unknown",
                "550 <(address)>: unknown",
            ),
            (
                "550 mail from bob@x.test to carol@y.test refused",
                "550 mail from (address) to (address) refused",
            ),
            ("no \"A b\"@e.test here", "no (address) here"),
            (
                "no <\"a \\\" b\"@e.test>, \"c\"@d",
                "no <(address)>, (address)",
            ),
            (
                "see http://spf.test/why?id=eve%40y.test&ip=1",
                "see (address)",
            ),
            (
                "eve(AT)y.test eve&#64;y.test eve[at]y",
                "(address) (address) (address)",
            ),
            ("mailbox 'Alice' is full", "mailbox (address) is full"),
            ("from bounces+alice=example.test", "from (address)"),
            ("malice and alices are words", "malice and alices are words"),
            ("\"@", "(address)"),
            ("é\"@é é", "é(address) é"),
        ] {
            assert_eq!(without_addresses(text, &known), expected, "{text}");
        }
        assert_eq!(
            without_addresses("no \"A b\" here", &["\"a B\"@e.test"]),
            "no \"A b\" here"
        );
        assert_eq!(
            without_addresses("no \"A b\"@E.test here", &["\"a B\"@e.test"]),
            "no (address) here"
        );
    }
}
