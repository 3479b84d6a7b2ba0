# Everything runs in .venv, which is made from the lock files. Debian packages that the tests need are installed as root.
BIN := .venv/bin
EPISODES ?= 100000

.PHONY: demo test lint fmt soak bench clean

demo: .venv/installed  ## routers in namespaces elect a master, hold a VIP, lose it; the outage measured live
	$(BIN)/vrrpd demo $(DEMO)

test: .venv/installed-dev  ## unit, simulation, namespaces, interop with real keepalived and FRR
	.ci/packages keepalived frr
	$(BIN)/pytest $(TESTS)

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fmt: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

soak: .venv/installed-dev  ## simulated fault episodes on both cores; minutes
	$(BIN)/python -m tests.simulation.soak --episodes $(EPISODES)

bench: .venv/installed-dev  ## ratios to real keepalived in the same run; minutes, as root
	.ci/packages keepalived
	$(BIN)/python -m benchmarks.speaker $(BENCH)

clean:
	rm -rf .venv .cache

.venv/installed: requirements.lock pyproject.toml
	.ci/environment requirements.lock
	touch $@

.venv/installed-dev: requirements-dev.lock pyproject.toml
	.ci/environment requirements-dev.lock
	touch $@ .venv/installed
