#!/usr/bin/env bash
# Runs fuzz targets and prints a row for each: its corpus and coverage before and after.
#
# Usage: fuzz/measure.sh [SECONDS] [TARGET...]
#
# Needs a nightly toolchain and cargo-fuzz. What is found stays in target/found/TARGET, and the next run begins with it; the
# seeds in corpus/ stay as they are. A failing input is in artifacts/TARGET.

set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
targets=("$@")
((${#targets[@]})) || for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
built=${CARGO_TARGET_DIR:-$PWD/target}/fuzz

# The figure behind a word of the last line of a kind: `cov`, `ft`, `corp`.
figure() {
    sed -nE "s|^#[0-9]+[[:space:]]+$2 .*$3: ([0-9]+).*|\1|p" "$1" | tail -1
}

printf '| target | seconds | runs | inputs | edges | features |\n|---|---|---|---|---|---|\n'
for target in "${targets[@]}"; do
    found=target/found/$target
    log=$found.log
    mkdir -p "$found"
    cargo +nightly fuzz run --fuzz-dir . --target-dir "$built" "$target" "$found" "corpus/$target" -- \
        -max_total_time="$seconds" -verbosity=1 >"$log" 2>&1 || {
        tail -40 "$log" >&2
        exit 1
    }
    printf '| %s | %s | %s | %s → %s | %s → %s | %s → %s |\n' "$target" "$seconds" \
        "$(sed -nE 's|^Done ([0-9]+) runs.*|\1|p' "$log")" \
        "$(figure "$log" INITED corp)" "$(figure "$log" DONE corp)" \
        "$(figure "$log" INITED cov)" "$(figure "$log" DONE cov)" \
        "$(figure "$log" INITED ft)" "$(figure "$log" DONE ft)"
done
