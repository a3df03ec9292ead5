//! The report as one object.

use crate::{LACKEY, run};
use serde_json::Value;

fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                found.push(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_snake_case() {
    let mut found = Vec::new();
    for machine in ["skylake-sp", "sifive-u74", "cortex-a53"] {
        keys(&serde_json::to_value(run(machine, LACKEY).unwrap()).unwrap(), &mut found);
    }
    assert!(found.contains(&"page_in_asid".to_owned()), "{found:?}");
    let snake = |key: &String| key.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    assert!(found.iter().all(snake), "{found:?}");
}
