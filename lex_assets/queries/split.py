"""Which set a query belongs to and how its test is held out, and the checks.

By group (the default) a set is a pure function of the group's id and the seed. By time it is one of the date of the
group's newest decision and three boundaries, which are dates: the newest groups are the test. Here: sets, regimes, leak
checks. Not here: what a query or its group is (`labelled`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lex_assets.passages.overlap import contained
from lex_assets.schemas import DATED_TYPES, QUERIES, SETS, STATUTE_TYPES, Document, LexError, frame_hash

LAW_TYPES = (*STATUTE_TYPES, "interpretation")
"""Source types whose families the unseen-law regime holds out."""
DROPPED = "dropped"
NEVER = "99999999"
"""A boundary that no date reaches: the set behind it stays empty."""
Fractions = tuple[float, float, float, float]


class SplitConfig(BaseModel):
    """How queries are divided. The default seed keeps the large codes (민법, 상법, 형법, …) in training and leaves the sets
    of finance and law enough queries of both regimes."""

    model_config = ConfigDict(frozen=True)

    by: Literal["group", "time"] = Field(
        default="group",
        description="group: 그룹 id로 추첨. time: 최근 판결이 시험, 그 앞이 승격·검증(날짜 없는 그룹은 추첨). group draws by the "
        "group's id; time makes the newest decisions the test; groups without a date are drawn.",
    )
    seed: int = Field(default=25718, description="모든 추첨의 시드. Seed of every draw.")
    train: float = Field(default=0.7, ge=0, le=1, description="학습 그룹의 비율. Share of split groups that train.")
    valid: float = Field(default=0.1, ge=0, le=1, description="모형 선택용 비율. Share that chooses.")
    promotion: float = Field(default=0.1, ge=0, le=1, description="승격 심사용 비율. Share that gates promotion.")
    test: float = Field(
        default=0.1, ge=0, le=1, description="보고용 시험 비율. Share that is reported and never gates."
    )
    held_out: float = Field(
        default=0.15, ge=0, lt=1, description="학습에서 뺄 법령군의 비율. Share of law families held out."
    )
    overlap: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="학습 질의를 버리는 기준: 평가 질의의 n-gram 가운데 겹치는 비율. Training queries that hold this share of an "
        "evaluation query's character n-grams are dropped.",
    )

    valid_from: str = Field(
        default="",
        description="time: 이 날(YYYYMMDD)부터 검증. 세 경계를 비우면 비율로 정함. First day of valid; empty boundaries follow the shares.",
    )
    promotion_from: str = Field(default="", description="time: 이 날(YYYYMMDD)부터 승격 심사. First day of promotion.")
    test_from: str = Field(default="", description="time: 이 날(YYYYMMDD)부터 시험. First day of test.")

    @model_validator(mode="after")
    def _boundaries_in_order(self) -> SplitConfig:
        days = self.boundaries
        if any(days) and (list(days) != sorted(days) or any(len(d) != 8 or not d.isdigit() for d in days)):
            raise ValueError(f"valid_from, promotion_from, test_from are {days}; give all three as YYYYMMDD, in order")
        return self

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitConfig:
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"train, valid, promotion, test are {self.fractions}; they must sum to 1")
        return self

    @property
    def fractions(self) -> Fractions:
        """Shares in the order of SETS."""
        return self.train, self.valid, self.promotion, self.test

    @property
    def boundaries(self) -> tuple[str, str, str]:
        """First days of valid, promotion and test; empty when they follow the shares."""
        return self.valid_from, self.promotion_from, self.test_from


def draw(kind: str, name: str, seed: int) -> float:
    """A number in [0, 1) that depends on these three alone."""
    digest = hashlib.sha256(f"{kind}\x1f{seed}\x1f{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_set(group_id: str, seed: int, fractions: Fractions = (0.7, 0.1, 0.1, 0.1)) -> str:
    """The set of a split group: train, valid, promotion or test."""
    point, edge = draw("group", group_id, seed), 0.0
    for name, share in zip(SETS, fractions, strict=True):
        edge += share
        if point < edge:
            return name
    return SETS[-1]


def evaluation_set(group_id: str, seed: int, fractions: Fractions = (0.7, 0.1, 0.1, 0.1)) -> str:
    """As `split_set` among valid, promotion and test alone: for groups of which nothing may train."""
    _, *shares = fractions
    total = sum(shares)
    if not total:
        return DROPPED
    return split_set(group_id, seed, (0.0, shares[0] / total, shares[1] / total, shares[2] / total))


def set_of_group(group_id: str, config: SplitConfig, newest: str = "") -> str:
    """The set of a split group under `config`; `newest`: YYYYMMDD of its newest decision, empty without one.

    Raises LexError when the split goes by time and has no boundaries yet (see `with_boundaries`).
    """
    if config.by == "group" or not newest:
        return split_set(group_id, config.seed, config.fractions)
    if not config.test_from:
        raise LexError("the split by time has no boundaries; use the settings that are stored with the split")
    reached = [name for name, day in zip(SETS[1:], config.boundaries, strict=True) if newest >= day]
    return reached[-1] if reached else SETS[0]


def group_dates(queries: pl.DataFrame) -> dict[str, str]:
    """Split group → YYYYMMDD of its newest decision; groups without a date are left out."""
    dated = queries.filter(pl.col("decided") != "")
    return dict(dated.group_by("split_group").agg(pl.col("decided").max()).sort("split_group").iter_rows())


def with_boundaries(config: SplitConfig, queries: pl.DataFrame) -> SplitConfig:
    """`config` with the boundaries of a split by time: days such that the shares of groups hold as nearly as days allow.

    A day is never divided. Raises LexError when no group has a date.
    """
    if config.by == "group" or config.test_from:
        return config
    dates = sorted(group_dates(queries).values())
    if not dates:
        raise LexError("the split by time found no dated query: only decisions carry a date; split by group instead")
    edges = (config.train, config.train + config.valid, config.train + config.valid + config.promotion)
    days = [dates[n] if (n := round(edge * len(dates))) < len(dates) else NEVER for edge in edges]
    return config.model_copy(update=dict(zip(("valid_from", "promotion_from", "test_from"), days, strict=True)))


def split_hash(queries: pl.DataFrame, qrels: pl.DataFrame) -> str:
    """16 hex digits over the split table and its labels: what every later stage was made from."""
    return frame_hash(queries.sort("query_id"), qrels.sort("query_id", "passage_id"))[:16]


def family_is_held_out(family: str, seed: int, fraction: float = 0.15) -> bool:
    """Whether the unseen-law regime holds this law family (act with its decrees and rules) out of training."""
    return draw("family", family, seed) < fraction


def held_out_families(corpus: pl.DataFrame, config: SplitConfig) -> frozenset[str]:
    """The law families of `corpus` (PASSAGES) that the unseen-law regime keeps out of training."""
    families = corpus.filter(pl.col("source_type").is_in(LAW_TYPES))["family"].unique()
    return frozenset(f for f in families if family_is_held_out(f, config.seed, config.held_out))


def is_training_document(
    document: Document,
    config: SplitConfig,
    groups: Mapping[str, str] | None = None,
    newest: Mapping[str, str] | None = None,
) -> bool:
    """Whether a base model may be trained on this document.

    Laws: unless their family is held out. Decisions and MRC contexts: when their split group is in train; `groups` maps
    document → split group (see `split_groups`), a document that is not in it is its own group; `newest` maps split group
    → date (see `group_dates`). Interpretations: both.
    """
    if document.source_type in LAW_TYPES and family_is_held_out(document.family, config.seed, config.held_out):
        return False
    if document.source_type in STATUTE_TYPES:
        return True
    group = (groups or {}).get(document.doc_id, document.doc_id)
    own_date = document.effective_date if document.source_type in DATED_TYPES else ""
    return set_of_group(group, config, (newest or {}).get(group, own_date)) == "train"


def split_groups(queries: pl.DataFrame) -> dict[str, str]:
    """Document → split group, for the decisions and contexts that queries come from."""
    return dict(queries.filter(pl.col("origin") != "delegation").select("doc_id", "split_group").unique().iter_rows())


def assign_split(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: SplitConfig | None = None
) -> pl.DataFrame:
    """`queries` with `set` and `regime` filled in. Raises LexError when the result leaks.

    A query whose laws are all held out is unseen_law and never trains (train → dropped); one that mixes held-out and
    other laws is dropped. A training query that nearly repeats an evaluation query is dropped, so that evaluation sets
    do not change when documents are added.
    """
    config = with_boundaries(config or SplitConfig(), queries)
    held, newest = _held_share(queries, qrels, corpus, config), group_dates(queries)
    shares = [held.get(q, 0.0) for q in queries["query_id"]]
    groups = zip(queries["split_group"], queries["origin"], shares, strict=True)
    sets = [_set_of(group, origin, share, config, newest.get(group, "")) for group, origin, share in groups]
    frame = queries.with_columns(set=pl.Series(sets, dtype=pl.String), _held=pl.Series(shares, dtype=pl.Float64))
    mixed = (pl.col("_held") > 0) & (pl.col("_held") < 1)
    barred = mixed | ((pl.col("_held") == 1) & (pl.col("set") == "train"))
    frame = frame.with_columns(
        regime=pl.when(pl.col("_held") == 1).then(pl.lit("unseen_law")).otherwise(pl.lit("unseen_query")),
        set=pl.when(barred).then(pl.lit(DROPPED)).otherwise(pl.col("set")),
    ).drop("_held")
    frame = _drop(frame, _repeats(frame, config.overlap))
    frame = _drop(frame, _shared_gold(frame, qrels, corpus))
    _refuse(_structural_leaks(frame, qrels, corpus))
    return QUERIES.validate(frame)


def _set_of(group: str, origin: str, held_share: float, config: SplitConfig, newest: str) -> str:
    """A delegation's group is its law family: when that is held out, nothing of the group can train."""
    if origin == "delegation" and held_share == 1:
        return evaluation_set(group, config.seed, config.fractions)
    return set_of_group(group, config, newest)


