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

# Made anew when the lock file changes. Every package is pinned and checked by its hash; the lock file names them all, so
# pip resolves nothing: some of its releases look for newer packages to meet a dependency's extras, and refuse what they find.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Offhook needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
