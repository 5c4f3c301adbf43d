//! What a correct client sends: parsing that finds fault. An oracle of its own, with none of the product's code.

/// A path and the parameters after it, such as of `MAIL FROM:<a@b> SIZE=1`; or what is wrong.
pub(super) fn path<'a>(line: &'a str, verb: &str) -> Result<(&'a str, Vec<String>), String> {
    let wrong = |what: &str| Err(format!("{what}: {line:?}"));
    let Some(start) = line
        .get(..verb.len())
        .filter(|start| start.eq_ignore_ascii_case(verb))
    else {
        return wrong("not the command that it should be");
    };
    let rest = &line[start.len()..];
    let Some(rest) = rest.strip_prefix('<') else {
        return wrong("no '<' directly after the colon");
    };
    let (mut quoted, mut escaped) = (Quoted::No, Escaped::No);
    let end = rest
        .char_indices()
        .find(|(_, c)| match (*c, quoted, escaped) {
            (_, Quoted::Yes, Escaped::Yes) => {
                escaped = Escaped::No;
                false
            }
            ('\\', Quoted::Yes, Escaped::No) => {
                escaped = Escaped::Yes;
                false
            }
            ('"', Quoted::Yes, _) => {
                quoted = Quoted::No;
                false
            }
            ('"', Quoted::No, _) => {
                quoted = Quoted::Yes;
                false
            }
            (c, Quoted::No, _) => c == '>',
            _ => false,
        });
    let Some((end, _)) = end else {
        return wrong("no '>'");
    };
    let (address, params) = (&rest[..end], &rest[end + 1..]);
    if params.is_empty() {
        return Ok((address, Vec::new()));
    }
    let Some(params) = params.strip_prefix(' ') else {
        return wrong("no space after '>'");
    };
    let params = params.split(' ').map(str::to_owned).collect::<Vec<_>>();
    if params.iter().any(String::is_empty) {
        return wrong("two spaces, or one at the end");
    }
    Ok((address, params))
}

#[derive(Clone, Copy)]
enum Quoted {
    Yes,
    No,
}

#[derive(Clone, Copy)]
enum Escaped {
    Yes,
    No,
}

/// Parameters that were used though their keyword was not offered.
pub(super) fn not_offered(params: &[String], keywords: &[String]) -> Vec<String> {
    let needs = |param: &str| -> String {
        let name = param.split('=').next().unwrap_or("").to_ascii_uppercase();
        match name.as_str() {
            "BODY" => "8BITMIME".to_owned(),
            "RET" | "ENVID" | "NOTIFY" | "ORCPT" => "DSN".to_owned(),
            _ => name,
        }
    };
    let missing = |param: &&String| !offered(keywords, &needs(param));
    params
        .iter()
        .filter(missing)
        .map(|p| format!("parameter not offered: {p}"))
        .collect()
}

/// Whether a keyword is among those offered.
pub(super) fn offered(keywords: &[String], keyword: &str) -> bool {
    keywords.iter().any(|k| {
        k.split(' ')
            .next()
            .unwrap_or("")
            .eq_ignore_ascii_case(keyword)
    })
}

/// What is wrong with a command line as it came, its line end included.
pub(super) fn command_line(line: &[u8]) -> Vec<String> {
    /// RFC 5321 §4.5.3.1.4, with room for the parameters of the extensions.
    const MAX_COMMAND_LINE: usize = 2048;
    let mut wrong = Vec::new();
    let text = String::from_utf8_lossy(line);
    if !line.ends_with(b"\r\n") || line[..line.len() - 2].contains(&b'\r') {
        wrong.push(format!("line end of a command is not CRLF: {text:?}"));
    }
    if line.len() > MAX_COMMAND_LINE {
        wrong.push(format!("command line of {} octets", line.len()));
    }
    if line.contains(&0) || std::str::from_utf8(line).is_err() {
        wrong.push(format!("command line with NUL or no UTF-8: {text:?}"));
    }
    wrong
}

/// A content line as it came, its line end included: what is wrong with it.
pub(super) fn content_line(line: &[u8]) -> Option<String> {
    let shown = || String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    let body = line.strip_suffix(b"\r\n");
    match body {
        None => Some(format!("bare LF in the content: {:?}", shown())),
        Some(body) if memchr::memchr(b'\r', body).is_some() => {
            Some(format!("bare CR in the content: {:?}", shown()))
        }
        Some(body) if body.first() == Some(&b'.') && !body.starts_with(b"..") => Some(format!(
            "a dot at the line's start was not doubled: {:?}",
            shown()
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_strictly() {
        for (line, expected) in [
            ("MAIL FROM:<>", Some(("", vec![]))),
            (
                "mail from:<a@b.test> SIZE=1 BODY=8BITMIME",
                Some(("a@b.test", vec!["SIZE=1", "BODY=8BITMIME"])),
            ),
            (
                r#"MAIL FROM:<"a>\"b"@c.test>"#,
                Some((r#""a>\"b"@c.test"#, vec![])),
            ),
            ("MAIL FROM: <a@b.test>", None),
            ("MAIL FROM:a@b.test", None),
            ("MAIL FROM:<a@b.test", None),
            ("MAIL FROM:<a@b.test>SIZE=1", None),
            ("MAIL FROM:<a@b.test>  SIZE=1", None),
            ("MAIL FROM:<a@b.test> ", None),
        ] {
            let found = path(line, "MAIL FROM:");
            let expected =
                expected.map(|(a, p)| (a, p.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            assert_eq!(found.ok(), expected, "{line}");
        }
    }

    #[test]
    fn parameters_need_their_keyword() {
        let keywords = ["SIZE 10", "DSN"].map(str::to_owned);
        let params = ["SIZE=1", "ENVID=x", "BODY=8BITMIME", "SMTPUTF8"].map(str::to_owned);
        let missing = not_offered(&params, &keywords);
        assert_eq!(missing.len(), 2, "{missing:?}");
    }

    #[test]
    fn content_lines_are_checked() {
        for (line, fine) in [
            (&b"text\r\n"[..], true),
            (b"\r\n", true),
            (b"..\r\n", true),
            (b".text\r\n", false),
            (b"text\n", false),
            (b"te\rxt\r\n", false),
        ] {
            assert_eq!(content_line(line).is_none(), fine, "{line:?}");
        }
    }
}
