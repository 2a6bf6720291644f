"""From the rankings of an evaluation to the gate's decision, and from a passed gate to the champion.

Here: which systems, queries and guards the gate is given. Not here: the conditions themselves (`promotion`), the pointer
(`champion`), and reading what a pipeline published (`published`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.guards import GUARD_SCORES, RETRIEVER
from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.seen import seen_by_base
from lex_assets.evaluation.significance import Comparison, compare
from lex_assets.evaluation.slices import query_slices, trained_parents
from lex_assets.evaluation.systems import sample_evaluation
from lex_assets.evaluation.tested import is_seed
from lex_assets.registry.adapters import AdapterStore, folder_hash
from lex_assets.registry.champion import Champion, ChampionRegistry, Manifest
from lex_assets.registry.code import code_hash
from lex_assets.registry.promotion import Decision, GateConfig, gate
from lex_assets.registry.rounds import Rounds
from lex_assets.registry.rule import GateRules, Rule, under
from lex_assets.schemas import REGIMES, LexError, frame_hash

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

    @property
    def content(self) -> list[str]:
        """Hashes of the two folders."""
        return [folder_hash(self.retriever), folder_hash(self.reranker)]

    @property
    def size_bytes(self) -> int:
        """Of all files of the two."""
        folders = (self.retriever, self.reranker)
        return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Candidate:
    """A pair of adapters and what was found out about it.

    run: RUN with the incumbent's and the candidate's systems · queries, qrels: all sets; which sets are read is decided here
    · corpus: PASSAGES of the domain · guards: GUARD_SCORES · incumbent: "base" or "champion" · compared_with: version of the
    champion that it was compared with · trained: documents that the bases have seen · latency_ms: of one query, None when
    it was not measured · hashes: what it was made from, by name · measured: the settings by which the rankings were made.
    """

    domain: str
    pair: Pair
    run: pl.DataFrame
    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame
    incumbent: str
    compared_with: int
    guards: pl.DataFrame = field(default_factory=lambda: GUARD_SCORES.frame([]))
    trained: frozenset[str] = frozenset()
    latency_ms: float | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def promotion_set(self) -> tuple[pl.DataFrame, str]:
        """The human queries that may decide, and the hash of them and their labels.

        Raises LexError when one of them was not ranked: a report of older queries must not decide on some of them."""
        drawn = sample_evaluation(self.queries, self.measured.get("queries_per_set", 0))
        asked = drawn.filter(pl.col("set") == PROMOTION, pl.col("origin") != "synthetic")
        asked = asked.join(self.qrels, on="query_id", how="semi").sort("query_id")
        unranked = asked.join(self.run, on="query_id", how="anti")["query_id"]
        if len(unranked):
            raise LexError(
                f"{self.domain}: {len(unranked):,} promotion queries were not ranked, for example {unranked[0]}; "
                "materialize eval_report again"
            )
        labels = self.qrels.join(asked, on="query_id", how="semi").sort("query_id", "passage_id")
        return asked, frame_hash(asked.select("query_id", "text", "regime"), labels)


class Registry:
    """The champions, the adapters they point to, and the rules by which they were chosen, below one folder."""

    def __init__(self, root: Path) -> None:
        self.champions = ChampionRegistry(root / "champions")
        self.adapters = AdapterStore(root / "adapters")
        self.rules = GateRules(root / "gates")
        self.rounds = Rounds(root / "rounds")

    def champion_folders(self, domain: str) -> tuple[Path | None, Path | None] | None:
        """Adapter folders (retriever, reranker) of the current champion; None while the base is in use."""
        champion = self.champions.show(domain)
        if champion is None or champion.manifest is None:
            return None
        wanted = (champion.manifest.retriever, champion.manifest.reranker)
        retriever, reranker = (self.adapters.path(one) if one else None for one in wanted)
        return retriever, reranker

    def consider(self, candidate: Candidate, config: GateConfig | None = None) -> Decision | None:
        """What the gate says; a candidate that passes becomes the champion unless it is that already. None without
        promotion queries.

        config: without one, that of the frozen rule. The first decision of a domain freezes its rule; a candidate or bounds
        that depart from it are refused. Raises LexError when another promotion came first."""
        in_force = self.rules.frozen(candidate.domain)
        rule = Rule(config or (in_force.rule.gate if in_force else GateConfig()), candidate.measured)
        decision = judge(candidate, rule.gate)
        if decision is None:
            return None
        decision = under(self.rules.freeze(candidate.domain, rule), rule, decision)
        _, promotion_set = candidate.promotion_set()
        tries = self.rules.tried(candidate.domain, candidate.pair.content, promotion_set, decision.promoted)
        decision = replace(decision, tries=tries)
        if decision.promoted and not self.is_champion(candidate.domain, candidate.pair):
            self.promote(candidate, decision)
        return decision

    def is_champion(self, domain: str, pair: Pair) -> bool:
        """Whether this pair is in use already."""
        folders = self.champion_folders(domain)
        return folders is not None and [f and folder_hash(f) for f in folders] == pair.content

    def promote(self, candidate: Candidate, decision: Decision) -> Champion:
        """Store both adapters and make them the champion, unless another promotion came since the gate's comparison."""
        domain, pair = candidate.domain, candidate.pair
        retriever = self.adapters.add(pair.retriever, "retriever", domain, pair.bases["retriever"])
        reranker = self.adapters.add(pair.reranker, "reranker", domain, pair.bases["reranker"])
        contents = {"code": code_hash(), "retriever": retriever.content_hash, "reranker": reranker.content_hash}
        manifest = Manifest(
            domain=domain,
            retriever=retriever.adapter_id,
            reranker=reranker.adapter_id,
            bases=dict(pair.bases),
            hashes=dict(candidate.hashes) | contents,
            gate=decision.to_dict() | {"measured": dict(candidate.measured)},
            licences=dict(pair.licences),
        )
        return self.champions.promote(manifest, candidate.compared_with, decision.summary())


