# `make demo` and `make test` are the only two commands a fresh machine needs: Python >= 3.11, make, a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests at a time; each may take a GiB.
WORKERS ?= 2
CPP := $(wildcard kernels/src/*.cpp kernels/src/*.hpp kernels/src/*.cu kernels/src/*.cuh kernels/decoder/*.cpp kernels/decoder/*.hpp tests/emulation/*.*pp tests/emulation/samples/*.cu tests/stub_driver/*.[ch] runtime/phantom/src/*.*pp runtime/sources/src/*.*pp tests/kernels/*.cpp tests/sources/*.cpp tests/sources/capture/*.c)
NATIVE := CMakeLists.txt kernels/fatbin.cmake pyproject.toml $(wildcard kernels/src/* kernels/decoder/* runtime/phantom/src/* runtime/sources/src/*)

.PHONY: demo test test-slow gpu-check check format native wheelhouse release clean help
help:
	@echo "make demo    generated angiogram through the whole line, under a minute"
	@echo "make test    every test but the slow ones; make test-slow runs those"
	@echo "make check   format, lint, types, import rules"
	@echo "make gpu-check  kernels and engine on the NVIDIA GPU of this machine: right, and how fast"
	@echo "make wheelhouse all wheels for a machine without a network, in build/wheelhouse"
	@echo "make release    checks, tests, sdist, wheels, bill of materials, checksums, in dist/"

$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "cathrt needs Python >= 3.11: $(PYTHON) was not found. Install it, or set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cathrt needs Python >= 3.11, found $$($(PYTHON) -V)"; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || command -v g++ >/dev/null || { echo "cathrt needs a C++ compiler: none was found. On Debian: apt-get install g++"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "cathrt needs Python's venv module. On Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# Three depths of the same environment; each stamp is newer than the native sources it was built from.
$(VENV)/.core: $(VENV)/pyvenv.cfg $(NATIVE)
	$(BIN)/python -m pip install --quiet -e .
	@touch $@
$(VENV)/.test: $(VENV)/pyvenv.cfg $(NATIVE)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@ $(VENV)/.core
$(VENV)/.check: $(VENV)/pyvenv.cfg $(NATIVE)
	$(BIN)/python -m pip install --quiet -e '.[check]'
	@touch $@ $(VENV)/.test $(VENV)/.core

native: $(VENV)/.core

demo: $(VENV)/.core
	$(BIN)/cathrt demo

# Compiled first: hundreds of children import the product, and where PYTHONDONTWRITEBYTECODE is set each would compile it.
test: $(VENV)/.test
	$(BIN)/python -m compileall -q kernels runtime export benchmarks
	$(BIN)/python -m pytest -n $(WORKERS) --durations=25

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow

# Exits 2 where there is no GPU.
gpu-check: $(VENV)/.test
	@mkdir -p build
	$(BIN)/python -m benchmarks.gpu_check --out build/gpu-check.jsonl

# mypy follows no import hooks: build/typing/cathrt stands in for the installed namespace.
build/typing/cathrt:
	mkdir -p build/typing && ln -sfn ../.. $@

check: $(VENV)/.check build/typing/cathrt
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(CPP)

# What a machine without a network installs from (docs/operations.md): the lock's wheels, for this Python and processor.
wheelhouse: $(VENV)/.core
	rm -rf build/wheelhouse && mkdir -p build/wheelhouse
	$(BIN)/python -m pip download --quiet --require-hashes --no-deps --only-binary :all: --dest build/wheelhouse -r deploy/requirements.lock
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheelhouse .
	cp deploy/requirements.lock build/wheelhouse
	cd build/wheelhouse && sha256sum * > SHA256SUMS

# RELEASE: options of python -m release.recipe, such as --rehearse.
release: $(VENV)/.check
	$(BIN)/python -m release.recipe $(RELEASE)

clean:
	rm -rf build dist $(VENV)
