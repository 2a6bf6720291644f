#!/usr/bin/env bash
# One domain as a CI job runs it: the three jobs in order, by `dagster asset materialize`; the first failure ends it.
set -euo pipefail
BIN=${BIN:-$(dirname "$(command -v dagster)")}
DOMAIN=${DOMAIN:?name the domain: DOMAIN=finance, law or precedent}
export LEX_GPU_PROFILE=${LEX_GPU_PROFILE:-cpu} LEX_STORE=${LEX_STORE:-data/store-ci}
export DAGSTER_HOME=${DAGSTER_HOME:-$PWD/data/dagster-ci}
mkdir -p "$DAGSTER_HOME" && cp -n lex_assets/dagster.yaml "$DAGSTER_HOME/dagster.yaml" || true

materialize() { "$BIN/dagster" asset materialize -m lex_assets.definitions "$@"; }

for domain in finance law precedent; do # labels need the whole corpus: a decision cites articles of other domains
  materialize --select 'group:ingest' --partition "$domain"
done
materialize --select 'group:assemble'
materialize --select 'group:train and not key:mining_model' --partition "$DOMAIN"
