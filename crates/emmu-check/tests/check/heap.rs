//! Memory managers' vectors, on emmu's managers and on the reference models.

use emmu_check::Units;
use emmu_oracle::ReferenceModels;
use emmu_property::{quickcheck, vector_files_named};
use emmu_vectors::heap::{Description, Order, Placed, Policy, Subject};
use emmu_vectors::{Report, VectorFile, textbook};

/// How many steps each file has.
const FILES: [(&str, u64); 4] = [
    ("freespace", 2321),
    ("nextfit_kr", 900),
    ("firstfit_linked_list_allocator", 1600),
    ("buddy", 1990),
];

fn run_all(subject: &mut (impl Subject + textbook::Subject + emmu_vectors::Subject)) {
    for (file, steps) in FILES.into_iter().flat_map(|(name, steps)| {
        vector_files_named("textbook", name).into_iter().map(move |file| (file, steps))
    }) {
        let (name, mut mismatches) = (file.path.display(), Vec::new());
        let vectors = VectorFile::open(&file.path).unwrap();
        let report = vectors.run(subject, &mut |mismatch| mismatches.push(mismatch.to_string()));
        let shown = &mismatches[..mismatches.len().min(20)];
        assert!(shown.is_empty(), "{name}; the first of them:\n{}", shown.join("\n"));
        let Report { passed, failed, skipped } = report.unwrap();
        assert!(if file.is_sample { passed > 0 } else { passed == steps }, "{name}: {passed}");
        assert_eq!((failed, skipped), (0, 0), "{name}");
    }
}

#[test]
fn managers_pass_every_file() {
    run_all(&mut Units::default());
}

#[test]
fn reference_models_pass_every_file() {
    run_all(&mut ReferenceModels);
}

#[test]
fn a_wrong_answer_is_told_with_what_is_so_instead() {
    let record = concat!(
        r#"{"id": 7, "sim": "malloc", "base": 1000, "size": 100, "header": 0, "align": -1, "policy": "FIRST","#,
        r#" "order": "ADDRSORT", "coalesce": true, "ops": ["#,
        r#" {"op": "alloc", "slot": 0, "n": 3, "block": 1000, "payload": 1000, "searched": 2, "free": [[1003, 97]]},"#,
        r#" {"op": "invalid_free_skipped"}, {"op": "free", "slot": 4, "rc": -1, "free": [[1003, 97]]},"#,
        r#" {"op": "free", "slot": 0, "rc": 0, "free": [[1000, 99]]}]}"#,
    );
    let mut mismatches = Vec::new();
    let file = VectorFile::new("test.jsonl", record.as_bytes()).unwrap();
    let report =
        file.run(&mut Units::default(), &mut |mismatch| mismatches.push(mismatch.to_string()));
    assert_eq!(report.unwrap().to_string(), "0 passed, 2 failed, 2 skipped");
    assert_eq!(
        mismatches,
        [
            "7, op 0 (slot 0 of 3): expected 2 searched, got 1 searched",
            "7, op 3 (free of slot 0): expected free 1000+99, got free 1000+100",
        ]
    );
}

#[test]
fn a_malformed_record_is_refused_with_line_and_field() {
    for (record, complaint) in [
        (r#"{"id": 0, "sim": "buddy", "start": 0, "frames": 0}"#, "max_order: expected a value"),
        (
            r#"{"id": 0, "sim": "kr_nextfit", "unit": 24, "min_sbrk": 1, "limit": 1, "ops": []}"#,
            "unit: expected a power of two, found 24",
        ),
        (
            r#"{"id": 0, "sim": "firstfit_embedded", "size": 64, "min_block": 16, "ops": [{"op": "grow"}]}"#,
            "ops[0].op: expected alloc, free or invalid_free_skipped",
        ),
    ] {
        let file = VectorFile::new("test.jsonl", record.as_bytes()).unwrap();
        let error = file.run(&mut Units::default(), &mut |_| {}).unwrap_err().to_string();
        assert!(error.starts_with(&format!("test.jsonl:1: {complaint}")), "{error}");
    }
}

/// An operation: an allocation with its size and alignment, or the index of a block to free.
type Op = (bool, u16, u8);

/// Returns true if emmu's manager and the model give equal answers.
fn agree(heap: &Description, ops: &[Op]) -> bool {
    let mut manager = Units::default().build(heap).unwrap();
    let mut model = ReferenceModels.build(heap).unwrap();
    let is_list = matches!(heap, Description::FreeSpace { .. });
    let mut live: Vec<(Placed, u64, u64)> = Vec::new();
    ops.iter().all(|&(allocates, number, align)| {
        if allocates || live.is_empty() {
            let aligns = matches!(heap, Description::FirstFit { .. });
            let (size, align) =
                (u64::from(number % 90) + 1, 1 << if aligns { align % 8 } else { 0 });
            let (got, expected) =
                (manager.allocate(size, align).unwrap(), model.allocate(size, align).unwrap());
            live.extend(got.found.map(|placed| (placed, size, align)));
            if got.found != expected.found || is_list && got != expected {
                return false;
            }
        } else {
            let (placed, size, align) = live.swap_remove(usize::from(number) % live.len());
            manager.free(placed.payload, size, align).unwrap();
            model.free(placed.payload, size, align).unwrap();
        }
        let (mut got, expected) = (manager.state().unwrap(), model.state().unwrap());
        if is_list {
            // The model does not tell.
            got.end = expected.end;
        }
        got == expected
    })
}

quickcheck! {
    fn free_lists_do_as_the_model_does(number: u16, size: u16, ops: Vec<Op>) -> bool {
        let pick = |step: u16, count: u16| usize::from(number / step % count);
        let orders =
            [Order::Address, Order::SizeAscending, Order::SizeDescending, Order::Front, Order::Back];
        agree(&Description::FreeSpace {
            base: u64::from(number) % 100,
            size: u64::from(size % 500) + 1,
            header: [0, 1, 4, 8][pick(30, 4)],
            align: [1, 4, 7, 16][pick(120, 4)],
            policy: [Policy::Best, Policy::Worst, Policy::First][pick(1, 3)],
            order: orders[pick(3, 5)],
            coalesce: pick(15, 2) == 0,
        }, &ops)
    }

    fn next_fit_does_as_the_model_does(unit: u8, min_growth: u8, limit: u16, ops: Vec<Op>) -> bool {
        let unit = 16 << (unit % 3);
        let heap = Description::NextFit {
            unit,
            min_growth: u64::from(min_growth) * unit,
            limit: u64::from(limit) % 0x2000 / unit * unit,
        };
        agree(&heap, &ops)
    }

    fn first_fit_does_as_the_model_does(size: u16, min_block: u8, ops: Vec<Op>) -> bool {
        let min_block = 16 << (min_block % 3);
        agree(&Description::FirstFit { size: min_block + u64::from(size % 500) * 8, min_block }, &ops)
    }

    fn buddies_do_as_the_model_does(start: u8, frames: u16, max_order: u8, ops: Vec<Op>) -> bool {
        let (start, frames) = (start.into(), u64::from(frames % 300) + 1);
        agree(&Description::Buddy { start, frames, max_order: 7 + max_order % 4 }, &ops)
    }
}
