# `make run` serves the page, `make test` runs every check. Both install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test setup format bench screenshot clean

run: $(VENV)/.ready  ## serve the page: make run ARGS="--port 8000"
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/.ready-dev  ## format, lint, types, import contracts, scripts, styles, Dockerfile and all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/web/node.py --lint
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

setup: $(VENV)/.ready

screenshot: $(VENV)/.ready-dev  ## take README's picture of the page
	$(BIN)/python -m tests.screenshot

format: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python tests/web/node.py --format

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11 to 3.13 is needed: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt model_registry.yaml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m segmentation fetch
	touch $@

$(VENV)/.ready-dev: requirements.txt requirements-dev.txt requirements-ray.txt tests/web/node.py $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python tests/web/browser/chromium.py --install
	$(BIN)/python tests/web/node.py --install
	$(BIN)/python -m tests.traced --install
	touch $@

bench: $(VENV)/.ready-dev  ## every benchmark, against rembg in its own environment; TRUTH=folder adds the quality table
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.matting
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.cold_matting
	$(BIN)/python -m benchmarks.cold_start
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.tuning
	$(BIN)/python -m benchmarks.finish
	$(BIN)/python -m benchmarks.idle
	$(BIN)/python -m benchmarks.panning
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.isolation
	$(BIN)/python -m benchmarks.contracts
	$(BIN)/python -m benchmarks.plot
	$(if $(TRUTH),$(BIN)/python -m benchmarks.quality $(TRUTH))

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