def _drop(queries: pl.DataFrame, ids: set[str]) -> pl.DataFrame:
    gone = pl.col("query_id").is_in(sorted(ids))
    return queries.with_columns(set=pl.when(gone).then(pl.lit(DROPPED)).otherwise(pl.col("set")))


def _held_share(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: SplitConfig
) -> dict[str, float]:
    """Query → share of its law families that are held out; a query for decisions goes by the laws its issue cites."""
    laws = corpus.filter(pl.col("source_type").is_in(LAW_TYPES)).select("passage_id", "family")
    families = {f: family_is_held_out(f, config.seed, config.held_out) for f in laws["family"].unique()}
    gold = qrels.join(laws, on="passage_id").select("query_id", "family").unique()
    named: dict[str, set[str]] = {}
    for query_id, family in gold.iter_rows():
        named.setdefault(query_id, set()).add(family)
    for query_id, meta in queries.select("query_id", "meta").iter_rows():
        if query_id not in named and '"families"' in meta:
            named[query_id] = set(json.loads(meta)["families"])
    return {q: sum(families.get(f, False) for f in fs) / len(fs) for q, fs in named.items() if fs}


def _repeats(queries: pl.DataFrame, threshold: float) -> set[str]:
    """Training queries that hold ≥ threshold of an evaluation query's n-grams."""
    train = queries.filter(pl.col("set") == "train")
    held = queries.filter(~pl.col("set").is_in(["train", DROPPED]))
    repeating = contained(held["text"].to_list(), train["text"].to_list(), threshold)["within"].unique()
    return set(train[repeating]["query_id"])


