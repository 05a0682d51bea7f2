# Real clients: pinned SDKs against the built program. Included by the Makefile at the root.

CARGO ?= cargo
CLIENTS := tests/clients
CLIENTS_PYTHON := $(CLIENTS)/.venv/.installed
CLIENTS_NODE := $(CLIENTS)/node/node_modules/.installed

.PHONY: clients
clients: $(CLIENTS_PYTHON) $(CLIENTS_NODE) ## run the SDKs of OpenAI, LangChain, OpenRouter and other providers against the program
	$(CARGO) build --locked
	$(CLIENTS)/.venv/bin/python $(CLIENTS)/fleet.py

$(CLIENTS_PYTHON): $(CLIENTS)/requirements.txt
	@sh $(CLIENTS)/prereqs.sh python
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(CLIENTS_NODE): $(CLIENTS)/node/package.json $(CLIENTS)/node/package-lock.json $(CLIENTS)/node/.npmrc
	@sh $(CLIENTS)/prereqs.sh node
	cd $(CLIENTS)/node && npm ci --ignore-scripts
	@touch $@
