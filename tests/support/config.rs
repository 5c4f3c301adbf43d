//! Configurations put together from pieces.

use toml::{Table, Value};

/// Keys of `extra` replace those of `base`; tables are merged, `[[rule]]` and other lists of tables are replaced,
/// except that rules are added.
pub fn merge(base: &str, extra: &str) -> String {
    let mut table = parsed(base);
    merge_tables(&mut table, parsed(extra));
    toml::to_string(&table).expect("a table can be written")
}

pub(super) fn parsed(text: &str) -> Table {
    text.parse()
        .unwrap_or_else(|error| panic!("configuration of a test: {error}\n{text}"))
}

fn merge_tables(base: &mut Table, extra: Table) {
    for (key, value) in extra {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(extra)) => merge_tables(base, extra),
            (Some(Value::Array(base)), Value::Array(extra)) if key == "rule" => base.extend(extra),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
