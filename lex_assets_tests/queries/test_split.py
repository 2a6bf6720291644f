"""Sets are pure functions of ids and seed; nothing of an evaluation query reaches training."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pytest
from pydantic import ValidationError

from lex_assets.queries.split import (
    DROPPED,
    SplitConfig,
    assign_split,
    check_split,
    family_is_held_out,
    group_dates,
    is_training_document,
    set_of_group,
    split_hash,
    split_leaks,
    split_set,
    with_boundaries,
)
from lex_assets.schemas import PASSAGES, QRELS, QUERIES, LexError
from lex_assets_tests.world import TENANCY, decision

CONFIG = SplitConfig()
LARGE = ("민법", "형법", "상법", "민사소송법", "형사소송법", "헌법", "행정소송법", "근로기준법", "민사집행법",
         "자본시장과 금융투자업에 관한 법률")  # fmt: skip


def held_out_family() -> str:
    return next(f"법{n}" for n in range(1000) if family_is_held_out(f"법{n}", CONFIG.seed))


def known_family() -> str:
    return next(f"법{n}" for n in range(1000) if not family_is_held_out(f"법{n}", CONFIG.seed))


def group_in(name: str, start: int = 0) -> str:
    return next(f"PREC_{n}" for n in range(start, 9999) if split_set(f"PREC_{n}", CONFIG.seed) == name)


def query(query_id: str, group: str, text: str, decided: str = "20150101", **meta: object) -> dict[str, object]:
    values = (query_id, "law", "citation", text, group, "", "", group, decided, json.dumps(meta, ensure_ascii=False))
    return dict(zip(QUERIES.names, values, strict=True))


def passage(parent: str, family: str, source_type: str = "law") -> dict[str, object]:
    values = dict.fromkeys(PASSAGES.names, "x") | {"passage_id": f"{parent}_①", "parent_id": parent, "family": family}
    return values | {"source_type": source_type}


def tables(queries: list[dict[str, object]], gold: dict[str, list[str]], corpus: list[dict[str, object]]):
    qrels = [{"query_id": q, "passage_id": f"{p}_①", "grade": 2} for q, parents in gold.items() for p in parents]
    return QUERIES.frame(queries), QRELS.frame(qrels), PASSAGES.frame(corpus)


def sets(frame: pl.DataFrame) -> dict[str, tuple[str, str]]:
    return {q: (s, r) for q, s, r in frame.select("query_id", "set", "regime").iter_rows()}


def test_set_is_pure_and_fractions_hold() -> None:
    names = [split_set(f"PREC_{n}", 1) for n in range(4000)]
    assert names == [split_set(f"PREC_{n}", 1) for n in range(4000)]
    assert names != [split_set(f"PREC_{n}", 2) for n in range(4000)]
    assert abs(names.count("train") / 4000 - 0.7) < 0.03 and abs(names.count("test") / 4000 - 0.1) < 0.02


def test_default_seed_trains_on_the_large_codes_and_holds_out_some_families() -> None:
    assert not any(family_is_held_out(name, CONFIG.seed, CONFIG.held_out) for name in LARGE)
    share = sum(family_is_held_out(f"법{n}", CONFIG.seed) for n in range(2000)) / 2000
    assert abs(share - 0.15) < 0.03


def test_regimes() -> None:
    held, known, test, train = held_out_family(), known_family(), group_in("test"), group_in("train")
    corpus = [passage("LAW_1_제1조", held), passage("LAW_2_제1조", known)]
    queries = [
        query("a", test, "처음 보는 법률에 관한 질문"),
        query("b", train, "학습에서 빠지는 질문 내용"),
        query("c", test, "두 법률을 함께 묻는 질문이다"),
        query("d", train, "평범한 학습용 질문 문장"),
    ]
    gold = {"a": ["LAW_1_제1조"], "b": ["LAW_1_제1조"], "c": ["LAW_1_제1조", "LAW_2_제1조"], "d": ["LAW_2_제1조"]}
    assert sets(assign_split(*tables(queries, gold, corpus))) == {
        "a": ("test", "unseen_law"),
        "b": (DROPPED, "unseen_law"),
        "c": (DROPPED, "unseen_query"),
        "d": ("train", "unseen_query"),
    }


def test_training_gives_way_to_evaluation_near_duplicates() -> None:
    text = "임대차가 종료된 경우 보증금반환채권의 소멸시효가 진행하는지 여부"
    queries = [
        query("a", group_in("test"), text),
        query("b", group_in("train"), text + "(소극)"),
        query("c", group_in("train", 50), "전혀 다른 주제를 다루는 질문"),
    ]
    corpus = [passage("LAW_2_제1조", known_family())]
    found = assign_split(*tables(queries, {q: ["LAW_2_제1조"] for q in "abc"}, corpus))
    assert {q: s for q, (s, _) in sets(found).items()} == {"a": "test", "b": DROPPED, "c": "train"}


def test_decisions_go_by_the_laws_that_their_issue_cites() -> None:
    held, train, test = held_out_family(), group_in("train"), group_in("test")
    corpus = [passage("PREC_9", "PREC_9", "precedent"), passage("PREC_8", "PREC_8", "precedent"), passage("L", held)]
    queries = [
        query("a", train, "지킬 법률을 인용한 쟁점", families=[held]),
        query("b", test, "이 쟁점도 같은 법률이다", families=[held]),
        query("c", test, "판례만 찾는 다른 쟁점", families=[]),
        query("d", train, "학습에 쓰는 평범한 쟁점", families=[]),
    ]
    gold = {"a": ["PREC_9"], "b": ["PREC_9"], "c": ["PREC_9"], "d": ["PREC_8"]}
    found = sets(assign_split(*tables(queries, gold, corpus)))
    assert found["a"] == (DROPPED, "unseen_law") and found["b"] == ("test", "unseen_law")
    assert found["c"] == ("test", "unseen_query")


def test_unseen_law_shares_no_gold_with_training() -> None:
    held, train, test = held_out_family(), group_in("train"), group_in("test")
    corpus = [passage("PREC_9", "PREC_9", "precedent"), passage("L", held)]
    queries = [
        query("a", train, "학습에서 같은 판례를 찾는다", families=[]),
        query("b", test, "처음 보는 법률의 쟁점이다", families=[held]),
    ]
    found = sets(assign_split(*tables(queries, {"a": ["PREC_9"], "b": ["PREC_9"]}, corpus)))
    assert found["b"] == (DROPPED, "unseen_law")


def test_new_documents_do_not_move_old_queries() -> None:
    corpus = [passage("LAW_2_제1조", known_family())]
    old = [query(f"q{n}", f"PREC_{n}", f"질문 {n * 7919} 번의 고유한 내용 {n * 104729}") for n in range(40)]
    new = [query(f"r{n}", f"PREC_{n}", f"추가 {n * 6007} 건의 새로운 쟁점 {n * 15485863}") for n in range(40, 80)]
    gold = {q["query_id"]: ["LAW_2_제1조"] for q in [*old, *new]}
    before = sets(assign_split(*tables(old, {q["query_id"]: gold[q["query_id"]] for q in old}, corpus)))
    after = sets(assign_split(*tables([*old, *new], gold, corpus)))
    assert {q: after[q] for q in before} == before


def test_a_leak_is_an_error() -> None:
    queries, qrels, corpus = tables(
        [query("a", "PREC_1", "첫 번째 질문 내용"), query("b", "PREC_1", "둘째로 적은 다른 물음")],
        {"a": ["L"], "b": ["L"]},
        [passage("L", known_family())],
    )
    leaking = queries.with_columns(set=pl.Series(["train", "test"]), regime=pl.lit("unseen_query"))
    with pytest.raises(LexError, match="groups_in_two_sets"):
        check_split(leaking, qrels, corpus)


def test_fractions_must_sum_to_one() -> None:
    with pytest.raises(ValidationError, match="sum to 1"):
        SplitConfig(train=0.9)


def test_base_models_leave_out_test_decisions_and_held_out_families() -> None:
    TENANCY.family = known_family()
    assert is_training_document(TENANCY, CONFIG)
    TENANCY.family = held_out_family()
    assert not is_training_document(TENANCY, CONFIG)
    TENANCY.family = "주거임대차 보호법"
    case = decision(group_in("train").removeprefix("PREC_"), "2014다1", ("쟁점", "", "", ""))
    assert is_training_document(case, CONFIG)
    assert not is_training_document(case, CONFIG, {case.doc_id: group_in("test")})


BY_TIME = SplitConfig(by="time")
DAYS = [f"20{year:02d}0301" for year in range(10, 30)]
CORPUS = [passage("LAW_2_제1조", known_family())]


def unlike_others(name: str) -> str:
    return "".join(chr(0xAC00 + 40 * byte) for byte in hashlib.sha256(name.encode()).digest())


def dated(days: list[str], name: str = "PREC") -> list[dict[str, object]]:
    return [query(f"{name}{n}", f"{name}_{n}", unlike_others(f"{name}{n}"), day) for n, day in enumerate(days)]


def split_by_time(queries: list[dict[str, object]], config: SplitConfig = BY_TIME) -> dict[str, str]:
    frame, qrels, corpus = tables(queries, {str(q["query_id"]): ["LAW_2_제1조"] for q in queries}, CORPUS)
    return {q: s for q, (s, _) in sets(assign_split(frame, qrels, corpus, config)).items()}


def test_by_time_the_newest_are_the_test_and_no_day_is_divided() -> None:
    found = split_by_time(dated(DAYS))
    assert list(found.values()) == ["train"] * 14 + ["valid"] * 2 + ["promotion"] * 2 + ["test"] * 2
    tied = split_by_time(dated([*DAYS[:17], *[DAYS[17]] * 3]))
    assert [tied[f"PREC{n}"] for n in range(16, 20)] == ["promotion", "test", "test", "test"]


def test_by_time_a_group_goes_by_its_newest_member() -> None:
    queries = dated(DAYS)
    queries.append(query("old", "PREC_19", "같은 사건의 오래된 심급에서 다룬 쟁점", DAYS[0]))
    assert split_by_time(queries)["old"] == "test"


def test_by_time_groups_without_a_date_are_drawn() -> None:
    undated = [query(f"u{n}", f"MRC_{n}", unlike_others(f"u{n}"), "") for n in range(30)]
    found = split_by_time([*dated(DAYS), *undated])
    assert {n: found[f"u{n}"] for n in range(30)} == {n: split_set(f"MRC_{n}", BY_TIME.seed) for n in range(30)}
    with pytest.raises(LexError, match="no dated query"):
        split_by_time(undated)


def test_by_time_given_boundaries_keep_old_queries_where_they_are() -> None:
    days = {"valid_from": "20200101", "promotion_from": "20220101", "test_from": "20240101"}
    fixed = SplitConfig(by="time", **days)
    before = split_by_time(dated(DAYS), fixed)
    after = split_by_time([*dated(DAYS), *dated(["20300101"] * 30, "NEW")], fixed)
    assert {q: after[q] for q in before} == before and after["NEW0"] == "test"
    assert set_of_group("PREC_1", fixed, "20211231") == "valid" and set_of_group("PREC_1", fixed, "20240101") == "test"


@pytest.mark.parametrize("days", [("20200101", "", ""), ("20220101", "20200101", "20240101"), ("2020", "2021", "2022")])
def test_boundaries_are_three_days_in_order(days: tuple[str, str, str]) -> None:
    with pytest.raises(ValidationError, match="give all three"):
        SplitConfig(by="time", valid_from=days[0], promotion_from=days[1], test_from=days[2])


def test_by_time_later_stages_need_the_stored_boundaries() -> None:
    frame, qrels, corpus = tables(dated(DAYS), {f"PREC{n}": ["LAW_2_제1조"] for n in range(20)}, CORPUS)
    with pytest.raises(LexError, match="settings that are stored"):
        set_of_group("PREC_1", BY_TIME, "20200101")
    stored = with_boundaries(BY_TIME, frame)
    assert stored.boundaries == (DAYS[14], DAYS[16], DAYS[18])
    assert SplitConfig(**stored.model_dump()) == stored
    newest = group_dates(frame)
    case = decision("19", "2014다1", ("쟁점", "", "", ""), decided="20100101")
    assert is_training_document(case, stored) and not is_training_document(case, stored, {}, newest)
    queries = assign_split(frame, qrels, corpus, stored)
    assert not any(split_leaks(queries, qrels, corpus, stored).values())
    late = queries.with_columns(set=pl.when(pl.col("decided") == DAYS[19]).then(pl.lit("train")).otherwise("set"))
    assert split_leaks(late, qrels, corpus, stored)["training_newer_than_boundary"] == 1


def test_the_hash_is_of_the_table_and_its_labels() -> None:
    frame, qrels, corpus = tables(dated(DAYS), {f"PREC{n}": ["LAW_2_제1조"] for n in range(20)}, CORPUS)
    by_group, by_time = (assign_split(frame, qrels, corpus, config) for config in (CONFIG, BY_TIME))
    assert split_hash(by_group, qrels) == split_hash(by_group.reverse(), qrels.reverse())
    assert len({split_hash(by_group, qrels), split_hash(by_time, qrels), split_hash(by_group, qrels.head(3))}) == 3
