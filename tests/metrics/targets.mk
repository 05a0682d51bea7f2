# Included by the Makefile. Python 3 without packages, and Debian's Prometheus and Alertmanager.

PYTHON ?= python3
METRICS_TOOLS = $$(tests/metrics/tools.sh $(CURDIR)/target/prometheus)

.PHONY: dashboards
dashboards: ## write the dashboards and docs/metrics.md from the registry
	MAINSTAY_WRITE_METRICS=1 $(CARGO) test --locked --quiet --lib telemetry::listing_tests::the_list
	$(PYTHON) conf/grafana/generate.py

.PHONY: metrics-check
metrics-check: ## dashboards, metrics page, runbook, scrape configuration, alert rules and inhibitions, without traffic
	$(PYTHON) conf/grafana/generate.py --check
	tools=$(METRICS_TOOLS) && \
		$$tools/promtool check config conf/prometheus/prometheus.yml && \
		$$tools/amtool check-config conf/prometheus/alertmanager.yml && \
		$$tools/promtool test rules conf/prometheus/tests/*.yaml

.PHONY: metrics-test
metrics-test: metrics-check ## every panel, alert and inhibition against a real Prometheus and Alertmanager, before and during an incident
	$(CARGO) build --locked --bin mainstay
	tools=$(METRICS_TOOLS) && $(PYTHON) tests/metrics/run.py --tools $$tools

.PHONY: metrics-pictures
metrics-pictures: ## the same, and draw docs/img/*.svg from it
	$(CARGO) build --locked --bin mainstay
	tools=$(METRICS_TOOLS) && \
		$(PYTHON) tests/metrics/run.py --tools $$tools --pictures docs/img

# Who tries it gets one of the numbered folders, docs/runbook.md and docs/operating.md, and no more.
.PHONY: runbook-trial
runbook-trial: tests/page/node_modules/.installed ## stage five incidents, and what the one who is woken sees of each: pictures in target/trial (chromium)
	$(CARGO) build --locked --bin mainstay
	@sh tests/page/prereqs.sh
	rm -rf target/trial
	tools=$(METRICS_TOOLS) && $(PYTHON) tests/metrics/trial.py --tools $$tools --into target/trial

.PHONY: dashboards-types
dashboards-types: ## the dashboards against the types of @grafana/schema (npm)
	mkdir -p target/grafana-types
	cp tests/grafana/package.json tests/grafana/package-lock.json target/grafana-types
	cd target/grafana-types && npm ci --no-audit --no-fund --ignore-scripts
	node tests/grafana/check.mjs conf/grafana/dashboards target/grafana-types
	cd target/grafana-types && node_modules/.bin/tsc --noEmit --strict --skipLibCheck --module nodenext --target es2022 boards.ts
