# Daily commands. `just` lists them.

default:
    @just --list

# The program, in the development build.
run *arguments:
    cargo run -- {{arguments}}

# Everything that must pass before a commit.
check: format lint test

format:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test *filter:
    cargo test --workspace {{filter}}

# Controls and example pipelines against their own tests.
test-packs:
    cargo run -- test examples queries

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# The workload that is compared with peers; prints ratios.
bench *arguments:
    cargo bench --bench workload -- {{arguments}}

# What the journal costs beside the bare disk; prints ratios.
bench-journal *arguments:
    cargo bench --bench journal -- {{arguments}}

# State: bytes per checkpoint, restore, what checkpoints cost.
bench-state *arguments:
    cargo bench --bench state -- {{arguments}}

# Kafka JSON against a bare consumer: `just bench-kafka 1000000 3`
bench-kafka *arguments:
    cargo bench --bench kafka -- {{arguments}}

# Collecting from AWS against the bare SDK, memory, events: `TIDEGATE_BENCH_ROWS=100000 just bench-aws refresh 3`
bench-aws *arguments:
    cargo bench --bench aws -- {{arguments}}
