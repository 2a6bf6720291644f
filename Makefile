# lex_assets: every target does its own set-up and may be run again at any time.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DOMAIN ?= law
RAW ?=
DATA := $(CURDIR)/data

export DAGSTER_DISABLE_TELEMETRY := 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo real ui ci test test-smoke test-slow lint clean

help: ## 이 목록 · this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/installed ## .venv에 설치 · install into .venv

demo: install ## 샘플로 전체 그래프 실행 · the whole graph on the bundled sample
	@LEX_GPU_PROFILE=cpu DAGSTER_HOME=$(DATA)/dagster $(BIN)/python -m lex_assets.pipeline --raw data/sample --store data/store --config configs/demo.yaml

real: install ## 실제 원문으로 실행 (RAW=폴더) · the whole graph on real documents
	@test -n "$(RAW)" || { echo "원문 폴더를 지정하세요 · name the raw folder: make real RAW=PATH"; exit 2; }
	@LEX_GPU_PROFILE=$${LEX_GPU_PROFILE:-cpu} DAGSTER_HOME=$(DATA)/dagster-real $(BIN)/python -m lex_assets.pipeline \
	  --raw "$(RAW)" --store data/store-real --workers 2 --config configs/real.yaml --exclude 'statutes_md*' --exclude partitions.json

ui: install ## Dagster UI와 데몬 (http://localhost:3000) · Dagster UI and daemon
	@mkdir -p $(DATA)/dagster && cp -n lex_assets/dagster.yaml $(DATA)/dagster/dagster.yaml || true
	LEX_GPU_PROFILE=$${LEX_GPU_PROFILE:-cpu} DAGSTER_HOME=$(DATA)/dagster $(BIN)/dagster dev -w workspace.yaml

ci: install ## 한 도메인을 CI 방식으로 실행 (DOMAIN=law) · one domain as a CI job would
	@BIN=$(BIN) DOMAIN=$(DOMAIN) docker/ci.sh

test: install lint ## 린트, 타입, 테스트 · lint, types, tests
	@lex_assets_tests/ui/install_browser.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" lex_assets_tests

test-smoke: install ## 1분 안의 점검 · under a minute
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m smoke lex_assets_tests

test-slow: install ## 느린 점검 · slow checks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow lex_assets_tests

lint: install ## ruff, mypy, import 순서 · ruff, mypy, import order
	$(BIN)/ruff check lex_assets lex_assets_tests benchmarks
	$(BIN)/ruff format --check lex_assets lex_assets_tests benchmarks
	$(BIN)/mypy lex_assets
	$(BIN)/lint-imports

clean: ## 만든 것을 모두 지움 · remove everything that was made
	rm -rf $(VENV) data/store data/store-real data/dagster data/dagster-real build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
