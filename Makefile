# make run and make test are all it takes: each makes .venv if it is missing, installs what it needs, and goes on.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint types format bench data clean

run: .venv/app
	$(BIN)/streamlit run streamlit_app.py

test: .venv/tests lint types
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: .venv/tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tests
	$(BIN)/mypy

format: .venv/tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/tests
	$(BIN)/python -m tests.benchmarks

data: .venv/tests
	$(BIN)/python data/build_movies.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache vectors

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/tests: tests/requirements.txt .venv/app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@