def _gold_parents(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    parents = corpus.select("passage_id", "parent_id")
    return qrels.join(parents, on="passage_id").join(queries.select("query_id", "set", "regime"), on="query_id")


def _shared_gold(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> set[str]:
    """unseen_law evaluation queries that share a gold article or decision with training."""
    gold = _gold_parents(queries, qrels, corpus)
    trained = gold.filter(pl.col("set") == "train").select("parent_id").unique()
    unseen = gold.filter((pl.col("regime") == "unseen_law") & ~pl.col("set").is_in(["train", DROPPED]))
    return set(unseen.join(trained, on="parent_id", how="semi")["query_id"])


def split_leaks(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: SplitConfig | None = None
) -> dict[str, int]:
    """Counts that must be 0: groups in two sets, near-repeats across training and evaluation, shared gold articles, and in
    a split by time training queries as new as evaluation."""
    config = config or SplitConfig()
    found = _structural_leaks(queries, qrels, corpus)
    found["near_duplicates_of_evaluation"] = len(_repeats(queries, config.overlap))
    if config.by == "time":
        late = (pl.col("decided") != "") & (pl.col("decided") >= config.valid_from)
        found["training_newer_than_boundary"] = queries.filter((pl.col("set") == "train") & late).height
    return found


def _structural_leaks(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, int]:
    kept = queries.filter(pl.col("set") != DROPPED)
    sets = kept.group_by("split_group").agg(pl.col("set").n_unique())
    trained = (kept["set"] == "train") & (kept["regime"] == "unseen_law")
    return {
        "groups_in_two_sets": sets.filter(pl.col("set") > 1).height,
        "unseen_law_gold_in_training": len(_shared_gold(queries, qrels, corpus)),
        "held_out_law_in_training": int(trained.sum()),
    }


def check_split(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: SplitConfig | None = None
) -> dict[str, int]:
    """`split_leaks`, or LexError when one of them is not 0."""
    leaks = split_leaks(queries, qrels, corpus, config)
    _refuse(leaks)
    return leaks


def _refuse(leaks: dict[str, int]) -> None:
    if any(leaks.values()):
        raise LexError(f"the split leaks: {leaks}; rebuild labelled_queries and split from the same corpus")
