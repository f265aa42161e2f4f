# One line a target: make demo, make test. Everything is installed into .venv of this folder.
PYTHON ?= python3
BIN = .venv/bin
DEMO = build/lenet5

help:
	@echo "make demo    install, then build, verify and synthesize LeNet-5 on MNIST (a few minutes)"
	@echo "make check   what takes less than a minute: format, lint, types, and a small network built, simulated and mutated"
	@echo "make test    install, then all tests (Icarus, Tcl and dtc are installed too where that is allowed)"
	@echo "make mnist   all 10,000 MNIST test images through the RTL"
	@echo "make fuzz    300 random networks, RTL against PyTorch; the tests of properties, on examples of this run"
	@echo "make bench   the figures of lanes and of LeNet-5, into the README"
	@echo "make compress MNIST=FOLDER   every compression of docs/compress.md that compress.json lacks"
	@echo "make format  ruff format and check"

.venv/installed: pyproject.toml constraints.txt
	@./prerequisites
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/hwgen build examples/lenet5/lenet5.pt2 -o $(DEMO)
	$(BIN)/hwgen verify $(DEMO) --input examples/lenet5/model.py:test_data --count 1000
	$(BIN)/hwgen synth $(DEMO)
	$(BIN)/hwgen report $(DEMO)

test: .venv/installed
	@./prerequisites tests
	$(BIN)/pytest -n 2 --dist worksteal

# side by side, as pyright takes one processor
check: .venv/installed
	@./prerequisites tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync style types smoke

style:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/pyright --pythonpath $(BIN)/python

smoke:
	$(BIN)/pytest -m smoke

mnist: .venv/installed
	$(BIN)/hwgen build examples/lenet5/lenet5.pt2 -o $(DEMO)
	$(BIN)/hwgen verify $(DEMO) --input examples/lenet5/model.py:test_data

fuzz: .venv/installed
	@./prerequisites tests
	$(BIN)/python -m tests.fuzz --count 300
	$(BIN)/pytest -n 2 -m hypothesis --hypothesis-profile default

bench: .venv/installed
	$(BIN)/python -m benchmarks.lanes --write
	$(BIN)/python -m benchmarks.lenet5 --write

compress: .venv/installed
	$(BIN)/python -m benchmarks.compress $(MNIST)

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check .

.PHONY: help demo check style types smoke test mnist fuzz bench compress format
