from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus, corpus_hash
from lex_assets.schemas import Document, LexError
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.law import read_law
from lex_assets.sources.read import ingest
from lex_assets_tests.passages.test_build import frame, law
from lex_assets_tests.sources import raw
from lex_assets_tests.world import context, decision


def test_equal_texts_and_versions_are_equivalent() -> None:
    first = law(
        raw.article("1", "같은 글이다."), raw.article("2", "지금"), raw.article("2", "앞으로", 조문시행일자="20280101")
    )
    second = read_law(raw.law([raw.article("9", "같은  글이다.")], info={"법령ID": "900002"}))
    corpus = build_corpus([build_passages(frame(first)), build_passages(frame(second))])
    groups = dict(corpus.select("passage_id", "equivalence_id").iter_rows())
    assert groups["LAW_900002_제9조"] == groups["LAW_900001_제1조"] == "LAW_900001_제1조"
    assert groups["LAW_900001_제2조@20280101"] == groups["LAW_900001_제2조"] == "LAW_900001_제2조"


HOLDING = (
    "보증금을 반환받지 못한 임차인은 임대차가 끝난 뒤에도 목적물을 점유할 수 있고, 그 점유는 불법점유가 아니므로 임대인은 "
    "그로 인한 손해의 배상을 청구할 수 없으며, 다만 임차인이 얻은 실질적인 이익은 부당이득으로 반환하여야 한다"
)
"""Nearly the same in two decisions, as in sister decisions."""


def classes(*documents: Document, **options: float) -> dict[str, str]:
    corpus = build_corpus([build_passages(frame(*documents))], **options)
    return dict(corpus.select("passage_id", "equivalence_id").iter_rows())


def test_a_holding_that_two_decisions_repeat_is_one_class() -> None:
    first = decision("1", "2014다1", ("가", f"{HOLDING}.", "", ""))
    second = decision("2", "2014다2", ("나", f"{HOLDING.replace('점유할', '계속 점유할')} .", "", ""))
    other = decision(
        "3", "2014다3", ("다", "전세권이 소멸하면 전세금의 반환과 목적물의 인도는 동시에 이행하여야 한다.", "", "")
    )
    found = classes(first, second, other)
    assert found == {"PREC_1_h1": "PREC_1_h1", "PREC_2_h1": "PREC_1_h1", "PREC_3_h1": "PREC_3_h1"}
    assert len(set(classes(first, second, other, near_duplicate=1.0).values())) == 3


def test_opposite_answers_and_other_numbers_are_no_equivalents() -> None:
    issues = [
        decision(str(n), f"2014다{n}", (f"{HOLDING}고 볼 수 있는지 여부({answer})", "", "", ""))
        for n, answer in enumerate(("적극", "소극"), start=1)
    ]
    assert len(set(classes(*issues).values())) == 2
    facts = [
        context(
            str(n),
            f"한빛은행은 {n}일 정기예금 금리를 올렸다고 밝혔다. 이는 지난해 이후 처음이며 다른 은행도 뒤따를 것으로 보인다.",
        )
        for n in (6, 7)
    ]
    assert len(set(classes(*facts).values())) == 2
    same = [
        context(
            name,
            f"한빛은행은 6일 정기예금 금리를 올렸다고 밝혔다{mark} 이는 지난해 이후 처음이며 다른 은행도 뒤따를 것으로 보인다.",
        )
        for name, mark in (("a", "."), ("b", ","))
    ]
    assert len(set(classes(*same).values())) == 1


def test_provisions_that_differ_in_their_law_only_are_no_equivalents() -> None:
    text = "이 법에서 정한 것을 제외하고는 {} 및 그 시행령에서 정하는 바에 따라 금융위원회가 정하여 고시하는 방법으로 신고한다."
    laws = [
        read_law(raw.law([raw.article("1", text.format(name))], info={"법령ID": number}))
        for number, name in (("1", "은행법"), ("2", "보험법"))
    ]
    assert len(set(classes(*laws).values())) == 2


def test_colliding_ids_and_an_empty_corpus_are_errors() -> None:
    passages = build_passages(frame(law(raw.article("1", "글"))))
    with pytest.raises(LexError, match=r"LAW_900001_제1조 .* occurs 2 times"):
        build_corpus([passages, passages])
    for nothing in ([], [passages.clear()]):
        with pytest.raises(LexError, match="no passages"):
            build_corpus(nothing)


def test_the_order_of_the_domains_changes_nothing() -> None:
    tables = [
        build_passages(frame(read_law(raw.law([raw.article("1", "글")], info={"법령ID": name})))) for name in "12"
    ]
    assert corpus_hash(build_corpus(tables)) == corpus_hash(build_corpus(tables[::-1]))


def test_the_sample_reads_without_quarantine(sample_dir: Path) -> None:
    result = ingest(sample_dir, DomainRules.load())
    assert result.quarantine.is_empty(), result.quarantine.rows()
    corpus = build_corpus([build_passages(result.documents)])
    assert corpus["text"].str.len_chars().min() > 0
    assert corpus["text"].str.len_chars().max() <= 1000


def test_real_statutes_have_unique_ids_and_the_counted_articles(shared_dir: Path) -> None:
    result = ingest(shared_dir / "raw" / "laws", DomainRules.load())
    corpus = build_corpus([build_passages(result.documents)])
    articles = corpus.filter(pl.col("unit").is_in(["조", "항"]))["parent_id"].n_unique()
    assert (result.documents.height, result.quarantine.height) == (49, 0)
    # The same live articles as the independent parser behind bench/core finds.
    assert articles == 6468
    civil = corpus.filter(pl.col("passage_id") == "LAW_001706_제839조의2_①").row(0, named=True)
    assert civil["text"].startswith("① 협의상 이혼한 자의 일방은")
