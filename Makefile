# make run and make test are all it takes: each makes .venv if it is missing, installs what it needs, and goes on.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test coverage lint types format bench data clean

run: .venv/app
	$(BIN)/streamlit run streamlit_app.py

test: .venv/tests lint types
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# Which lines and branches of core the tests reach; the browser's tests would add nothing but time.
coverage: .venv/tests
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --maxprocesses 4 --dist worksteal --ignore tests/e2e
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

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
	rm -rf .venv .coverage* .mypy_cache .pytest_cache .ruff_cache vectors

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/tests: tests/requirements.txt .venv/app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@
