# make env | mini | test | test-newest | test-oldest | lint | docs | lock | audit | clean-env
# (needs Linux, bash 4.4+, make, Python 3.11+ with venv)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: env mini test test-newest test-oldest lint docs lock audit clean-env
.DEFAULT_GOAL := mini

bin := .venv/bin
LOCKED := recipes vad keras onnx openvino mnn dev  # extras of pyproject.toml that make env installs

env:
	@utils/setup_env.sh

mini: env
	@cd egs/voxceleb1 && ./run.sh --mini

test: env
	@$(bin)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-newest test-oldest: test-%:  ## unit tests with other versions of torch and lhotse; not in CI, as each takes 6 GB and long
	@utils/test_versions.sh $* $(PYTEST_ARGS)

lint: env
	@$(bin)/ruff check . && $(bin)/ruff format --check . && $(bin)/shellcheck -x -P SCRIPTDIR path.sh utils/*.sh egs/*/*.sh .ci/run .ci/schedulers

docs: env  ## the site, in docs/_build/index.html; the first time it installs the extra `docs`
	@$(bin)/python -c 'import furo, myst_parser, sphinx' 2> /dev/null || $(bin)/python -m pip install -q --no-build-isolation -e '.[docs]'
	@$(bin)/python -m sphinx -q -W --keep-going -b html docs docs/_build && echo "docs/_build/index.html"

lock:  ## resolve pyproject.toml, keeping the versions that still fit, or the newest: make lock UPGRADE=--upgrade; commit the result
	@python3 -m venv .venv.lock && .venv.lock/bin/pip install -q uv && .venv.lock/bin/uv pip compile -q pyproject.toml $(UPGRADE) \
	  $(LOCKED:%=--extra %) --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  -o requirements.lock; status=$$?; rm -rf .venv.lock; exit $$status

audit:  ## look the lock's versions up in PyPI's list of known vulnerabilities; not in lint, which needs no network
	@python3 -m venv .venv.audit && .venv.audit/bin/pip install -q pip-audit && .venv.audit/bin/pip-audit --strict \
	  --disable-pip --require-hashes -r requirements.lock; status=$$?; rm -rf .venv.audit; exit $$status

clean-env:
	@rm -rf .venv
