"""Generated questions: kinds, filters, inherited sets."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl
import pytest

from lex_assets.queries.filters import SyntheticConfig, longest_run, rejection
from lex_assets.queries.questions import SyntheticQuestion
from lex_assets.queries.rules import RuleGenerator, difficulty_of
from lex_assets.queries.split import DROPPED, SplitConfig, family_is_held_out, split_set
from lex_assets.queries.synthetic import synthetic_queries
from lex_assets.queries.training import TrainingConfig, training_queries
from lex_assets.schemas import PASSAGES, QRELS, QUERIES, LexError

SPLIT = SplitConfig()


def passage(name: str, text: str, title: str = "등록의 취소", unit: str = "항", **values: str) -> dict[str, str]:
    row = dict.fromkeys(PASSAGES.names, "") | {
        "passage_id": name,
        "doc_id": "_".join(name.split("_")[:2]),
        "parent_id": "_".join(name.split("_")[:3]),
        "domain": "finance",
        "source_type": "law",
        "family": "가나금융법",
        "context": f"가나금융법 > 제2장 감독 > 제5조({title})",
        "text": text,
        "unit": unit,
        "equivalence_id": name,
    }
    return row | values


def asked(text: str, **values: str) -> dict[str, str]:
    """Kind → question that the rules make of one passage."""
    found = RuleGenerator(per_passage=9, lay_share=0).generate([passage("LAW_1_제5조_①", text, **values)])
    return {question.kind: question.text for question in found}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ('① 이 법에서 "교환사채"란 회사가 가진 주식으로 바꿀 수 있는 채권을 말한다.', "definition", "교환사채"),
        (
            "② 금융업자는 제1항에 따른 명령을 받은 날부터 20일 이내에 결과를 관청에 보고하여야 한다.",
            "deadline",
            "며칠|기한",
        ),
        ("① 중개업을 하려는 자는 신청서를 관청에 제출하여야 한다.", "procedure", "서류|제출"),
        ("③ 은행은 고객에게 예금의 해지를 강요하여서는 아니 된다.", "prohibition", "강요해도"),
        ("① 은행은 자료를 5년간 보존하여야 한다. 다만, 폐업한 경우에는 그러하지 아니하다.", "exception", "예외"),
        (
            "② 위원회는 다음 각 호의 어느 하나에 해당하는 경우에는 그 등록을 취소할 수 있다.\n1. 거짓\n2. 폐업",
            "condition",
            "등록을 취소",
        ),
        (
            "① 다음 각 호의 자는 3년 이하의 징역에 처한다.\n1. 제3조를 위반하여 영업정지 기간에 대출을 한 자",
            "penalty",
            "대출을 하면",
        ),
    ],
)
def test_kinds(text: str, kind: str, words: str) -> None:
    import re

    question = asked(text)[kind]
    assert re.search(words, question), question
    assert "제3조" not in question and "제1항" not in question


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ('① 이 법에서 "교환사채"란 회사가 가진 주식으로 바꿀 수 있는 채권을 말한다.', "‘교환사채’"),
        ("① 누구든지 접근매체를 타인에게 양도하여서는 아니 된다.", "접근매체를 타인에게 양도하는 행위"),
        (
            "① 위원회는 신청인의 대주주에게 필요한 자료의 제출을 요구할 수 있다.",
            "위원회가 신청인의 대주주에게 .*요구할 수 있는",
        ),
        ("① 회사는 제3조에 따라 영업의 현황을 주주에게 통지하여야 한다.", "회사가 영업의 현황을 주주에게 통지"),
        ("① 이 장은 외국에서 한 거래에도 적용한다.", "등록의 취소"),
    ],
)
def test_issues_are_stated_as_a_lawyer_would(text: str, stated: str) -> None:
    import re

    issue = asked(text)["issue"]
    assert re.search(stated, issue) and re.search(r"(?:여부|의미|요건|기준|효과|범위)$", issue), issue
    assert "제3조" not in issue


@pytest.mark.parametrize(
    "text",
    [
        '① 법에서 "대통령령으로 정하는 자"란 다음 각 호의 자를 말한다.',
        "② 회사는 제3조 및 제4조에서 정한 바에 따라 이를 다시 통지하여야 한다.",
        "② 위원회는 다음 각 호의 경우에는 그 밖에 필요한 조치를 할 수 있다.",
    ],
)
def test_issues_that_hang_on_other_words_are_not_stated(text: str) -> None:
    assert "issue" not in asked(text, title="정의")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("주택연금은 노후를 위한 제도다. 부부가 12억원 이하의 집을 가졌다면 가입할 수 있다.", ""),
        ("① 위원회는 제1항에 따른 업무를 대통령령으로 공공기관에 위탁하여 수행할 수 있다.", "정의"),
        ("② 판매업자는 제1항 각 호의 어느 하나의 방법으로 통보할 수 있다.", "정의"),
        ("⑦ 위원회는 제3조의 어느 하나에 해당하는 조치를 할 것을 그 금융회사에 요구할 수 있다.", "정의"),
        ("③ 변경된 경우에는 2주 이내에 그 내용을 위원회에 변경등록하여야 한다.", "정의"),
        ("⑤ 감독원장은 제1항에 따라 조정을 하지 않거나 그 사유를 함께 통지하여야 한다.", "정의"),
    ],
)
def test_what_lost_its_meaning_with_a_number_or_a_reference_is_not_asked(text: str, title: str) -> None:
    """Each of these once read like "주택연금이 억원 이하의 집을 가졌다면" or "업무를 위탁하여 수행할 수 있는지 여부"."""
    import re

    found = asked(
        text, title=title, unit="항" if title else "text", context="" if not title else f"법 > 제1조({title})"
    )
    broken = re.compile(r"(?<!\d)억원|업무를|방법으로|해당하는 조치|그 내용|[은이가] 않거나")
    assert not [question for question in found.values() if broken.search(question)], found


def test_an_issue_is_the_longest_end_of_its_sentence_that_reads_as_a_whole() -> None:
    text = "① 이용자는 지급의 효력이 발생하기 전까지 은행에 대한 거래의 지시를 서면 또는 전자문서로 철회할 수 있다."
    stated = "이용자가 지급의 효력이 발생하기 전까지 은행에 대한 거래의 지시를 서면 또는 전자문서로 철회할 수 있는"
    assert asked(text)["issue"].startswith(stated)
    second = "① 주택연금은 집을 담보로 하는 제도이다. 부부가 가진 집이 12억원 이하이면 연금에 가입할 수 있다."
    assert "주택연금이" not in asked(second).get("issue", "")


def test_keywords_are_nouns() -> None:
    text = "① 공공단체에게 고시해야 하며 지정요건에 적합하다고 인정하면 이행강제금을 부과하고 한국거래소로의 이전을 방지하기 위하여 알린다."
    words = " ".join(
        RuleGenerator(per_passage=9).generate([passage(f"LAW_1_제{n}조_①", text)])[-1].text for n in range(1, 6)
    )
    assert not {"고시해야", "적합하다고", "인정하면", "방지하기", "한국거래소로"} & set(words.split())


def test_tables_ask_for_a_row() -> None:
    text = "위반행위 | 근거 | 금액\n가. 법 제3조를 위반하여 보고서를 제출하지 않은 경우 | 법 제9조 | 600"
    context = "가나금융법 시행령 > 별표 2 과태료의 부과기준(제9조 관련)"
    assert asked(text, unit="별표", context=context)["table"] == "보고서를 제출하지 않으면 과태료는 얼마인가요?"


def test_holdings_ask_what_was_open() -> None:
    text = "임대차가 끝난 뒤 임차인이 계속 점유하는 경우에는 보증금을 담보로 볼 여지가 있다. 임대인은 명도를 이유로 반환을 거절할 수 없다."
    question = asked(text, unit="holding", context="대법원 2015. 3. 1. 선고 2014다1 판결 손해배상(기)")["holding"]
    assert question == "임대인의 경우 명도를 이유로 반환을 거절할 수 있는지 궁금합니다."


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (
            "계약의 해제 사유가 있다는 점에 대한 증명책임은 해제를 주장하는 사람에게 있다.",
            "condition",
            "누구에게|어느 쪽",
        ),
        (
            "매매계약이 유효하게 성립하려면 목적물과 대금에 관한 합의가 있어야 한다.",
            "condition",
            "성립하려면 (무엇|어떤)",
        ),
        (
            "광고가 청약에 해당하는지는 내용과 상대방의 신뢰를 종합하여 판단하여야 한다.",
            "condition",
            "광고가 청약에 해당하는지는",
        ),
        ("위약벌이란 채무의 이행을 강제하려고 정한 돈을 말한다.", "definition", "위약벌"),
        ("매수인의 대금지급청구권의 소멸시효는 계약이 해제된 때부터 진행한다.", "deadline", "언제부터"),
    ],
)
def test_holdings_are_asked_without_their_answer(text: str, kind: str, words: str) -> None:
    import re

    question = asked(text, unit="holding")[kind]
    assert re.search(words, question), question


@pytest.mark.parametrize(
    "text",
    [
        "甲이 乙에게 돈을 빌려준 사안에서, 원심이 이를 증여로 본 것은 잘못이라고 한 사례.",
        "민법 제750조는 불법행위를 규정한다. 이 규정을 위반하면 그 책임을 진다.",
        "이러한 법리는 이 사건에도 적용된다.",
        "제반 사정을 고려하여 판단하여야 한다.",
    ],
)
def test_holdings_that_hang_on_what_came_before_are_not_asked(text: str) -> None:
    assert not asked(text, unit="holding")


@pytest.mark.parametrize(
    ("question", "level"), [("은행은 예금을 반환하여야 하나요?", "easy"), ("맡긴 돈을 언제 찾나요?", "hard")]
)
def test_difficulty_is_how_many_words_the_passage_has(question: str, level: str) -> None:
    assert difficulty_of(question, "은행은 예금자의 청구가 있으면 예금을 반환하여야 한다.") == level


@pytest.mark.parametrize("unit", ["항", "조", "별표", "holding", "issue", "context", "text"])
@pytest.mark.parametrize("text", ["", "\n", "①", " | | ", "다만,", "“”이란 ", "짧다.", "(((", "\x00가\ud800"])
def test_poor_text_raises_nothing(unit: str, text: str) -> None:
    asked(text, unit=unit, context="")


def test_the_generator_is_deterministic() -> None:
    rows = [passage(f"LAW_1_제{n}조_①", "① 은행은 고객에게 예금의 해지를 강요하여서는 아니 된다.") for n in range(1, 9)]
    assert RuleGenerator().generate(rows) == RuleGenerator().generate(rows)


def question(text: str, kind: str = "fact") -> SyntheticQuestion:
    return SyntheticQuestion("LAW_1_제5조_①", text, kind, "test", "CC0-1.0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("은행이 고객에게 무엇을 해 줘야 하나요?", ""),
        ("짧다?", "length"),
        ("what does the bank have to do in this case?", "language"),
        ("이 조항에서 정한 기한은 며칠인가요?", "not_self_contained"),
        ("제5조에서 은행이 지켜야 할 것은 무엇인가요?", "leaks_law"),
        ("제4장제2절에 따라 은행이 지켜야 할 것은 무엇인가요?", "leaks_law"),
        ("가나 금융법에서 은행이 지켜야 할 것은 무엇인가요?", "leaks_law"),
        ("은행은 고객에게 예금의 해지를 강요하여서는 아니 된다?", "copies_passage"),
    ],
)
def test_filters(text: str, reason: str) -> None:
    source = passage("LAW_1_제5조_①", "① 은행은 고객에게 예금의 해지를 강요하여서는 아니 된다.")
    assert rejection(question(text), [source], SyntheticConfig())[0] == reason


def test_longest_run() -> None:
    assert longest_run("가나다라", "xx가나다yy") == 0.75
    assert longest_run("", "가") == 0


class Fixed:
    """A generator that asks what it is told to."""

    name, licence = "fixed", "MIT"

    def __init__(self, texts: dict[str, list[str]]) -> None:
        self.texts = texts

    def generate(self, passages) -> list[SyntheticQuestion]:
        wanted = {row["passage_id"] for row in passages}
        return [
            SyntheticQuestion(p, text, "fact", self.name, self.licence)
            for p, texts in self.texts.items()
            if p in wanted
            for text in texts
        ]


def corpus(*rows: dict[str, str]) -> pl.DataFrame:
    return PASSAGES.frame(rows)


def test_questions_that_fit_two_articles_are_dropped_and_repeats_too() -> None:
    table = corpus(passage("LAW_1_제5조_①", "본문 하나"), passage("LAW_1_제6조_①", "본문 둘"))
    same, repeated = "은행이 지켜야 할 기한은 언제인가요?", "고객이 신고를 마치려면 어디로 가야 하나요?"
    generator = Fixed({"LAW_1_제5조_①": [same, repeated, repeated + "?"], "LAW_1_제6조_①": [same]})
    queries, qrels, report = synthetic_queries(table, generator)
    counts = report.counts
    assert queries["text"].to_list() == [repeated]
    assert (counts["ambiguous"], counts["near_duplicate"], counts["kept"]) == (2, 1, 1)
    assert qrels.rows() == [("Q_SYN_LAW_1_제5조_①_1", "LAW_1_제5조_①", 2)]
    assert json.loads(queries["meta"][0])["licence"] == "MIT"


def test_round_trip_keeps_near_marks_hard_and_drops_lost() -> None:
    names = [f"LAW_1_제{n}조_①" for n in (1, 2, 3)]
    table = corpus(*(passage(name, f"본문 {name}") for name in names))
    texts = {name: [f"{n}번째로 은행에 묻고 싶은 것은 무엇인가요? {n * 7919}"] for n, name in enumerate(names)}

    def search(questions: list[str], k: int) -> Sequence[Sequence[str]]:
        return [[names[0]], ["x"] * 20 + [names[1]], ["x"] * k]

    queries, _, report = synthetic_queries(table, Fixed(texts), search=search)
    assert [json.loads(m)["round_trip"] for m in queries["meta"]] == ["easy", "hard"]
    assert report.counts["round_trip"] == 1


def test_no_more_than_asked_for() -> None:
    table = corpus(passage("LAW_1_제5조_①", "본문"))
    texts = [f"은행이 {n * 7919} 때 해야 하는 일은 무엇인가요? {n * 104729}" for n in range(6)]
    queries, _, report = synthetic_queries(table, Fixed({"LAW_1_제5조_①": texts}), SyntheticConfig(per_passage=2))
    assert queries.height == 2 and report.counts["too_many"] == 4


def family(held: bool) -> str:
    return next(f"법{n}" for n in range(999) if family_is_held_out(f"법{n}", SPLIT.seed) is held)


def test_held_out_families_never_train() -> None:
    rows = [passage(f"LAW_1_제{n}조_①", f"본문 {n}", family=family(True)) for n in range(1, 40)]
    texts = {
        row["passage_id"]: [f"은행에 물을 {n * 7919} 가지 것은 {n * 104729} 인가요?"] for n, row in enumerate(rows)
    }
    queries, _, _ = synthetic_queries(corpus(*rows), Fixed(texts))
    assert set(queries["regime"]) == {"unseen_law"} and "train" not in set(queries["set"])


def test_decisions_give_their_set() -> None:
    group = next(f"PREC_{n}" for n in range(999) if split_set(f"PREC_{n}", SPLIT.seed) == "test")
    row = passage("PREC_5_h1", "판결요지", unit="holding", source_type="precedent", family="PREC_5", domain="precedent")
    values = ("Q", "precedent", "holding", "쟁점", group, "test", "unseen_query", "PREC_5", "", "{}")
    labelled = QUERIES.frame([dict(zip(QUERIES.names, values, strict=True))])
    texts = {"PREC_5_h1": ["임차인이 보증금을 돌려받을 수 있나요?"]}
    queries, _, _ = synthetic_queries(corpus(row), Fixed(texts), labelled=labelled)
    assert queries.select("split_group", "set").row(0) == (group, "test")


def test_by_time_a_decision_goes_by_the_newest_of_its_group_or_by_its_own_date() -> None:
    days = {"valid_from": "20200101", "promotion_from": "20220101", "test_from": "20240101"}
    values = ("Q", "precedent", "holding", "쟁점", "PREC_5", "test", "unseen_query", "PREC_5", "20250301", "{}")
    labelled = QUERIES.frame([dict(zip(QUERIES.names, values, strict=True))])
    common = {"unit": "holding", "source_type": "precedent", "domain": "precedent"}
    rows = [
        passage("PREC_5_h1", "판결요지", family="PREC_5", **common) | {"effective_date": "20100101"},
        passage("PREC_6_h1", "다른 판결요지", family="PREC_6", **common) | {"effective_date": "20210101"},
    ]
    texts = {
        "PREC_5_h1": ["임차인이 보증금을 돌려받을 수 있나요?"],
        "PREC_6_h1": ["은행이 예금을 지급하지 않을 수 있나요?"],
    }
    queries, _, _ = synthetic_queries(
        corpus(*rows), Fixed(texts), split=SplitConfig(by="time", **days), labelled=labelled
    )
    assert queries["set"].to_list() == ["test", "valid"]


def test_what_an_unseen_law_query_looks_for_is_not_asked_in_training() -> None:
    group = next(f"PREC_{n}" for n in range(999) if split_set(f"PREC_{n}", SPLIT.seed) == "train")
    row = passage(f"{group}_h1", "요지", unit="holding", source_type="precedent", doc_id=group, domain="precedent")
    values = ("Q", "precedent", "citation", "쟁점", "PREC_9", "test", "unseen_law", "PREC_9", "", "{}")
    labelled = QUERIES.frame([dict(zip(QUERIES.names, values, strict=True))])
    qrels = QRELS.frame([{"query_id": "Q", "passage_id": f"{group}_h1", "grade": 2}])
    texts = {f"{group}_h1": ["임차인이 보증금을 돌려받을 수 있나요?"]}
    queries, _, _ = synthetic_queries(corpus(row), Fixed(texts), labelled=labelled, labelled_qrels=qrels)
    assert queries["set"].to_list() == [DROPPED]


def labelled_row(query_id: str, name: str, text: str, articles: int = 1) -> dict[str, str]:
    meta = json.dumps({"articles": [f"a{n}" for n in range(articles)]})
    values = (query_id, "finance", "citation", text, query_id, name, "unseen_query", "PREC_1", "", meta)
    return dict(zip(QUERIES.names, values, strict=True))


def test_training_queries() -> None:
    held = "예금자가 은행에 반환을 청구할 수 있는 때는 언제인지"
    labelled = QUERIES.frame(
        [
            labelled_row("a", "train", "첫 번째 학습 질의"),
            labelled_row("b", "train", "너무 많은 조문을 인용한 질의", articles=9),
            labelled_row("c", "valid", "검증 질의"),
            labelled_row("d", "test", held),
        ]
    )
    qrels = QRELS.frame([{"query_id": q, "passage_id": "p", "grade": 2} for q in "abcd"])
    rows = [passage("LAW_1_제5조_①", "본문", family=family(False))]
    generated, generated_qrels, _ = synthetic_queries(
        corpus(*rows), Fixed({"LAW_1_제5조_①": [held + "?", "은행이 꼭 지켜야 하는 것은 무엇인가요?"]})
    )
    generated = generated.with_columns(set=pl.lit("train"))
    queries, kept = training_queries(labelled, qrels, generated, generated_qrels, "finance")
    assert queries["query_id"].to_list() == ["Q_SYN_LAW_1_제5조_①_2", "a", "c"]
    assert set(kept["query_id"]) == set(queries["query_id"])
    without, _ = training_queries(
        labelled, qrels, generated, generated_qrels, "finance", TrainingConfig(synthetic=False)
    )
    assert without["query_id"].to_list() == ["a", "c"]
    with pytest.raises(LexError, match="no training queries"):
        training_queries(labelled, qrels, None, None, "precedent")
