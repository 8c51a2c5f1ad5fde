# All set-up and every everyday command. `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
# The tests of a file run in one process, so that its fixtures are made once. One worker more than
# there are cores: those of the browser and of other processes wait a quarter of their time.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
WORKERS := -n $(shell expr $(CORES) + 1) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Where an NVIDIA GPU answers, TensorFlow's CUDA libraries are installed too.
GPU := $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu)
APP := .venv/.app$(GPU)
DEV := .venv/.dev$(GPU)
comma := ,

.PHONY: help install demo app lab test slow lint faults fuzz crowds coverage docs format screenshots clean

help:  ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

$(APP): .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing the workbench (about $(if $(GPU),6 GB with TensorFlow for the GPU,2 GB with TensorFlow); a few minutes, once) ..."
	$(PIP) -e '.$(if $(GPU),[gpu])'
	@touch $@

$(DEV): .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing the workbench with its notebook and test tools (a few minutes, once) ..."
	$(PIP) -e '.[dev$(if $(GPU),$(comma)gpu)]'
	@touch $@ $(APP)

install: $(APP)  ## Create .venv and install, for the GPU where there is one

demo: $(APP)  ## Train and compare six losses on the built-in data set, then open the app
	$(BIN)/retrieval demo

app: $(APP)  ## Open the app on the runs of ./runs
	$(BIN)/streamlit run app.py

lab: $(DEV)  ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

test: lint  ## Lint, then run all tests but the slow ones
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" tests

slow: $(DEV)  ## Run the slow tests: whole trainings, kills, notebooks, browsers, clusters
	$(BIN)/python -m pytest $(WORKERS) -m slow tests

lint: $(DEV)  ## Lint, check the format and the types
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy

faults: $(DEV)  ## Kill commands at their file operations, for 35 minutes; counts to the results
	$(BIN)/python -m tests.faults.figures faults

fuzz: $(DEV)  ## Give every reader 10,000 wrong inputs in all; counts to the results
	$(BIN)/python -m tests.faults.figures fuzz --inputs 10000

crowds: $(DEV)  ## Let 2, 5 and 20 processes work at once; counts to the results
	$(BIN)/python -m tests.faults.figures crowds

coverage: $(DEV)  ## Run every test and report the lines that none of them reaches
	$(BIN)/python -m pytest $(WORKERS) --cov=retrieval --cov=workbench \
		--cov-report=term:skip-covered --cov-report=xml tests

docs: $(DEV)  ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(DEV)  ## Format the code
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

screenshots: $(DEV)  ## Take the documentation's screenshots again (needs Chromium and the runs)
	$(BIN)/python tools/screenshots.py

clean:  ## Remove the environment (data and runs stay)
	rm -rf .venv
