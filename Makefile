# lex_assets: every target does its own set-up and may be run again at any time.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DOMAIN ?= law
RAW ?=
ES_URL ?=
ES_TESTS := lex_assets_tests/retrieval/elasticsearch
DATA := $(CURDIR)/data

export DAGSTER_DISABLE_TELEMETRY := 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo real ui ci test test-smoke test-slow test-es8 test-elasticsearch elasticsearch lint clean

help: ## 이 목록 · this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)-es8/installed: $(VENV)/installed constraints-es8.txt # over .venv, with the other client
	$(BIN)/python -m venv $(VENV)-es8
	@beneath=$$(cd $(BIN) && ./python -c 'import site; print(site.getsitepackages()[0])') && \
	  echo "import site; site.addsitedir('$$beneath')" > "$$(echo $(VENV)-es8/lib/python3*/site-packages)/beneath.pth"
	$(VENV)-es8/bin/python -m pip install -q --no-deps --ignore-installed -c constraints-es8.txt elasticsearch elastic-transport
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

test-es8: $(VENV)-es8/installed ## Elasticsearch 8 클라이언트로 · the suite of Elasticsearch with the client of version 8
	OMP_NUM_THREADS=1 $(VENV)-es8/bin/python -m pytest $(ES_TESTS)

test-elasticsearch: $(VENV)-es8/installed ## 실제 서버로 (ES_URL=주소) · the same suite against a live server with nori
	@test -n "$(ES_URL)" || { echo "서버의 주소를 지정하세요 · name the server: make test-elasticsearch ES_URL=http://localhost:9200"; exit 2; }
	@major=$$(LEX_TEST_ES_URL="$(ES_URL)" $(BIN)/python -m lex_assets_tests.retrieval.elasticsearch.major) && \
	  if [ "$$major" = 8 ]; then python=$(VENV)-es8/bin/python; else python=$(BIN)/python; fi && \
	  LEX_TEST_ES_URL="$(ES_URL)" OMP_NUM_THREADS=1 $$python -m pytest -rs $(ES_TESTS)

elasticsearch: ## nori가 있는 Elasticsearch를 docker로 (localhost:9200) · Elasticsearch with nori in docker
	docker compose -f docker/compose.yaml --profile elasticsearch up --build --wait elasticsearch

lint: install ## ruff, mypy, import 순서 · ruff, mypy, import order
	$(BIN)/ruff check lex_assets lex_assets_tests benchmarks
	$(BIN)/ruff format --check lex_assets lex_assets_tests benchmarks
	$(BIN)/mypy lex_assets
	$(BIN)/lint-imports

clean: ## 만든 것을 모두 지움 · remove everything that was made
	rm -rf $(VENV) $(VENV)-es8 data/store data/store-real data/dagster data/dagster-real build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
