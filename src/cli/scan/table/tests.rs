use super::*;
use crate::survey::record::{Code, Finding};

fn table(place: Place, width: usize, colour: Colour) -> Table {
    let look = Look {
        place,
        width,
        colour,
    };
    Table::new(look, Lines::OnTerminal)
}

fn record(domain: &str) -> Record {
    Record {
        domain: domain.into(),
        class: Class::NoStarttls,
        findings: vec![Finding {
            severity: Severity::Error,
            code: Code::NoStarttls,
            host: None,
            text: String::new(),
        }],
        ..Record::default()
    }
}

#[test]
fn a_line_fits_the_terminal_and_moves_nothing() {
    let hostile =
        "a\u{1b}[2J\u{9b}\u{202e}\n漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字.example";
    for width in [0, 60, 80, 100, 120, 200] {
        for domain in ["a.example", hostile] {
            for class in [Class::NoStarttls, Class::CouldNotTest] {
                let mut record = record(domain);
                record.class = class;
                record.reason = Some(hostile.repeat(20));
                let line = table(Place::Terminal, width, Colour::No)
                    .line(&record)
                    .unwrap();
                assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
                let most = width.max(MIN_WIDTH).max(102);
                assert!(
                    console::measure_text_width(&line) <= most,
                    "{width}: {line}"
                );
            }
        }
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    let line = |colour| {
        table(Place::Terminal, 120, colour)
            .line(&record("a.example"))
            .unwrap()
    };
    assert!(line(Colour::Yes).contains("\u{1b}[31mno-starttls\u{1b}[0m"));
    assert!(!line(Colour::No).contains('\u{1b}'));
    assert_eq!(
        console::strip_ansi_codes(&line(Colour::Yes)).trim_end(),
        line(Colour::No)
    );
}

#[test]
fn there_are_no_lines_where_nobody_looks() {
    assert_eq!(
        table(Place::Elsewhere, 120, Colour::No).line(&record("a.example")),
        None
    );
}

#[test]
fn nothing_is_a_table_too() {
    let mut out = Vec::new();
    let table = table(Place::Elsewhere, 80, Colour::No);
    table.end(&Survey::default(), None, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "\n0 domains, 0 MX hosts\n");
}
