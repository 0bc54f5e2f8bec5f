# nearfar's commands. Needs python3 (3.11 or later), its pip, and make; everything else is set up here.
# `make` alone lists the commands.

PYTHON ?= python3
VENV := .venv
# An activated .venv hides the Python it was made with, and with it the only pip.
ifeq ($(VIRTUAL_ENV),$(CURDIR)/$(VENV))
export PATH := $(subst $(VIRTUAL_ENV)/bin:,,$(PATH))
endif
BIN := $(VENV)/bin
PIP_INSTALL = $(PYTHON) -m pip --disable-pip-version-check --no-input --python $(BIN)/python install --quiet
# A lock file is complete: nothing is left to be resolved, which would take a third of the time.
FROM_LOCK = $(PIP_INSTALL) --require-hashes --only-binary :all: --no-deps
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
# One folder for each lock file of a previous major.
SDKS := $(patsubst requirements/sdk-%.lock,.build/sdk/%/.installed,$(wildcard requirements/sdk-*.lock))
# Those that quick tests use.
QUICK_SDKS := .build/sdk/openai-2/.installed
# The engine's wheel links to OpenMP's runtime, which comes with gcc but not with a bare Debian.
HAS_OPENMP = $(BIN)/python -c 'import ctypes, sys; sys.platform == "linux" and ctypes.CDLL("libgomp.so.1")' 2>/dev/null
NODE := .build/node/.installed
# torch's builds differ by machine, so it is a stage of its own: all of .venv, and these engines before it.
STAGE := .build/stages/torch
TORCH := torch==2.13.0
STAGE_INSTALL = $(PYTHON) -m pip --disable-pip-version-check --no-input --python $(STAGE)/bin/python install --quiet
UV := .build/lock/bin/uv
LITELLM := .build/peers/litellm/bin/litellm
PRESIDIO := .build/peers/presidio/bin/python
COMPILE = $(UV) --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links --upgrade

# Engines that need torch or their own runtime are set up apart: see requirements/README.md.
EXTRAS := --extra local --extra postgres --extra store --extra aws --extra google --extra hub --extra tuning
SOAK_SECONDS ?= 600
CHAOS_SECONDS ?= 1800
JOBS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo serve install dev sdk node lint test test-quick test-all test-torch soak bench bench-peers bench-privacy docs lock clean

help: ## List these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done

demo: $(RUN) ## Watch real requests being answered near and far, each with its reason
	$(BIN)/nearfar demo $(ARGS)

serve: $(RUN) ## Start the gateway (ARGS="--port 8642 …")
	$(BIN)/nearfar serve $(ARGS)

install: $(RUN) ## Set up .venv with what running needs
dev: $(DEV) $(SDKS) ## Set up .venv with what developing needs
sdk: $(SDKS) ## Set up the previous majors of the official clients, for the tests
node: $(NODE) ## Set up the official JavaScript clients, for the tests

lint: $(DEV) ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers $(JOBS)
	$(BIN)/lint-imports

# A shell that forbids bytecode would have every run compile all tests anew, and every gateway that one starts all of src.
test-quick test-all test-torch soak: export PYTHONDONTWRITEBYTECODE :=

# Workers share the cores: threads of numpy's beside them would only wait for each other.
test-quick: export OPENBLAS_NUM_THREADS := 1

test-quick: $(DEV) $(QUICK_SDKS)
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal $(ARGS)

test: lint test-quick ## Style, types, layers and every quick test (minutes)

# More examples of each property than the quick tests take.
test-all: export NEARFAR_EXAMPLES := 100
test-all: lint test-quick $(SDKS) $(NODE) $(STAGE)/.installed ## All of `make test` and the slow tests: faults, soak and chaos in short form, bench, wheel
	$(BIN)/python -m pytest -m "slow and not torch" --durations 10 $(ARGS)
	@$(MAKE) --no-print-directory test-torch

test-torch: $(STAGE)/.installed ## The tests that need torch and ONNX Runtime, which it installs under .build (1.3 GB)
	$(STAGE)/bin/python -m pytest -m torch --durations 10 $(ARGS)

soak: $(DEV) $(SDKS) ## Soak and chaos in their long form (SOAK_SECONDS=600 CHAOS_SECONDS=1800)
	NEARFAR_SOAK_SECONDS=$(SOAK_SECONDS) NEARFAR_CHAOS_SECONDS=$(CHAOS_SECONDS) $(BIN)/python -m pytest -m soak --durations 10 $(ARGS)

bench: $(RUN) ## Cost per request beside nginx's, in one run (needs nginx and wrk); writes bench/latest.json
	$(BIN)/python -m bench.run $(ARGS)

bench-peers: $(RUN) $(LITELLM) ## The same load on LiteLLM, which it installs under .build
	$(BIN)/python -m bench.peers --litellm $(LITELLM) $(ARGS)

