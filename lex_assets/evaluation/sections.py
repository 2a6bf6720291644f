"""The sections of the evaluation report, as data: what is compared, where, and what went wrong.

Every function takes the test set and returns JSON-ready values. Not here: putting them together (`report`), drawing them
(`render`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from lex_assets.evaluation.cases import won_and_lost
from lex_assets.evaluation.errors import confusion, error_groups, first_results, frequent_laws
from lex_assets.evaluation.metrics import summarise
from lex_assets.evaluation.significance import Comparison, agreeing, compare, correct
from lex_assets.evaluation.slices import query_slices, slice_sizes, trained_parents
from lex_assets.evaluation.tested import Tested, is_ceiling
from lex_assets.schemas import HUMAN_ORIGINS, REGIMES, SETS

_NOT_SHOWN = ("config", "metric", "query_set")


def primary(test: Tested) -> dict[str, str] | None:
    """The comparison that the page is about."""
    pair = test.primary()
    return {"baseline": pair[0], "system": pair[1]} if pair else None


def regime(test: Tested, name: str) -> dict[str, Any]:
    """Rows of one regime's main table. Adapter systems are corrected together: they are what is claimed."""
    scores = test.part(name)
    if scores.is_empty():
        return {"regime": name, "n": 0, "rows": [], "n_seeds": 0, "seeds": [], "versus_champion": None}
    judged, seeds = _judged(test, scores)
    means = _means(scores, "scores", test)
    by_passage = _means(test.at("passage").join(scores, on=["query_id", "system"], how="semi"), "passage_scores", test)
    rows = [means[system] | by_passage.get(system, {}) | judged.get(system, _UNCOMPARED) for system in test.systems]
    return {
        "regime": name,
        "n": scores["query_id"].n_unique(),
        "rows": rows,
        "n_seeds": 1 + len(test.seeds),
        "seeds": seeds,
        "versus_champion": _versus_champion(test, scores),
    }


_UNCOMPARED = {"baseline": None}


def _means(scores: pl.DataFrame, key: str, test: Tested) -> dict[str, dict[str, Any]]:
    """System → its name, n, and mean of every metric under `key`."""
    rows = summarise(scores).to_dicts()
    return {
        row["system"]: {"system": row["system"], "n": row["n"], key: {m: row[m] for m in test.config.every_metric}}
        for row in rows
    }


def _judged(test: Tested, scores: pl.DataFrame) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """(system → comparison, comparisons of the adapter's other seeds); a claim holds only when the seeds agree."""
    pairs = test.pairs()
    claims = [pair for pair in pairs if pair[1].startswith("adapter")]
    others = [pair for pair in pairs if pair not in claims]
    found = {one.system: one for one in [*test.compare(scores, claims), *test.compare(scores, others)]}
    seeds = [one for seed in test.seeds for one in test.compare(scores, _pairs_of_seed(seed, claims))]
    for _, system in claims:
        mode = system.partition("_")[2]
        found[system] = agreeing(found[system], [one for one in seeds if one.system.partition("_")[2] == mode])
    return {system: _shown(one) for system, one in found.items()}, [_shown(one) for one in seeds]


def _pairs_of_seed(seed: str, claims: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(baseline, f"{seed}_{system.partition('_')[2]}") for baseline, system in claims]


def _shown(one: Comparison) -> dict[str, Any]:
    return {name: value for name, value in one.to_dict().items() if name not in _NOT_SHOWN}


def _versus_champion(test: Tested, scores: pl.DataFrame) -> dict[str, Any] | None:
    """The adapter's best-equipped system against the champion's, where a champion was ranked."""
    modes = [mode for mode in ("hybrid_rerank", "hybrid", "dense") if f"champion_{mode}" in test.systems]
    pair = next(((f"champion_{m}", f"adapter_{m}") for m in modes if f"adapter_{m}" in test.systems), None)
    return _shown(test.compare(scores, [pair])[0]) if pair else None


def seen_by_base(test: Tested) -> dict[str, Any]:
    """Test queries that the base was trained on: their ids, and every system's score on the human ones, apart."""
    human = test.seen.filter(pl.col("origin").is_in(HUMAN_ORIGINS))
    scores = (
        test.at(test.config.unit).join(human, on="query_id", how="semi").filter(~pl.col("system").str.contains("^seed"))
    )
    return {
        "queries": test.seen["query_id"].to_list(),
        "human": human.height,
        "scores": {row["system"]: row[test.config.metric] for row in summarise(scores).to_dicts()},
    }


def origins(test: Tested) -> list[dict[str, Any]]:
    """The primary comparison per origin and regime, human origins first; corrected together."""
    order = {name: i for i, name in enumerate((*HUMAN_ORIGINS, "synthetic"))}
    parts = test.queries.group_by("origin", "regime").len("n").to_dicts()
    parts.sort(key=lambda part: (order.get(part["origin"], len(order)), REGIMES.index(part["regime"])))
    keys = [{"origin": part["origin"], "regime": part["regime"]} for part in parts]
    frames = [test.scores.filter(pl.col("origin") == k["origin"], pl.col("regime") == k["regime"]) for k in keys]
    return _compared_rows(test, keys, frames)


