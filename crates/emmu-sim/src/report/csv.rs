//! A report as two columns: the path of each value in the JSON object, and the value.

use csv::Writer;
use serde_json::Value;
use std::io::{self, Write};

pub(super) fn write(report: &Value, out: &mut impl Write) -> io::Result<()> {
    let mut rows = Writer::from_writer(out);
    rows.write_record(["key", "value"])?;
    write_value("", report, &mut rows)?;
    rows.flush()?;
    Ok(())
}

fn write_value(path: &str, value: &Value, rows: &mut Writer<impl Write>) -> io::Result<()> {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                write_value(&below(name), value, rows)?;
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                write_value(&below(&index.to_string()), value, rows)?;
            }
        }
        Value::Null => rows.write_record([path, ""])?,
        Value::String(text) => rows.write_record([path, text.as_str()])?,
        value => rows.write_record([path, &value.to_string()])?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_leaf_has_a_row_with_its_path() {
        let mut out = Vec::new();
        write(&json!({"a": {"b": 1, "c": [2.5, null]}, "d": "x, y"}), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "key,value\na.b,1\na.c.0,2.5\na.c.1,\nd,\"x, y\"\n");
    }
}
