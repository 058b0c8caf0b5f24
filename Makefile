# Everything a person or a build server types. `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo

# Without an NVIDIA driver: the CPU build of torch, from PyTorch's own index where it answers.
ifeq ($(shell command -v nvidia-smi 2>/dev/null),)
TORCH = -c constraints-cpu.txt $(shell $(PYTHON) scripts/cpu_index.py)
else
TORCH =
endif

.PHONY: help demo test lint fmt types bench clean install

help:
	@echo "make demo    a trained model on a small procedural city, numbers, pictures, a page to ask"
	@echo "make test    every test that this machine can run"
	@echo "make lint    ruff and codespell        make types   pyright"
	@echo "make fmt     format the code           make clean   remove the environment and runs"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints-cpu.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "make: could not make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/langocc demo $(DEMO)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: install
	$(BIN)/ruff check src tests benchmarks recipes examples
	$(BIN)/ruff format --check src tests benchmarks recipes examples
	$(BIN)/codespell src tests recipes examples docs README.md

types: install
	$(BIN)/pyright

fmt: install
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache
