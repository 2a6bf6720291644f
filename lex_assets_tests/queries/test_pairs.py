"""Which passages are compared: one cites the other, both in the same set."""

from __future__ import annotations

import polars as pl

from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.pairs import comparison_pairs
from lex_assets.queries.split import DROPPED, SplitConfig
from lex_assets.schemas import CITATIONS, PASSAGES
from lex_assets_tests.queries.writer import passage

EVERYTHING_TRAINS = SourceSets(SplitConfig(train=1, valid=0, promotion=0, test=0, held_out=0))


def article(law: int, number: int, part: str = "①") -> dict[str, str]:
    parent = f"LAW_{law}_제{number}조"
    return passage(law) | {"passage_id": f"{parent}_{part}", "parent_id": parent, "equivalence_id": f"{parent}_{part}"}


def cites(
    source: str, parent: str | None, named: str | None = None, kind: str = "in_text", issue: int = 0
) -> dict[str, object]:
    document = "_".join(source.split("#")[0].split("_")[:2])
    values = (source, document, kind, issue, "제1조", parent, named, "resolved" if parent else "unknown_law")
    return dict(zip(CITATIONS.names, values, strict=True))


TABLE = PASSAGES.frame(
    [
        article(1, 1),
        article(1, 2, "①"),
        article(1, 2, "②"),
        article(2, 1),
        passage(3) | {"passage_id": "PREC_3_h2", "doc_id": "PREC_3", "parent_id": "PREC_3", "source_type": "precedent"},
    ]
)


def pairs(
    citations: list[dict[str, object]], sets: SourceSets = EVERYTHING_TRAINS, limit: int = 0
) -> set[tuple[str, str]]:
    found = comparison_pairs(TABLE, CITATIONS.frame(citations), sets, limit)
    return {(first["passage_id"], second["passage_id"]) for first, second in found}


def test_the_named_paragraph_or_the_articles_first() -> None:
    assert pairs([cites("LAW_1_제1조_①", "LAW_1_제2조", "LAW_1_제2조_②")]) == {("LAW_1_제1조_①", "LAW_1_제2조_②")}
    assert pairs([cites("LAW_1_제1조_①", "LAW_1_제2조")]) == {("LAW_1_제1조_①", "LAW_1_제2조_①")}
    assert pairs([cites("PREC_3#2", "LAW_2_제1조", None, "article", 2)]) == {("PREC_3_h2", "LAW_2_제1조_①")}


def test_refusals_the_own_article_and_other_domains_are_no_pairs() -> None:
    assert not pairs(
        [
            cites("LAW_1_제1조_①", None),
            cites("LAW_1_제2조_①", "LAW_1_제2조", "LAW_1_제2조_②"),
            cites("LAW_1_제1조_①", "LAW_9_제1조"),
            cites("PREC_3#1", "LAW_2_제1조", None, "article", 1),
        ]
    )


def test_pairs_whose_question_would_be_dropped_are_not_asked() -> None:
    citations = [cites(f"LAW_1_제{n}조_①", f"LAW_2_제{m}조") for n in range(1, 31) for m in range(1, 3)]
    table = PASSAGES.frame([article(1, n) for n in range(1, 31)] + [article(2, m) for m in range(1, 3)])
    sets = SourceSets(SplitConfig(held_out=0))
    found = comparison_pairs(table, CITATIONS.frame(citations), sets)
    assert 0 < len(found) < 60
    assert all(sets.of(first)[1] == sets.of(second)[1] for first, second in found)
    assert all(sets.of_all(pair)[1] != DROPPED for pair in found)


def test_the_limit_draws_the_same_pairs_and_adds_to_them() -> None:
    citations = [cites(f"LAW_1_제{n}조_①", "LAW_2_제1조") for n in range(1, 31)]
    table = PASSAGES.frame([article(1, n) for n in range(1, 31)] + [article(2, 1)])
    few, more = (comparison_pairs(table, CITATIONS.frame(citations), EVERYTHING_TRAINS, limit) for limit in (5, 9))
    assert few == more[:5] and isinstance(table, pl.DataFrame)
