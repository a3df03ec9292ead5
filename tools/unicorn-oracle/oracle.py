#!/usr/bin/env python3
"""Draws random translation vectors, with the answers of Unicorn (QEMU's page-table walkers) to them.

One JSON object a line, in the format of the book's page "Translation vectors"; `emmu check` takes them. Every
case is drawn from the seed, the format's name and its number alone. Needs the package `unicorn`.
"""

import argparse
import json
import secrets
import sys

import unicorn

import aarch64
import x86
from draw import Draw

ARCHITECTURES = {"x86-64": x86, "aarch64": aarch64}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHITECTURES, required=True)
    parser.add_argument("--seed", type=integer, default=secrets.randbits(32), help="default: a fresh one")
    parser.add_argument("--cases", type=int, default=3000, help="over all formats of the architecture")
    parser.add_argument("--format", help="only this one, such as x86-pae or aarch64-16k")
    parser.add_argument("--out", default="/dev/stdout", help="a file; default: stdout")
    args = parser.parse_args()

    formats = [name for name in ARCHITECTURES[args.arch].FORMATS if args.format in (None, name)]
    if not formats:
        parser.error(f"--format: expected one of {', '.join(ARCHITECTURES[args.arch].FORMATS)}")
    print(f"seed {args.seed}: {args.cases} cases for {args.arch}", file=sys.stderr)
    counts = {"cases": 0, "operations": 0, "faults": 0, "dropped": 0}
    with open(args.out, "w", encoding="utf-8") as out:
        for at, name in enumerate(formats):
            oracle = ARCHITECTURES[args.arch].Oracle(name, Draw(f"{args.seed} {name}"))
            for number in range(at, args.cases, len(formats)):
                draw = Draw(f"{args.seed} {name} {number}")
                vector = run_case(oracle, draw, f"{name}-{args.seed}-{number}", counts)
                out.write(json.dumps(vector, separators=(",", ":")) + "\n")
    print(", ".join(f"{count} {what}" for what, count in counts.items()), file=sys.stderr)


def integer(text):
    """An integer, in hexadecimal after 0x."""
    return int(text, 0)


def run_case(oracle, draw, id, counts):
    regs, words, anchors = oracle.draw_case(draw)
    state, ops = dict(words), []
    for op in (oracle.draw_op(draw, anchors) for _ in range(draw.randint(6, 12))):
        oracle.guest.write(state, oracle.size)
        expect = oracle.perform(regs, op)
        held = oracle.guest.read(state, oracle.size)
        writes = {addr: held[addr] for addr in state if held[addr] != state[addr]}
        if expect is None:
            counts["dropped"] += 1
            continue
        if "fault" in expect:
            # The emulator sets accessed flags as it goes; the manual leaves them open when the access faults.
            counts["faults"] += 1
            writes = {}
        ops.append({**op, "expect": expect, **({"writes": spell(writes, oracle.size)} if writes else {})})
        state.update(writes)
    oracle.guest.write(dict.fromkeys(state, 0), oracle.size)
    counts["cases"] += 1
    counts["operations"] += len(ops)
    changed = {addr: word for addr, word in state.items() if word != words[addr]}
    return {
        "id": id,
        "oracle": f"unicorn-{unicorn.__version__}",
        "format": oracle.format_of(regs),
        "regs": {name: value if name == "maxphyaddr" else hex(value) for name, value in regs.items()},
        "mem": spell(words, oracle.size),
        "ops": ops,
        "mem_after": spell(changed, oracle.size),
    }


def spell(words, size):
    width = ["4"] if size == 4 else []
    return [[hex(addr), hex(word), *width] for addr, word in sorted(words.items())]


if __name__ == "__main__":
    main()
