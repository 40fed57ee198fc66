# What one does with this project, one word each. It assumes Python 3.11 or newer with venv,
# make and git; everything else goes into .venv, from hashed lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps: a lock file newer than its stamp is installed again.
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --python-version 3.11 --custom-compile-command "make lock"

# Only folders that hold programs: mypy refuses an empty one.
CHECKED := proxy health_worker tests \
	$(if $(wildcard bench/*.py),bench) $(if $(wildcard campaigns/*.py),campaigns)
CAMPAIGNS := $(subst _,-,$(filter-out __init__ base,$(basename $(notdir $(wildcard campaigns/*.py)))))
NO_CAMPAIGN := there are: $(or $(CAMPAIGNS),none yet)

.DEFAULT_GOAL := help
.PHONY: help serve test check lint types floors dependencies promises lock bench campaign clean \
	install uninstall

help: ## Say what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14
	@echo
	@echo "Campaigns, for NAME=: $(or $(CAMPAIGNS),none yet)"

serve: $(RUNTIME) ## Run the proxy, on 127.0.0.1:8000 unless told: PORT=9000 CONFIG=my.yaml
	@exec env $(if $(PORT),PROXY_API_PORT=$(PORT)) $(BIN)/llm-proxy serve $(if $(CONFIG),--config "$(CONFIG)")

# In three processes on any machine: two cores are busy then, although many tests wait for others.
# Promises about time go by a clock that leaves out what others have the CPU. -n 0 is one.
# Compiled first: hundreds of tests start servers, and each would compile all that it imports
# where Python is told not to write what it has compiled (PYTHONDONTWRITEBYTECODE).
test: $(DEVELOPMENT) ## Run the tests: PYTEST_ARGS="tests/wire -k stream -n 0"
	@$(BIN)/python -m compileall -q proxy health_worker
	$(BIN)/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS)

check: lint types floors dependencies promises ## Run every gate that reads the source (-j, -k)

lint: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEVELOPMENT)
	$(BIN)/mypy --strict $(CHECKED)

floors: $(DEVELOPMENT)
	$(BIN)/lint-imports --no-logo

dependencies: $(DEVELOPMENT)
	$(BIN)/deptry --no-ansi proxy health_worker
	$(BIN)/python -m pip --disable-pip-version-check check

promises: $(DEVELOPMENT)
	$(BIN)/python -m pytest -q tests/promises

lock: $(DEVELOPMENT) ## Write both lock files anew; UPGRADE=1 takes newer versions
	$(COMPILE) --group build $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(COMPILE) --group dev $(if $(UPGRADE),--upgrade) --constraint requirements.lock --output-file requirements-dev.lock

bench: $(DEVELOPMENT) ## Measure speed into bench/results/: PEERS=all QUICK=1
	$(BIN)/python -m bench

campaign: $(DEVELOPMENT) ## Run a long test into campaigns/results/: NAME=old-sdk
	@test -n "$(NAME)" || { echo "Say which: make campaign NAME=<name>; $(NO_CAMPAIGN)" >&2; exit 2; }
	@test -f "campaigns/$(subst -,_,$(NAME)).py" || \
		{ echo "There is no campaign '$(NAME)'; $(NO_CAMPAIGN)" >&2; exit 2; }
	$(BIN)/python -m campaigns.$(subst -,_,$(NAME))

# Not from .venv: what is installed runs for another user, and without this tree.
install: ## Install the service for systemd, as root: PREFIX=/opt/llm-proxy DESTDIR=
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" systemd-services/install.sh install

uninstall: ## Remove what `make install` made; configuration and state stay
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" systemd-services/install.sh uninstall

clean: ## Remove .venv and every cache; .state and configuration stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage htmlcov dist bench/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The project is installed editable, which gives `llm-proxy` in $(BIN) and runs the tree as it
# stands; its build backend comes from the same hashed lock, hence no build isolation.
$(RUNTIME): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "'$(PYTHON)' is not Python 3.11 or newer with venv ($$($(PYTHON) --version 2>&1)). Install one" \
		"(Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements.lock into $(VENV)"
	@$(INSTALL) --require-hashes --no-deps -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.lock
	@echo "Installing requirements-dev.lock into $(VENV)"
	@$(INSTALL) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
