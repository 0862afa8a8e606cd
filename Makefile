# `make demo` and `make test` are the main commands; CONTRIBUTING.md describes all of them.
PYTHON := .venv/bin/python
SOURCES := pyproject.toml README.md LICENSE $(shell find smruntime_core transports -type f -not -name '*.pyc')

# each has tests that cannot run in .venv, and a script in tools/
ENVIRONMENTS := test-lowest test-apart test-green test-aws-cli test-plugin test-sdks test-mocks test-dask test-boto

LINTERS := lint-ruff lint-mypy lint-pyright lint-imports lint-github

.PHONY: demo demo-llm test test-suite $(ENVIRONMENTS) test-all soak lint $(LINTERS) bench bench-page fault-table docs-site fuzz drift lock release-check sbom clean

demo: .venv/wheel
	$(PYTHON) -P examples/demo.py

# with a real language model, in an environment of its own
demo-llm: dist/stamp
	tools/demo-llm

# the checks of tests/ci.py, each with the environment that it needs
test: .venv/dev .venv/wheel build/pyodide
	$(PYTHON) -m tests.ci

# the tests of .venv alone; with VERSION=3.13, on that Python
test-suite: .venv/dev .venv/wheel
	$(PYTHON) -P -m pytest --numprocesses 3 --dist loadfile

test-on-%: dist/stamp
	tools/test-contract-on $*

$(ENVIRONMENTS): dist/stamp
	tools/$@

# what takes too long for CI; writes docs/test-all.md, which is committed
test-all: .venv/wheel .venv/dev
	$(PYTHON) -m tests.heavy

soak: .venv/wheel .venv/dev
	$(PYTHON) -P tests/soak.py

lint: .venv/dev .venv/wheel
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target $(LINTERS)

lint-ruff:
	.venv/bin/ruff check
	.venv/bin/ruff format --check

lint-mypy:
	.venv/bin/mypy

lint-pyright:
	.venv/bin/pyright --pythonpath $(PYTHON)

lint-imports:
	PYTHONPATH=transports .venv/bin/lint-imports

# the workflows and what else a code host reads
lint-github:
	.venv/bin/zizmor --offline --quiet .github
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

bench: .venv/wheel .venv/dev build/peers
	$(PYTHON) benchmarks/run.py --json build/bench.json

# writes the figures of the last `make bench` into docs/performance.md
bench-page:
	$(PYTHON) benchmarks/page.py build/bench.json

# for examples/pyodide; where npm cannot install it, its test says why it is skipped
build/pyodide: tools/install-pyodide examples/pyodide/package.json
	tools/install-pyodide
	touch $@

# environments of their own: aiobotocore needs another botocore than boto3, openai many packages
build/peers: tools/install-peer
	tools/install-peer boto3 boto3==1.44.5 botocore==1.44.8
	tools/install-peer aiobotocore aiobotocore==3.10.0
	tools/install-peer openai openai==3.57.0 httpx2==2.16.2 botocore==1.44.8
	touch $@

fuzz: .venv/wheel .venv/dev
	$(PYTHON) -P fuzz --seconds 60

# the table of faults, docs/faults.md: the contract over our transports and over peers
fault-table: .venv/wheel .venv/dev
	$(PYTHON) -P tests/faults.py

# the documentation, build/site, in an environment of its own
docs-site: dist/stamp
	tools/docs-site

# an environment of its own for the newest botocore: the tests are pinned to another
drift: dist/stamp
	tools/make-venv .venv-drift
	tools/install-wheel .venv-drift
	.venv-drift/bin/python -m pip install --quiet --upgrade botocore
	.venv-drift/bin/python -P tests/drift.py

.venv/bin/python:
	tools/make-venv .venv $(VERSION)

# writes tools/locks: versions and hashes of what .venv, the build and the check of releases install;
# the environments of their own pin what they name
lock:
	tools/lock

# two identical builds, checked and tried: build/release
release-check:
	tools/release-check

# the software bill of materials of the wheel with all extras: build/sbom.cdx.json
sbom: dist/stamp
	tools/sbom

.venv/dev: tools/locks/dev.txt | .venv/bin/python
	$(PYTHON) -m pip install --quiet --no-compile --require-hashes --requirement $<
	$(if $(shell command -v node),,$(PYTHON) -m pip install --quiet --group dev "pyright[nodejs]")
	touch $@

dist/stamp: $(SOURCES) tools/locks/build.txt | .venv/bin/python
	rm -rf dist
	$(PYTHON) -m pip install --quiet --require-hashes --requirement tools/locks/build.txt
	$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	touch $@

.venv/wheel: dist/stamp
	tools/install-wheel .venv
	touch $@

clean:
	rm -rf .venv .venv-* build dist examples/pyodide/node_modules
