# Everything runs in .venv, which is made from the lock files.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint fmt
