# The status page in Debian's Chromium. Included by the Makefile at the root.

PAGE := tests/page
PAGE_NODE := $(PAGE)/node_modules/.installed

.PHONY: page-test page-pictures
page-test: $(PAGE_NODE) ## try the status page in a real browser (installs Debian's chromium)
	@sh $(PAGE)/prereqs.sh
	$(CARGO) build --locked
	cd $(PAGE) && node --test --test-reporter=spec page.test.mjs

page-pictures: export PICTURES = $(CURDIR)/docs/img
page-pictures: page-test ## the same, and keep its pictures for the documentation

$(PAGE_NODE): $(PAGE)/package.json $(PAGE)/package-lock.json $(PAGE)/.npmrc
	@sh tests/clients/prereqs.sh node
	cd $(PAGE) && npm ci --ignore-scripts
	@touch $@
