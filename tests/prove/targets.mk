# Incidents played with real processes in real time. Included by the Makefile. Python 3 without packages.

PYTHON ?= python3

.PHONY: prove
prove: prereqs ## seven incidents through the real proxy, beside the simulator's figures (RUNS=5, six minutes)
	$(CARGO) build --locked --bin mainstay
	$(PYTHON) tests/prove/run.py --program "$${CARGO_TARGET_DIR:-target}/debug/mainstay" --runs $(or $(RUNS),5)
