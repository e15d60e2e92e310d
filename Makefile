# Offhook: `make run` brings the platform up, `make test` tests it. Both set up what they need first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test clean

run: .venv/ready
	$(BIN)/offhook up

test: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n 2

# Made anew when the lock file changes. Every package is pinned and checked by its hash.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Offhook needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
