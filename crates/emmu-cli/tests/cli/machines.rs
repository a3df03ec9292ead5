//! `emmu machines`, and machines that are wrong.

use crate::{emmu, file, refusal};
use serde_json::Value;

#[test]
fn the_list_names_every_machine_and_the_default() {
    let run = emmu(&["machines"]);
    assert_eq!(run.code, Some(0));
    insta::assert_snapshot!(run.out);
}

#[test]
fn a_preset_that_is_shown_is_a_machine_file() {
    for name in ["skylake-sp", "sifive-u74"] {
        let shown = emmu(&["machines", name]);
        let (_folder, path) = file("shown.toml", &shown.out);
        let again = emmu(&["machines", path.to_str().unwrap()]);
        assert_eq!(again.code, Some(0), "{}", again.err);
    }
}

fn json(arguments: &[&str]) -> Value {
    let run = emmu(&[&["machines", "--json"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn the_list_is_also_data() {
    let list = json(&[]);
    let machines = list["machines"].as_array().unwrap();
    let lines = machines.iter().map(|machine| {
        let mark = if machine["default"].as_bool().unwrap() { "*" } else { " " };
        let [name, format, description] =
            ["name", "format", "description"].map(|key| machine[key].as_str().unwrap());
        format!("{mark} {name:<16} {format:<14} {description}\n")
    });
    let lines: String = lines.collect();
    assert!(emmu(&["machines"]).out.starts_with(&format!("{lines}\n")), "{lines}");
    assert!(machines.len() > 1);
}

#[test]
fn a_machine_that_is_shown_is_also_data() {
    let data = json(&["sifive-u74"]);
    assert_eq!(data["name"], "sifive-u74");
    assert!(data["walker"]["count"].is_u64(), "{data}");
    let text = emmu(&["machines", "sifive-u74"]).out;
    assert_eq!(data, toml::from_str::<Value>(&text).unwrap());
    let (_folder, path) = file("mine.toml", text.replace("\"sifive-u74\"", "\"mine\""));
    assert_eq!(json(&[path.to_str().unwrap()])["name"], "mine");
}

#[test]
fn sizes_may_be_written_in_every_way() {
    let text = emmu(&["machines", "textbook-sv39"]).out;
    let (before, rest) = text.split_once("[memory]\n").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let size = |written: &str| {
        let (_folder, path) =
            file("mine.toml", format!("{before}[memory]\nsize = {written}\n{after}"));
        json(&[path.to_str().unwrap()])["memory"]["size"].clone()
    };
    assert_eq!(size("\"65_536K\""), "64M");
    for written in ["\"0x4000000\"", "0x4000000", "67_108_864", "\"67_108_864\"", "\"0x1_0000K\""] {
        assert_eq!(size(written), "64M", "{written}");
    }
}

#[test]
fn an_unknown_machine_is_refused_with_those_that_there_are() {
    insta::assert_snapshot!(refusal(&["sim", "--machine", "pentium"], b""));
}

/// The refusal of `textbook-sv39` with `from` replaced by `to`, without the folder's name.
fn changed(from: &str, to: &str) -> String {
    let text = emmu(&["machines", "textbook-sv39"]).out;
    assert!(text.contains(from), "{text}");
    let (folder, path) = file("mine.toml", text.replacen(from, to, 1));
    let message = refusal(&["sim", "--machine", path.to_str().unwrap()], b"");
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn wrong_keys_are_named_with_file_line_and_what_was_expected() {
    let messages = [
        changed("[walker]\ncount", "[walker]\ncuont"),
        changed("[walker]\ncount = 1", "[walker]\ncount = 0"),
        changed("entries = ", "entrys = "),
        changed("format = \"riscv-sv39\"", "format = \"riscv-sv40\""),
        changed("entries = 4", "entries = 4\nreplacement = \"lur\""),
        changed("pages = [\"4K\"", "pages = [\"5K\""),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn impossible_tables_are_refused() {
    let text = emmu(&["machines", "skylake-sp"]).out;
    let with = |from: &str, to: &str| {
        let (folder, path) = file("mine.toml", text.replacen(from, to, 1));
        let message = refusal(&["machines", path.to_str().unwrap()], b"");
        message.replace(&format!("{}/", folder.path().display()), "")
    };
    insta::assert_snapshot!(
        [with("ways = 8", "ways = 0"), with("sets = 16", "sets = 100")].join("\n")
    );
}