def slices(test: Tested) -> dict[str, Any]:
    """The primary comparison per slice of the human queries, each regime by itself."""
    trained = trained_parents(test.all_queries, test.all_qrels, test.corpus)
    parts = [_slices_of(test, name, trained) for name in REGIMES if not test.part(name).is_empty()]
    return {"minimum": test.config.min_slice, "parts": parts}


def _slices_of(test: Tested, name: str, trained: set[str]) -> dict[str, Any]:
    scores = test.part(name)
    queries = test.queries.join(scores.select("query_id").unique(), on="query_id", how="semi")
    values = query_slices(queries, test.qrels, test.corpus, trained)
    shown, hidden = slice_sizes(values, test.config.min_slice)
    keys = shown.select("slice", "value").to_dicts()
    members = [values.filter(pl.col("slice") == k["slice"], pl.col("value") == k["value"]) for k in keys]
    frames = [scores.join(one.select("query_id"), on="query_id", how="semi") for one in members]
    return {"regime": name, "rows": _compared_rows(test, keys, frames), "hidden": hidden}


def _compared_rows(
    test: Tested, keys: Sequence[dict[str, Any]], frames: Sequence[pl.DataFrame]
) -> list[dict[str, Any]]:
    pair, metric, config = test.primary(), test.config.metric, test.config.comparison
    if pair is None:
        return [key | {"n": frame["query_id"].n_unique()} for key, frame in zip(keys, frames, strict=True)]
    found = correct([compare(frame, *pair, metric, frame, config, test.config.query_set) for frame in frames])
    return [key | _shown(one) for key, one in zip(keys, found, strict=True)]


def failures(test: Tested) -> dict[str, Any]:
    """What stands first per regime and system, and which law the page's system takes for which; human queries."""
    shown = pl.DataFrame({"system": [name for name in test.systems if not is_ceiling(name)]})
    parts = []
    for name in REGIMES:
        asked = test.part(name).select("query_id").unique()
        labels = test.qrels.join(asked, on="query_id", how="semi")
        run = test.run.join(asked, on="query_id", how="semi").join(shown, on="system", how="semi")
        if len(labels) and len(run):
            parts.append(_failures_of(test, name, first_results(run, labels, test.corpus)))
    return {"parts": parts}


def _failures_of(test: Tested, name: str, first: pl.DataFrame) -> dict[str, Any]:
    kinds, pair = error_groups(first), test.primary() or ()
    compared = first.filter(pl.col("system").is_in(pair))
    laws = frequent_laws(compared)
    return {
        "regime": name,
        "kinds": {system: kinds[system] for system in test.systems if system in kinds},
        "confusion": {system: confusion(compared.filter(pl.col("system") == system), laws) for system in pair if laws},
    }


def cases(test: Tested) -> dict[str, Any]:
    """Human queries that the page's system won and lost most against its baseline."""
    pair, human = test.primary(), test.part()
    if pair is None or human.is_empty():
        return {"won": [], "lost": []}
    sides = dict(zip(pair, ("baseline", "system"), strict=True))
    named = human.filter(pl.col("system").is_in(pair)).with_columns(pl.col("system").replace_strict(sides))
    paired = named.pivot("system", index="query_id", values=test.config.metric)
    run = test.run.filter(pl.col("system").is_in(pair)).with_columns(pl.col("system").replace_strict(sides))
    return won_and_lost(paired, run, test.queries, test.qrels, test.corpus, test.config.cases)


def counts(domain: str, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, Any]:
    """Documents, passages and queries, per set, origin and regime."""
    own = corpus.filter(pl.col("domain") == domain)
    mine = queries.filter(pl.col("domain") == domain)
    per_set = mine.group_by("set", "origin", "regime").len("n").to_dicts()
    order = {name: i for i, name in enumerate((*SETS, "dropped"))}
    per_set.sort(key=lambda row: (order.get(row["set"], len(order)), row["origin"], row["regime"]))
    labels = qrels.join(mine.select("query_id"), on="query_id", how="semi")
    return {
        "documents": own["doc_id"].n_unique(),
        "parents": own["parent_id"].n_unique(),
        "passages": own.height,
        "queries": mine.height,
        "labels": labels.height,
        "per_set": per_set,
    }


def training(stage: Mapping[str, Any]) -> dict[str, Any]:
    """What the curves need: whatever the stage says of itself, without paths."""
    plain = {k: v for k, v in stage.items() if isinstance(v, (int, float, str, bool)) or v is None}
    rows = [{k: row.get(k) for k in ("step", "loss", "chance", "metric")} for row in stage.get("history", [])]
    return plain | {"history": rows}
