# make demo   the whole way on footage that the project makes itself (or FOOTAGE=dir)
# make test   the tests        make lint   ruff and mypy        make bench   the measurements
# make notebooks  runs the notebooks on the demo's output and renders them into docs/
# make campaign   what takes minutes: the longest tests, kills in every phase and of trainers, a run as a job of a Ray cluster,
#                 and whether tiny models learn (a second time it goes on where the first ended)
# All of them install what they need into .venv; python3 (3.10 to 3.13) and make are all that must be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOOTAGE ?=

.PHONY: demo test lint bench campaign notebooks clean

demo: $(VENV)/.installed-train
	$(BIN)/python -m demo $(if $(FOOTAGE),--footage "$(FOOTAGE)")

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.raw_to_shards
	$(BIN)/python -m benchmarks.split_speed
	$(BIN)/python -m benchmarks.scene_accuracy
	$(BIN)/python -m benchmarks.score_speed
	$(BIN)/python -m benchmarks.captioner

campaign: $(VENV)/.installed-dev $(VENV)-cluster/.installed
	$(BIN)/python -m pytest -m campaign
	$(BIN)/python -m benchmarks.chaos --kills 8 --films 5
	$(VENV)-cluster/bin/python -m benchmarks.submit_job
	$(BIN)/python -m benchmarks.lost_workers
	$(BIN)/python -m benchmarks.learns --check --work build/learns

# The rendered copies in docs/, of the demo's output.
notebooks: $(VENV)/.installed-dev
	rm -rf demo-out/dataset-stricter
	$(BIN)/jupyter nbconvert --log-level WARN --execute --to markdown --output-dir docs/notebooks notebooks/*.ipynb

clean:
	rm -rf $(VENV) $(VENV)-cluster demo-out build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	    || { echo "Reelmill needs Python 3.10 to 3.13; give one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
	    || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

# Ray's job server brings many packages, which nothing else should come to need.
$(VENV)-cluster/.installed: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)-cluster
	$(VENV)-cluster/bin/pip install --quiet --constraint constraints.txt --editable '.[cluster]'
	touch $@

$(VENV)/.installed-train: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

$(VENV)/.installed-dev: setup.cfg constraints.txt $(VENV)/.installed-train
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[models,train,dev]'
	touch $@
