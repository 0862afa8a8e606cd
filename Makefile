# The two commands: make demo, make test. Everything else is a part of them or a figure.
PYTHON := .venv/bin/python
SOURCES := pyproject.toml README.md LICENSE $(shell find smruntime_core transports -type f -not -name '*.pyc')

.PHONY: demo test lint bench docs fuzz drift clean

demo: .venv/wheel
	$(PYTHON) -P examples/demo.py

test: lint
	$(PYTHON) -P -m pytest
	tools/test-contract-on 3.12 3.13
	tools/test-lowest
	tools/test-apart

lint: .venv/wheel .venv/dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/pyright --pythonpath $(PYTHON)
	PYTHONPATH=transports .venv/bin/lint-imports

bench: .venv/wheel .venv/dev build/peers
	$(PYTHON) benchmarks/run.py --json build/bench.json

# each in an environment of its own: aiobotocore is pinned to another botocore than boto3, and a botocore beside awscrt is another peer
build/peers: tools/install-peer
	tools/install-peer boto3 boto3==1.44.5
	tools/install-peer aiobotocore aiobotocore==3.10.0
	touch $@

fuzz: .venv/wheel .venv/dev
	$(PYTHON) -P fuzz --seconds 60

docs: .venv/wheel .venv/dev
	$(PYTHON) -P tests/faults.py

# the newest botocore lives apart: the tests are pinned to another
drift: dist/stamp
	tools/make-venv .venv-drift 3.11 3.12 3.13
	tools/install-wheel .venv-drift
	.venv-drift/bin/python -m pip install --quiet --upgrade botocore
	.venv-drift/bin/python -P tests/drift.py

.venv/bin/python:
	tools/make-venv .venv 3.11 3.12 3.13

.venv/dev: pyproject.toml | .venv/bin/python
	$(PYTHON) -m pip install --quiet --group dev $(if $(shell command -v node),,"pyright[nodejs]")
	touch $@

dist/stamp: $(SOURCES) | .venv/bin/python
	rm -rf dist
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .
	touch $@

.venv/wheel: dist/stamp
	tools/install-wheel .venv
	touch $@

clean:
	rm -rf .venv .venv-* build dist
