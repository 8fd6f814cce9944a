# Durward. `make help` lists the targets.

.DEFAULT_GOAL := help
CARGO ?= cargo
# Properties draw the same cases each time, so that a change is judged by itself; `test-long` draws others.
export PROPTEST_RNG_SEED ?= 20260101

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binaries
	$(CARGO) build --locked -p durward --bins

.PHONY: demo
demo: build ## Play the whole job here: pair, request, approve, deliver (DEMO_AUTO=1 without a person)
	$(CARGO) run --quiet --locked -p durward --example demo

.PHONY: demo-browser
demo-browser: build ## The same with an agent that signs in to an airline in Chromium (DEMO_AUTO=1 without a person)
	$(CARGO) build --quiet --locked -p durward-flight-agent --bin flight-agent
	$(CARGO) run --quiet --locked -p durward-flight-agent --example demo-browser

.PHONY: setup
setup: ## Install what the tests need
	./scripts/setup-tests.sh

.PHONY: test
test: setup ## Install what the tests need, and pass them
	$(CARGO) test --locked --workspace --no-fail-fast

.PHONY: test-long
test-long: setup ## The same with ten times the crashes, ten minutes of a hostile network, a million requests, and more and other cases
	PROPTEST_RNG_SEED=$$(od -An -N6 -tu8 /dev/urandom | tr -d ' ') DURWARD_TEST_KILLS=500 DURWARD_TEST_CASES=10000 DURWARD_TEST_SECONDS=600 DURWARD_TEST_SOAK=1000000 PROPTEST_CASES=4096 $(CARGO) test --locked --workspace --no-fail-fast

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= code domain enc_string envelope import messages policy sync wire

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_SECONDS under libFuzzer (wants `cargo install cargo-fuzz`)
	@for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --features libfuzzer --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=40000 || exit 1; \
	done

.PHONY: lint
lint: ## Formatting, clippy, and cargo-deny where it is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed; 'cargo install cargo-deny --locked' adds that check"; fi

.PHONY: bench
bench: ## Measure what docs/performance.md promises: one table, and target/bench/figures.json
	mkdir -p target/bench
	$(CARGO) bench --locked -p durward-server --bench spake -- --json $(CURDIR)/target/bench/spake.json
	$(CARGO) bench --locked -p durward --bench figures -- --spake $(CURDIR)/target/bench/spake.json --json $(CURDIR)/target/bench/figures.json

.PHONY: bench-peers
bench-peers: ## The same work with Durward and with others, into docs/benchmarks.md (on a quiet machine; installs the others)
	./scripts/bench-peers.py --write

.PHONY: bench-parts
bench-parts: ## Measure parts by themselves: the machine, the store, accounts, the bare exchange
	$(CARGO) bench --locked -p durward-broker -p durward-store --benches

.PHONY: doc
doc: ## Build the API documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

.PHONY: man
man: ## Write the manual pages to target/man
	$(CARGO) run --quiet --locked -p durward --bin durward -- man --dir target/man

.PHONY: clean
clean: ## Remove what was built and installed for tests
	$(CARGO) clean
	rm -rf .tools
