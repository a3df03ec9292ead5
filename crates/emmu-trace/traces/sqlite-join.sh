#!/bin/sh
# Records sqlite-join.emt again, into the file that is named or in its place here.
# Needs sqlite3, valgrind and cargo.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/sqlite-join.emt}
case $out in /*) ;; *) out=$PWD/$out ;; esac

# References of the dynamic linker and of start-up, which are left out.
skip=3000000

cd "$here/../../.."
cargo build --quiet --release --package emmu-cli
emmu=${CARGO_TARGET_DIR:-$PWD/target}/release/emmu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
sqlite3 shop.db <"$here/sqlite-join.build.sql"

# An empty environment, so that the stack begins at the same place everywhere.
env -i PATH=/usr/bin:/bin valgrind --tool=lackey --trace-mem=yes --log-fd=3 sqlite3 shop.db \
    <"$here/sqlite-join.work.sql" 3>&1 >/dev/null |
    "$emmu" import - "$out" --skip $skip --provenance \
        "valgrind --tool=lackey --trace-mem=yes sqlite3 shop.db < sqlite-join.work.sql; all references after the first $skip"
