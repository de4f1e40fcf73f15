# The commands of a checkout. Each works first, alone, and again: what it needs is made when it is missing.
#
#   make demo     a swarm on this machine answers a prompt, with everything shown      (make demo PROMPT='...')
#   make attack   the same swarm, attacked in five ways, with what catches each
#   make test     the tests
#   make check    lint, format, types, architecture, dependencies
#   make sabotage  break each promise on a copy of the tree, and see its test turn red
#   make bench    every benchmark                                                      (make bench NAME=ring)
#   make simulate a thousand simulated nodes under churn, with plots                   (make simulate SEED=7 OUT=DIR)
#   make setup    only what 'make demo' needs
#   make pins     resolve the pinned requirements anew (maintainers)
#   make clean    remove the environment and all caches; the fetched model stays in .cache/models

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := .cache/models
MODEL := $(MODELS)/smollm2-135m-instruct/model.json
# Pins hold every dependency of every dependency, with hashes, so nothing is left for pip to resolve.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

export PIP_NO_WARN_SCRIPT_LOCATION := 1

.PHONY: setup demo attack test check coverage sabotage bench simulate pins clean

setup: $(VENV)/.demo $(MODEL)

demo: setup
	$(BIN)/peernet demo --models $(MODELS) $(if $(PROMPT),--prompt '$(PROMPT)') $(OPTIONS)

attack: setup
	$(BIN)/peernet demo --attack --models $(MODELS) $(OPTIONS)

test: $(VENV)/.test $(MODEL)
	$(BIN)/python -m pytest $(PYTEST)

coverage: $(VENV)/.test $(MODEL)
	$(BIN)/python -m pytest --cov --cov-branch --cov-report=term-missing:skip-covered $(PYTEST)

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/vulture

sabotage: $(VENV)/.test $(MODEL)
	$(BIN)/python -m tests.policy.sabotages $(NAME)

bench: $(VENV)/.test $(MODEL)
	$(BIN)/python -m benchmarks $(or $(NAME),all)

simulate: $(VENV)/.test
	$(BIN)/peernet simulate $(or $(SCENARIO),simulations/scenarios/discovery.toml) --seed $(or $(SEED),7) \
		--out $(or $(OUT),results/$(shell date +%Y%m%d-%H%M%S)) $(OPTIONS)

# --- what the commands need -------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "peernet needs Python 3.11 or newer; '$(PYTHON)' is not. Say which: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The editable install comes second: pip refuses one under --require-hashes.
$(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r $<
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(MODEL): | $(BIN)/python
	@test -e $(BIN)/peernet || $(MAKE) $(VENV)/.demo
	$(BIN)/peernet model pull --models $(MODELS)

# `trio-typing` is left out: nothing imports it, and its stubs would hide trio's own types.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header --no-emit-package trio-typing --no-emit-package async-generator pyproject.toml requirements/build.in

pins: $(VENV)/.check
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) $(UPGRADE) --extra demo --output-file requirements/demo.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/demo.txt --extra demo --extra test --output-file requirements/test.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/test.txt --extra demo --extra test --extra check \
		--output-file requirements/check.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
