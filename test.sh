#!/usr/bin/env bash
# Sets up a fresh Debian machine with stable Rust, and passes every test.
#
# Usage: ./test.sh
#
# Installs what is missing of: a C linker, Python's venv, Node.js, Valgrind and Chromium (Debian), cargo-deny (cargo), kosoku (pip),
# playwright-core and @microsoft/signalr (npm). Where it cannot, it says what is missing and stops. With a nightly toolchain the oldest versions of
# our dependencies are tried and each fuzz target runs for ten seconds.

set -euo pipefail
cd "$(dirname "$0")"

export CARGO_TERM_COLOR=never
# One folder for everything that is built here, so that heavy things are built once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
kosoku=$CARGO_TARGET_DIR/tools/python/bin/kosoku

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
        # As `timeout` ends what takes too long.
        if ((status == 124 || status == 137)); then name+=", it took too long"; fi
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
    debian_packages
    command -v cargo-deny >/dev/null || cargo install --locked --quiet cargo-deny --target-dir "$CARGO_TARGET_DIR/tools" ||
        missing "cargo-deny: cargo install --locked cargo-deny"
    [[ -x $kosoku ]] || install_kosoku || missing "kosoku 0.1.0: pip install kosoku==0.1.0"
    [[ tests/browser/node_modules/.package-lock.json -nt tests/browser/package-lock.json ]] ||
        npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --loglevel error ||
        missing "playwright-core: npm ci --prefix tests/browser"
    [[ tests/signalr/node_modules/.package-lock.json -nt tests/signalr/package-lock.json ]] ||
        npm ci --prefix tests/signalr --ignore-scripts --no-audit --no-fund --loglevel error ||
        missing "@microsoft/signalr: npm ci --prefix tests/signalr"
}

debian_packages() {
    local as_root=() wanted=()
    command -v cc >/dev/null || wanted+=(gcc libc6-dev)
    python3 -c "import ensurepip, venv" 2>/dev/null || wanted+=(python3 python3-venv)
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
    command -v valgrind >/dev/null || wanted+=(valgrind)
    [[ -x /usr/bin/chromium ]] || wanted+=(chromium)
    ((${#wanted[@]})) || return 0
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" apt-get -q update &&
        "${as_root[@]}" apt-get -q install -y --no-install-recommends "${wanted[@]}" ||
        missing "${wanted[*]}: apt-get install ${wanted[*]}"
}

# Autobahn's cases, in an environment of its own.
install_kosoku() {
    local venv=${kosoku%/bin/*}
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check kosoku==0.1.0
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
    for one in "" alloc std json messagepack; do
        cargo doc --quiet -p lapwing --no-default-features --features "$one" --no-deps
    done
}

# Present means more, never different: every pair of features builds.
features() {
    local one other tree all=(alloc std json messagepack smol tokio tracing)
    cargo check --quiet -p lapwing --no-default-features
    for one in "${all[@]}"; do
        for other in "${all[@]}"; do
            [[ $one > $other ]] || cargo check --quiet -p lapwing --no-default-features --features "$one,$other"
        done
    done
    for one in "" smol tokio smol,tokio; do
        cargo check --quiet -p lapwing-sockets --features "$one"
        cargo check --quiet -p lapwing-tcp --features "$one"
        cargo check --quiet -p lapwing-websocket --features "$one"
        cargo check --quiet -p lapwing-http --features "$one"
    done
    for one in tcp websocket; do
        tree=$(cargo tree -p "lapwing-$one" --features smol -e normal)
        if grep -w tokio <<<"$tree"; then
            echo "lapwing-$one with smol alone depends on tokio" >&2
            return 1
        fi
    done
}

tests() {
    cargo test --workspace --all-features
}

# Whole worlds, each from a seed; without optimisation there are few.
simulation() {
    cargo test --quiet --release -p lapwing --all-features --test simulation -- --nocapture
    local patch
    for patch in core/tests/simulation/planted/*.patch; do
        git apply --check "$patch"
    done
}

# 200,000 events past a subscriber that stands still for five seconds.
slow_reader() {
    SLOW_READER=full cargo test --release -p lapwing-cli --test program slow_reader -- --test-threads 1
}

# What some hundred connections cost, what they leave behind, and what becomes of one that stops reading.
connections() {
    local bench="$CARGO_TARGET_DIR/release/bench-connections"
    cargo build --quiet --release -p lapwing-cli -p lapwing-benches
    "$bench" idle --connections 500
    "$bench" churn --connections 3000
    "$bench" stopped-reader --connections 20 --seconds 1 --reps 1 --rate 1000
}

# What operations cost in instructions, beside the stored figures; and that the load generator loses nothing.
instructions() {
    benches/instructions.py --check
    benches/compare.py --reps 1 --secs 0.5 --rows fanout-100,stopped-reader,topics,publishers-16,round-trip
}

# What threads share, in every order with three switches of thread in the midst of something. The whole workspace: it is built.
loom() {
    LOOM_MAX_PREEMPTIONS=3 cargo test --workspace --all-features --test loom
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
    for target in fuzz/fuzz_targets/*.rs; do
        target=$(basename "$target" .rs)
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

# Autobahn's cases of RFC 6455 against one end of a connection: `server`, `http` or `client`.
autobahn() {
    cargo build --quiet --release -p lapwing-examples --example echo
    tests/autobahn.py "$1" "$CARGO_TARGET_DIR/release/examples/echo" "$kosoku" "$CARGO_TARGET_DIR/autobahn/$1"
}

# The pages of examples in Chromium, and programs at the other end.
browser() {
    cargo build --quiet --workspace --all-features --bins --examples
    local examples=$CARGO_TARGET_DIR/debug/examples
    EXAMPLE=$examples/browser ONE_ROOM=$examples/one_room LAPWING=$CARGO_TARGET_DIR/debug/lapwing \
        timeout --kill-after 10 180 node --test-reporter=spec --test tests/browser/*.test.mjs
}

# Microsoft's client for JavaScript at the other end of examples, three times, each in another order.
signalr() {
    cargo build --quiet --workspace --all-features --bins --examples
    local run examples=$CARGO_TARGET_DIR/debug/examples
    for run in 1 2 3; do
        CHAT=$examples/chat FIRST_CHAT=$examples/first_chat ONE_ROOM=$examples/one_room AXUM_APP=$examples/axum_app \
            SEED=$((RANDOM * 32768 + RANDOM)) timeout --kill-after 10 300 node --test-reporter=spec --test tests/signalr/*.test.mjs
    done
}

# A hub with a method for everything, against every line of what it promises; what takes its time does so beside the others.
conformance() {
    CONFORMANCE=$CARGO_TARGET_DIR/debug/examples/conformance \
        timeout --kill-after 10 900 node --test-reporter=spec --test-concurrency 3 --test tests/signalr/conformance/*.test.mjs
}

block "set-up" set_up
block "format" format
block "lints" lints
block "docs" docs
block "features in pairs" features
block "tests" tests
block "loom" loom
block "simulation" simulation
block "a slow reader" slow_reader
block "many connections" connections
block "instructions" instructions
block "fuzz corpora" fuzz_corpora
block "licences and bans" licences
block "the main job" demo
block "Autobahn, server" autobahn server
block "Autobahn, HTTP" autobahn http
block "Autobahn, client" autobahn client
block "browser" browser
block "SignalR clients" signalr
block "SignalR conformance" conformance
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
