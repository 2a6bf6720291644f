"""From the rankings of an evaluation to the gate's decision, and from a passed gate to the champion.

Here: which systems, queries and guards the gate is given. Not here: the conditions themselves (`promotion`), the pointer
(`champion`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.significance import Comparison, compare
from lex_assets.registry.adapters import AdapterStore
from lex_assets.registry.champion import Champion, ChampionRegistry, Manifest
from lex_assets.registry.promotion import Decision, GateConfig, gate
from lex_assets.schemas import REGIMES

PROMOTION = "promotion"
METRIC = "ndcg@10"
CANDIDATE = "adapter"
SERVED = "{}_hybrid_rerank"
"""The system that a team serves with a pair of adapters: the hybrid's candidates, reranked."""

UNDECIDED = "승격하지 않음: 승격용 질문이 없음 · not promoted: the promotion set holds no human query"


@dataclass(frozen=True)
class Pair:
    """A retriever and a reranker adapter: folders, identities of their bases, licences of what they were made from."""

    retriever: Path
    reranker: Path
    bases: Mapping[str, str]
    licences: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The champions and the adapters they point to, below one folder."""

    def __init__(self, root: Path) -> None:
        self.champions = ChampionRegistry(root / "champions")
        self.adapters = AdapterStore(root / "adapters")

    def champion_folders(self, domain: str) -> tuple[Path | None, Path | None] | None:
        """Adapter folders (retriever, reranker) of the current champion; None while the base is in use."""
        champion = self.champions.show(domain)
        if champion is None or champion.manifest is None:
            return None
        wanted = (champion.manifest.retriever, champion.manifest.reranker)
        retriever, reranker = (self.adapters.path(one) if one else None for one in wanted)
        return retriever, reranker

    def promote(
        self, domain: str, pair: Pair, decision: Decision, hashes: Mapping[str, str], expected: int
    ) -> Champion:
        """Store both adapters and make them the champion. `expected`: the version that the gate compared with."""
        retriever = self.adapters.add(pair.retriever, "retriever", domain, pair.bases["retriever"])
        reranker = self.adapters.add(pair.reranker, "reranker", domain, pair.bases["reranker"])
        manifest = Manifest(
            domain=domain,
            retriever=retriever.adapter_id,
            reranker=reranker.adapter_id,
            bases=dict(pair.bases),
            hashes=dict(hashes),
            gate=decision.to_dict(),
            licences=dict(pair.licences),
        )
        return self.champions.promote(manifest, expected, decision.summary())


def judge_candidate(
    run: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    incumbent: str,
    config: GateConfig | None = None,
    licences: Mapping[str, str] | None = None,
) -> Decision | None:
    """What the gate says of the adapters against `incumbent` ("base" or "champion"); None without promotion queries.

    Human queries of the promotion set decide: unseen queries are the comparison, unseen laws a guard, origins slices.
    """
    human = queries.filter((pl.col("set") == PROMOTION) & (pl.col("origin") != "synthetic"))
    parts = {regime: human.filter(pl.col("regime") == regime) for regime in REGIMES}
    headline = parts["unseen_query"]
    if headline.is_empty():
        return None
    scores = _scores(run, human, qrels, corpus)
    systems = SERVED.format(incumbent), SERVED.format(CANDIDATE)
    guards = {"unseen_law": _compare(scores, parts["unseen_law"], systems)} if len(parts["unseen_law"]) else {}
    slices = {origin: _compare(scores, part, systems) for (origin,), part in headline.group_by(["origin"])}
    comparison = _compare(scores, headline, systems)
    return gate(comparison, config, slices=slices, guards=guards, licences=licences)


def _scores(run: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    ids = queries.select("query_id")
    rankings, labels = run.join(ids, on="query_id", how="semi"), qrels.join(ids, on="query_id", how="semi")
    return per_query(rankings, labels, [METRIC], parents=corpus, on_missing="zero")


def _compare(scores: pl.DataFrame, queries: pl.DataFrame, systems: tuple[str, str]) -> Comparison:
    part = scores.join(queries.select("query_id"), on="query_id", how="semi")
    return compare(part, *systems, METRIC, queries, query_set=PROMOTION)