bench-privacy: $(RUN) $(LITELLM) $(PRESIDIO) ## What Presidio, LiteLLM and nearfar find in the same texts (needs labelled data)
	$(BIN)/python -m bench.privacy_peers --presidio $(PRESIDIO) --litellm $(LITELLM:litellm=python) $(ARGS)

docs: $(DEV) ## Write the generated parts of README and docs anew
	$(BIN)/python -m tools.docs.generate $(ARGS)

lock: $(UV) ## Write requirements/*.lock anew
	$(COMPILE) pyproject.toml requirements/build.in $(EXTRAS) --group dev -o requirements/dev.lock
	$(COMPILE) pyproject.toml requirements/build.in --extra local -c requirements/dev.lock -o requirements/run.lock
	$(COMPILE) requirements/stage-torch.in -c requirements/dev.lock -o requirements/stage-torch.lock
	for name in requirements/sdk-*.in; do $(COMPILE) "$$name" -o "$${name%.in}.lock" || exit; done

clean: ## Remove what these commands made: .venv, .build, caches
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A virtual environment without its own pip: Debian's python3 brings venv but not ensurepip, so the pip
# beside $(PYTHON) installs into it from outside.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nearfar needs Python 3.11 or later; '$(PYTHON)' is older or missing. Try: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
		echo "'$(PYTHON)' has no pip. On Debian: apt-get install python3-pip" >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)

$(RUN): requirements/run.lock pyproject.toml | $(BIN)/python
	$(FROM_LOCK) -r requirements/run.lock
	$(PIP_INSTALL) --no-index --no-deps --no-build-isolation --editable .
	@$(HAS_OPENMP) || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing libgomp1, which the embedded engine needs" && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 >/dev/null && $(HAS_OPENMP); } || { \
		echo "The embedded engine needs the system library libgomp. On Debian: apt-get install libgomp1" >&2; exit 1; }
	@touch $@

# Tests import a part of these packages, and compile that.
$(DEV): requirements/dev.lock $(RUN) | $(BIN)/python
	$(FROM_LOCK) --no-compile -r requirements/dev.lock
	@touch $@

.build/sdk/%/.installed: requirements/sdk-%.lock | $(BIN)/python
	rm -rf $(@D)
	$(FROM_LOCK) --no-compile --target $(@D) -r $<
	@touch $@

# The machine's Node.js where it is new enough, or else one from a wheel. Packages run no scripts of their own.
$(NODE): tests/sdk/node/package-lock.json requirements/node.in | $(BIN)/python
	rm -rf $(@D) && mkdir -p $(@D)
	cp tests/sdk/node/package.json tests/sdk/node/package-lock.json $(@D)
	@node -e 'process.exit(Number(process.versions.node.split(".")[0] < 20))' 2>/dev/null && npm --version >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --without-pip $(@D)/venv && $(PYTHON) -m pip --disable-pip-version-check --no-input \
		--python $(@D)/venv/bin/python install --quiet --only-binary :all: -r requirements/node.in; }
	PATH="$(CURDIR)/$(@D)/venv/bin:$$PATH" npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel error
	PATH="$(CURDIR)/$(@D)/venv/bin:$$PATH" command -v node > $(@D)/node
	@touch $@

# First the engines alone, for pip must not touch .venv; then the line that makes .venv part of it. An index whose torch
# needs more than torch itself (CUDA's libraries) has to give that too.
$(STAGE)/.installed: requirements/stage-torch.lock $(DEV)
	rm -rf $(STAGE)
	$(PYTHON) -m venv --without-pip $(STAGE)
	$(STAGE_INSTALL) --require-hashes --only-binary :all: -r $<
	$(STAGE_INSTALL) --no-deps $(TORCH)
	@$(STAGE)/bin/python -c 'import torch' 2>/dev/null || $(STAGE_INSTALL) $(TORCH)
	@$(STAGE)/bin/python -c 'import sysconfig, sys; open(sysconfig.get_path("purelib") + "/house.pth", "w").write( \
		"import site; site.addsitedir(" + repr(sys.argv[1]) + ")\n")' \
		"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@

$(LITELLM): | $(BIN)/python
	$(PYTHON) -m venv --without-pip .build/peers/litellm
	$(PYTHON) -m pip --disable-pip-version-check --no-input --python .build/peers/litellm/bin/python install --quiet \
		'litellm[proxy]>=1.106,<1.107'

$(PRESIDIO): | $(BIN)/python
	$(PYTHON) -m venv --without-pip .build/peers/presidio
	$(PYTHON) -m pip --disable-pip-version-check --no-input --python $@ install --quiet 'presidio-analyzer==2.2.366'

$(UV): | $(BIN)/python
	$(PYTHON) -m venv --without-pip .build/lock
	$(PYTHON) -m pip --disable-pip-version-check --no-input --python .build/lock/bin/python install --quiet 'uv>=0.13,<0.14'
