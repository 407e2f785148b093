# Two commands matter: `make quickstart` and `make test`. Both set up .venv first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# More threads than cores make small models slower, not faster.
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)
# Idle threads that soon sleep leave the core to the one that works.
export GOMP_SPINCOUNT ?= 10000
export TOKENIZERS_PARALLELISM := false

.PHONY: quickstart test tests setup lint clean

quickstart: setup
	HF_HUB_OFFLINE=1 $(BIN)/tacos run configs/quickstart.yaml

# mypy keeps one core busy for a minute, and the tests leave cores idle while they wait for servers: side by side.
test: setup
	$(MAKE) --no-print-directory -j2 tests lint

# A process for each core, with one thread. The rest of its tests is handed to a process that has none left.
tests: setup
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 WANDB_MODE=offline \
		$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready

# torch goes first and alone: where an index offers a CPU build of this version, pip takes it.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet -e '.[offline,dev]' -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) artifacts runs out
