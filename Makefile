# streamwatch: `make demo` to see it work, `make test` to check it. Both install what they need into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Byte-compiling what is never imported would take half of the time.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c infra/constraints.txt

.PHONY: demo test lint format bench clean

demo: $(VENV)/.demo ## a market day with a crisis in it; ONCE=1 ends by itself with a summary
	$(BIN)/streamwatch demo $(if $(ONCE),--once)

test: $(VENV)/.dev ## every test, on real parts
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.dev ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure the chain and its crashes; see `python -m jobs.benchmark --help`
	$(BIN)/python -m jobs.benchmark chain
	$(BIN)/python -m jobs.benchmark crash

clean:
	rm -rf $(VENV) .streamwatch

$(VENV)/.demo: pyproject.toml infra/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing streamwatch into $(VENV): about 2 GB, a few minutes"
	$(INSTALL) --upgrade pip
	$(INSTALL) -e '.[encoder,local]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(INSTALL) -e '.[dev]'
	touch $@
