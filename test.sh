#!/usr/bin/env bash
# Sets up a fresh Debian machine with stable Rust, and passes every test.
#
# Usage: ./test.sh
#
# Installs what is missing of: a C linker (Debian), cargo-deny (by cargo). Where it cannot, it says what is missing and
# stops. With a nightly toolchain the oldest versions of our dependencies are tried and each fuzz target runs for ten seconds.

set -euo pipefail
cd "$(dirname "$0")"

export CARGO_TERM_COLOR=never
# One folder for everything that is built here, so that heavy things are built once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

times=()
block() {
    local name=$1 start=$SECONDS status
    shift
    printf '\n── %s\n' "$name"
    # Not `"$@" || …`: there, a function goes on after its first command that fails, and only its last one counts.
    set +e
    (set -e; "$@")
    status=$?
    set -e
    if ((status)); then
        printf '\nfailed: %s\n' "$name" >&2
        exit 1
    fi
    times+=("$(printf '%6d s  %s' $((SECONDS - start)) "$name")")
}

missing() {
    printf 'missing: %s\n' "$1" >&2
    exit 1
}

set_up() {
    command -v cargo >/dev/null || missing "stable Rust (cargo)"
    cargo clippy --version >/dev/null 2>&1 || missing "clippy: rustup component add clippy"
    cargo fmt --version >/dev/null 2>&1 || missing "rustfmt: rustup component add rustfmt"
    command -v cc >/dev/null || install_linker
    command -v cargo-deny >/dev/null || cargo install --locked --quiet cargo-deny --target-dir "$CARGO_TARGET_DIR/tools" ||
        missing "cargo-deny: cargo install --locked cargo-deny"
}

install_linker() {
    local as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get -q update &&
        "${as_root[@]}" apt-get -q install -y --no-install-recommends gcc libc6-dev ||
        missing "a C linker: apt-get install gcc libc6-dev"
}

format() {
    cargo fmt --all --check
    cargo fmt --check --manifest-path fuzz/Cargo.toml
    cargo fmt --check --manifest-path examples/embedded/Cargo.toml
}

lints() {
    cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
    cargo clippy --quiet -p lapwing -- -D warnings
    cargo clippy --quiet -p lapwing --no-default-features -- -D warnings
    cargo clippy --quiet -p lapwing --no-default-features --features alloc -- -D warnings
    cargo clippy --quiet --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
    cargo clippy --quiet --manifest-path examples/embedded/Cargo.toml -- -D warnings
}

docs() {
    local one
    export RUSTDOCFLAGS="-D warnings"
    cargo doc --quiet --workspace --all-features --no-deps
    for one in "" alloc std json; do
        cargo doc --quiet -p lapwing --no-default-features --features "$one" --no-deps
    done
}

# Present means more, never different: every pair of features builds.
features() {
    local one other tree all=(alloc std json smol tokio tracing)
    cargo check --quiet -p lapwing --no-default-features
    for one in "${all[@]}"; do
        for other in "${all[@]}"; do
            [[ $one > $other ]] || cargo check --quiet -p lapwing --no-default-features --features "$one,$other"
        done
    done
    for one in "" smol tokio smol,tokio; do
        cargo check --quiet -p lapwing-sockets --features "$one"
        cargo check --quiet -p lapwing-tcp --features "$one"
    done
    tree=$(cargo tree -p lapwing-tcp --features smol -e normal)
    if grep -w tokio <<<"$tree"; then
        echo "lapwing-tcp with smol alone depends on tokio" >&2
        return 1
    fi
}

tests() {
    cargo test --workspace --all-features
}

# 200,000 events past a subscriber that stands still for five seconds.
slow_reader() {
    SLOW_READER=full cargo test --release -p lapwing-cli --test program slow_reader -- --test-threads 1
}

fuzz_corpora() {
    cargo test --manifest-path fuzz/Cargo.toml
}

licences() {
    cargo deny --all-features --log-level error check licenses bans sources
}

oldest() {
    cargo +nightly update --quiet -Z direct-minimal-versions &&
        cargo check --quiet --workspace --all-features
}

oldest_in_a_copy() {
    local copy status=0
    copy=$(mktemp -d)
    git archive HEAD | tar -x -C "$copy"
    (cd "$copy" && CARGO_TARGET_DIR="$CARGO_TARGET_DIR/oldest" oldest) || status=$?
    rm -rf "$copy"
    return $status
}

fuzz() {
    local target finds
    finds=$(mktemp -d)
    for target in decode session topic upgrade; do
        mkdir "$finds/$target"
        # What it finds goes to the first folder, what it knows is read from the second.
        cargo +nightly fuzz run --fuzz-dir fuzz --target-dir "$CARGO_TARGET_DIR/fuzz" "$target" \
            "$finds/$target" "fuzz/corpus/$target" -- -max_total_time=10 -verbosity=0 || return 1
    done
    rm -rf "$finds"
}

demo() {
    cargo run --quiet --release -- demo --seconds 2
}

block "set-up" set_up
block "format" format
block "lints" lints
block "docs" docs
block "features in pairs" features
block "tests" tests
block "a slow reader" slow_reader
block "fuzz corpora" fuzz_corpora
block "licences and bans" licences
block "the main job" demo
if cargo +nightly --version >/dev/null 2>&1; then
    block "oldest dependencies" oldest_in_a_copy
    if cargo +nightly fuzz --version >/dev/null 2>&1; then
        block "fuzz targets" fuzz
    else
        echo "cargo-fuzz is not here: fuzz targets were replayed, not run"
    fi
else
    echo "no nightly toolchain: oldest dependencies were not tried, fuzz targets were replayed, not run"
fi

printf '\nall passed\n'
printf '%s\n' "${times[@]}"
