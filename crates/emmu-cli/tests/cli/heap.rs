//! `emmu heap`.

use crate::{emmu, refusal};
use insta::assert_snapshot;

/// Returns the output of `emmu heap`, which must succeed.
fn heap(arguments: &[&str]) -> String {
    let run = emmu(&[&["heap"], arguments].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out
}

#[test]
fn the_heap_of_thirty_step_by_step() {
    assert_snapshot!(heap(&["+10,+10,+10,-0,-2,+11,+1,-1", "--size", "30"]));
}

#[test]
fn headers_and_rounding_are_drawn_and_bad_frees_and_leaks_are_named() {
    let ops = "+3,+5,-0,-0,-@8,-@40,-@99,+200,-2";
    assert_snapshot!(heap(&[ops, "--size", "48", "--header", "1", "--align", "4"]));
}

#[test]
fn every_manager_side_by_side() {
    let ops = "+10,+20,+5,+30,-0,-2,+4,+9,-3,+33,+12";
    assert_snapshot!(heap(&[ops, "--compare"]));
}

#[test]
fn a_large_heap_is_drawn_with_several_units_a_character() {
    let ops = "+40,+80,-0";
    let growing = ["--grow", "300", "--size", "50", "--policy", "next", "--take", "high"];
    assert_snapshot!(heap(&[&[ops][..], &growing].concat()));
}

#[test]
fn trees_answer_as_best_fit_does() {
    let ops = "+10,+20,+5,+30,-0,-2,+4,+9,-3,+33,+12,-1";
    let steps = |arguments: &[&str]| {
        let json = heap(&[&[ops, "--json"], arguments].concat());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        let step = |step: &serde_json::Value| (step["addr"].clone(), step["free"].clone());
        report["steps"].as_array().unwrap().iter().map(step).collect::<Vec<_>>()
    };
    assert_eq!(steps(&["--manager", "tree"]), steps(&["--policy", "best"]));
}

#[test]
fn the_numbers_of_the_json_object_are_those_of_the_text() {
    let json = heap(&["+3,+4,-0,+90,+94", "--manager", "buddy", "--size", "64", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["manager"], "buddies");
    assert_eq!(report["steps"][1]["addr"], 4);
    assert_eq!(report["summary"]["failures"], 2);
    assert_eq!(report["summary"]["free"], 60);
    assert_eq!(report["summary"]["leaked"], serde_json::json!([1]));
    let compared = heap(&["+3", "--compare", "--json"]);
    let compared: serde_json::Value = serde_json::from_str(&compared).unwrap();
    assert_eq!(compared["managers"].as_array().unwrap().len(), 6);
}

#[test]
fn wrong_operations_are_refused_with_their_place() {
    let expected = "expected +SIZE, -NUMBER or -@ADDRESS";
    for (ops, complaint) in [
        ("", format!("operation 1 is \"\": {expected}")),
        ("+3,4", format!("operation 2 is \"4\": {expected}")),
        ("+3,-x", format!("operation 2 is \"-x\": {expected}")),
        ("+99999999999999999999", format!("operation 1 is \"+99999999999999999999\": {expected}")),
        (
            "+3,-1",
            "operation 2 is \"-1\": only 1 allocations come before it, and they are counted from 0"
                .to_owned(),
        ),
    ] {
        assert_eq!(refusal(&["heap", ops], b""), complaint);
    }
}

#[test]
fn options_that_a_manager_has_no_use_for_are_refused() {
    let of_lists = [
        &["--policy", "best"][..],
        &["--order", "address"],
        &["--no-coalesce"],
        &["--grow", "200"],
    ];
    let of_trees_too = [["--header", "8"], ["--align", "1"], ["--take", "low"]];
    let refused = |manager: &str, option: &[&str]| {
        let message = refusal(&[&["heap", "+5", "--manager", manager], option].concat(), b"");
        let expected = format!("{} has no meaning with --manager {manager}", option[0]);
        assert_eq!(message, expected);
    };
    for option in of_lists {
        refused("tree", option);
        refused("buddy", option);
        heap(&[&["+5"], option].concat());
    }
    for option in of_trees_too {
        refused("buddy", &option);
        heap(&[&["+5", "--manager", "tree"], &option[..]].concat());
    }
    // Side by side, an option is for the managers that have it.
    heap(&["+5", "--compare", "--header", "8", "--order", "size-ascending"]);
}

#[test]
fn sizes_and_addresses_are_written_as_everywhere() {
    let plain = heap(&["+1024,-@16", "--size", "4096", "--base", "16"]);
    assert_eq!(heap(&["+1K,-@0b1_0000", "--size", "0x1000", "--base", "0x10"]), plain);
}

#[test]
fn more_blocks_than_can_be_shown_are_refused_where_they_become_too_many() {
    let ops = vec!["+1"; 2000].join(",");
    for arguments in [&["--json"][..], &["--compare"]] {
        let told = refusal(&[&["heap", &ops, "--size", "65536"], arguments].concat(), b"");
        assert!(told.starts_with("operation 1447: the steps up to here have more than"), "{told}");
    }
    let few_at_a_time = vec!["+1,-@0"; 15_000].join(",");
    assert!(heap(&[&few_at_a_time]).contains("requests met 15000, failed 0"));
}

#[test]
fn impossible_heaps_are_refused_by_option() {
    for arguments in [["+3", "--size=0"], ["+3", "--align=0"], ["+3", "--policy=luck"]] {
        let run = emmu(&[&["heap"], &arguments[..]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
        let option = arguments[1].split('=').next().unwrap();
        assert!(run.err.contains(option), "{}", run.err);
    }
}