def judge(candidate: Candidate, config: GateConfig | None = None) -> Decision | None:
    """What the gate says of a candidate; None without promotion queries.

    Human queries of the promotion set that the base has not seen decide: unseen queries are the comparison, and their
    origins, laws, … the slices; unseen laws and the guard sets must not be lost; other training seeds must say the same.
    """
    config = config or GateConfig()
    human = _promotion_queries(candidate)
    parts = {regime: human.filter(pl.col("regime") == regime) for regime in REGIMES}
    headline = parts["unseen_query"]
    if headline.is_empty():
        return None
    scores = _scores(candidate, human)
    systems = SERVED.format(candidate.incumbent), SERVED.format(CANDIDATE)
    guards = {"unseen_law": _compare(scores, parts["unseen_law"], systems)} if len(parts["unseen_law"]) else {}
    members = _slices(candidate, headline, config.min_slice)
    return gate(
        _compare(scores, headline, systems),
        config,
        slices={name: _compare(scores, part, systems) for name, part in members.items()},
        guards=guards | _guards(candidate),
        seeds=[_compare(scores, headline, (systems[0], served)) for served in _served_seeds(candidate.run)],
        latency_ms=candidate.latency_ms,
        size_bytes=candidate.pair.size_bytes,
        licences=candidate.pair.licences,
    )


def _served_seeds(run: pl.DataFrame) -> list[str]:
    """Served systems of the candidate's other training seeds."""
    stacks = {name.partition("_")[0] for name in run["system"].unique() if is_seed(name)}
    return [SERVED.format(stack) for stack in sorted(stacks)]


def _promotion_queries(candidate: Candidate) -> pl.DataFrame:
    wanted, _ = candidate.promotion_set()
    seen = seen_by_base(wanted, candidate.qrels, candidate.corpus, candidate.trained)
    return wanted.filter(~pl.col("query_id").is_in(sorted(seen)))


def _slices(candidate: Candidate, queries: pl.DataFrame, minimum: int) -> dict[str, pl.DataFrame]:
    """Name → the queries of a slice: every origin, and every other slice that is large enough."""
    found = {str(origin): part for (origin,), part in queries.group_by(["origin"])}
    trained = trained_parents(candidate.queries, candidate.qrels, candidate.corpus)
    values = query_slices(queries, candidate.qrels, candidate.corpus, trained)
    for (name, value), members in values.group_by(["slice", "value"]):
        if minimum <= members.height < queries.height:
            found[f"{name}={value}"] = queries.join(members, on="query_id", how="semi")
    return found


def _guards(candidate: Candidate) -> dict[str, Comparison]:
    """Guard and part → candidate against incumbent."""
    found = {}
    for (guard, part), scores in candidate.guards.group_by(["guard", "part"]):
        name = str(guard) if part == RETRIEVER else f"{guard} ({part})"
        one = compare(scores, candidate.incumbent, CANDIDATE, METRIC, scores, query_set=PROMOTION)
        found[name] = one
    return found


def _scores(candidate: Candidate, queries: pl.DataFrame) -> pl.DataFrame:
    ids = queries.select("query_id")
    rankings = candidate.run.join(ids, on="query_id", how="semi")
    labels = candidate.qrels.join(ids, on="query_id", how="semi")
    return per_query(rankings, labels, [METRIC], parents=candidate.corpus, on_missing="zero")


def _compare(scores: pl.DataFrame, queries: pl.DataFrame, systems: tuple[str, str]) -> Comparison:
    part = scores.join(queries.select("query_id"), on="query_id", how="semi")
    return compare(part, *systems, METRIC, queries, query_set=PROMOTION)
