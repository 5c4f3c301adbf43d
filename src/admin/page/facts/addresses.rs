//! Replies without addresses: hosts like to say whom they do not know.

/// The addresses that are known go, and whatever else looks like one.
pub(super) fn without_addresses(reply: &str, known: &[&str]) -> String {
    const GONE: &str = "(address)";
    let mut reply = reply.to_owned();
    for address in known.iter().filter(|address| address.contains('@')) {
        reply = replace_in_any_case(&reply, address, GONE);
    }
    let words = reply.split(' ').map(|word| match word.contains('@') {
        true => GONE,
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
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
    fn no_address_is_left_in_a_reply() {
        for (reply, expected) in [
            ("550 no such user", "550 no such user"),
            (
                "550 5.1.1 <Alice@Example.test>: unknown",
                "550 5.1.1 <(address)>: unknown",
            ),
            (
                "550 mail from bob@x.test to carol@y.test refused",
                "550 mail from (address) to (address) refused",
            ),
            (
                "550 \"a b\"@example.test unknown",
                "550 \"a (address) unknown",
            ),
            ("", ""),
        ] {
            let known = ["alice@example.test", "bob@x.test"];
            assert_eq!(without_addresses(reply, &known), expected);
        }
        let quoted = without_addresses("no \"A b\"@e.test here", &["\"a B\"@e.test", ""]);
        assert_eq!(quoted, "no (address) here");
    }
}
