.PHONY: demo test lint soak bench modes templates clean install

PYTHON := .venv/bin/python

demo: ## install what is missing, start ecsnet, deploy examples/storefront and show its traffic
	@scripts/install.sh run
	@.venv/bin/ecsnet demo

test: ## every test, the real-packet ones included
	@scripts/install.sh test
	@$(MAKE) --no-print-directory lint
	$(PYTHON) -m pytest -n 2 --dist loadscope

lint:
	$(PYTHON) -m ruff check src tests bench
	$(PYTHON) -m ruff format --check src tests bench
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

soak: ## kernel and reach on random networks, 10,000 changes of 200 packets each
	@scripts/install.sh test
	$(PYTHON) tests/network/soak.py

bench: ## ours and the comparison side by side; writes bench/results/*.json
	@scripts/install.sh test
	$(PYTHON) bench/run.py

modes: ## compare bridge, host and awsvpc on this machine; writes docs/network-modes.md
	@scripts/install.sh run
	.venv/bin/ecsnet modes --write-doc docs

templates: ## deploy the public templates in $ECSNET_INPUTS; writes docs/generated/template-coverage.md
	@scripts/install.sh test
	$(PYTHON) bench/templates/run.py

clean: ## take the world down and remove what installation made
	@[ ! -x .venv/bin/ecsnet ] || .venv/bin/ecsnet down
	rm -rf .venv build src/*.egg-info
