# Coding agents through the built program. Included by the Makefile at the root; outside every default run: the pinned
# programs take a gigabyte. AGENTS="--agent codex --upstream gemini" takes one.

AGENTS_FOLDER := tests/agents
AGENTS_NODE := $(AGENTS_FOLDER)/node_modules/.installed

.PHONY: agents
agents: prereqs $(AGENTS_NODE) ## let Claude Code, Codex and opencode work while their first provider is down
	$(CARGO) build --locked
	python3 $(AGENTS_FOLDER)/run.py $(AGENTS)
	python3 $(AGENTS_FOLDER)/run.py --returns $(AGENTS)

$(AGENTS_NODE): $(AGENTS_FOLDER)/package.json $(AGENTS_FOLDER)/package-lock.json $(AGENTS_FOLDER)/.npmrc
	@sh tests/clients/prereqs.sh node
	cd $(AGENTS_FOLDER) && npm ci --ignore-scripts
	@touch $@
