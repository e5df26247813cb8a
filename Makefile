# Everything runs in .venv, which the first target makes. PYTHON: a Python 3.11 or later. TORCH_INDEX: see scripts/setup_venv.sh.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
OUT ?= demo-out
# Most tests wait for processes and terminals half of their time: one more at a time than there are cores.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# Every process that the tests start would compile the whole program again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long test-system check style types layers pytest wheel fmt bench pictures coverage clean

demo: $(DEMO_STAMP)
	@$(BIN)/loratui demo --out $(OUT)

# Whoever tests has all that the demo needs: the second stamp spares the second installation.
$(STAMP): pyproject.toml constraints.txt scripts/setup_venv.sh tui/loratui/remote/locks/train.txt
	@sh scripts/setup_venv.sh $(VENV) $(PYTHON) agent,dev
	@touch $(STAMP) $(DEMO_STAMP)

$(DEMO_STAMP): pyproject.toml constraints.txt scripts/setup_venv.sh
	@sh scripts/setup_venv.sh $(VENV) $(PYTHON) agent
	@touch $(DEMO_STAMP)

test: $(STAMP)
	@$(MAKE) --no-print-directory test-system || true
	@$(MAKE) --no-print-directory style types layers wheel pytest

test-system:
	@sh scripts/system_packages.sh

check: style types layers

style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

# A file's tests stay together: what its modules set up, a machine with an environment, say, is made once. Long ones first.
pytest: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20

# What takes a minute or more, and shows at length what the tests above show in small: before a release, and by night.
test-long: $(STAMP)
	$(BIN)/python -m pytest -m long -n $(WORKERS) --dist loadfile --durations=20

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python scripts/check_wheel.py dist/*.whl

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	@status=0; for script in scripts/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || status=1; done; exit $$status

# The README's pictures of the screens: as long as the demo takes.
pictures: $(STAMP)
	$(BIN)/python scripts/take_pictures.py docs/pictures

coverage: $(STAMP)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

clean:
	rm -rf $(VENV) build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
