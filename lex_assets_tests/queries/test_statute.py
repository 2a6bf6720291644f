"""Questions in statute wording: a provision's own, and that of one that cites another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lex_assets.queries.filters import SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.llm_questions import QuestionConfig
from lex_assets.queries.rules import RuleGenerator
from lex_assets.queries.split import SplitConfig
from lex_assets.queries.synthetic import Synthetic, synthetic_queries
from lex_assets.queries.writing import LanguageModels, QuestionWriting, WritingConfig
from lex_assets.schemas import CITATIONS, PASSAGES, LexError

ALL_TRAIN = SplitConfig(train=1, valid=0, promotion=0, test=0, held_out=0)


def provision(law: int, number: str, title: str, text: str, unit: str = "항") -> dict[str, str]:
    parent = f"LAW_{law}_{number}"
    named = {"passage_id": f"{parent}_①", "parent_id": parent, "doc_id": f"LAW_{law}", "equivalence_id": f"{parent}_①"}
    values = {"context": f"가나{law}금융법 > {number}({title})", "text": text, "unit": unit, "source_type": "law"}
    return dict.fromkeys(PASSAGES.names, "") | named | values | {"domain": "finance", "family": f"가나{law}금융법"}


LENDING = provision(
    1, "제34조", "신용공여의 한도", "① 은행은 동일한 차주에게 자기자본의 100분의 25를 넘는 신용공여를 할 수 없다."
)
BRANCH = provision(
    1,
    "제34조의2",
    "임직원의 대출",
    "① 은행은 그 은행의 임직원에게 대통령령으로 정하는 금액을 넘겨 돈을 대출할 수 없다.",
)
PENALTY = provision(
    1,
    "제69조",
    "과태료의 부과",
    "① 다음 각 호의 어느 하나에 해당하는 자에게는 1억원 이하의 과태료를 부과한다.\n"
    "1. 제34조제1항을 위반하여 한도를 넘는 신용공여를 한 은행\n2. 제34조의2를 위반하여 은행의 임직원에게 대출을 한 은행\n"
    "3. 감독을 위하여 하는 자료의 제출 요구와 현장의 검사를 거부하거나 방해하거나 기피하여 감독을 어렵게 한 은행의 임직원",
)
TABLE = PASSAGES.frame([LENDING, BRANCH, PENALTY])


def made(share: float = 0.0, pairs: tuple[tuple[dict[str, str], dict[str, str]], ...] = ()) -> Synthetic:
    return synthetic_queries(
        TABLE, RuleGenerator(9, statute_share=share, pairs=pairs), SyntheticConfig(per_passage=9), split=ALL_TRAIN
    )


def of_kind(found: Synthetic, kind: str) -> dict[str, set[str]]:
    """Question → its passages."""
    meta = pl.col("meta").str.json_path_match("$.kind")
    rows = found.queries.filter(meta == kind).join(found.qrels, on="query_id").select("text", "passage_id")
    return {text: set(rows.filter(pl.col("text") == text)["passage_id"]) for text in rows["text"]}


def test_a_provision_in_its_own_words_is_kept_although_it_is_long_and_copied() -> None:
    found = of_kind(made(share=1), "statute")
    assert {next(iter(ids)) for ids in found.values()} == set(TABLE["passage_id"])
    long = next(text for text, ids in found.items() if ids == {PENALTY["passage_id"]})
    assert long.startswith("과태료의 부과: ") and len(long) > SyntheticConfig().max_characters
    assert "제34조" not in long and "각 호" not in long
    assert not of_kind(made(), "statute"), "only where it is asked for"


def test_a_share_of_the_passages_is_drawn_the_same_on_every_machine() -> None:
    rows = [provision(law, "제34조", "신용공여의 한도", LENDING["text"]) for law in range(400)]
    drawn = [
        [one.passage_id for one in RuleGenerator(9, statute_share=share).generate(rows) if one.kind == "statute"]
        for share in (0.2, 0.5)
    ]
    assert set(drawn[0]) < set(drawn[1]) and 50 < len(drawn[0]) < 110 and 160 < len(drawn[1]) < 240


def test_the_lines_that_cite_and_the_provision_as_a_whole_ask_for_what_they_cite() -> None:
    found = of_kind(made(pairs=((PENALTY, LENDING), (PENALTY, BRANCH))), "citing")
    lines = {"한도를 넘는 신용공여를 한 은행": LENDING, "은행의 임직원에게 대출을 한 은행": BRANCH}
    expected = {text: {row["passage_id"]} for text, row in lines.items()}
    expected |= {f"과태료의 부과: {text}": ids for text, ids in expected.items()}
    whole = found.keys() - expected.keys()
    assert {text: found[text] for text in expected} == expected
    assert len(whole) == 1 and all(line in text for line in lines for text in whole)
    assert {frozenset(found[text]) for text in whole} == {frozenset([LENDING["passage_id"], BRANCH["passage_id"]])}


def test_a_line_that_cites_several_provisions_asks_for_all_of_them() -> None:
    text = PENALTY["text"].replace("제34조의2를", "제34조 및 제34조의2를")
    found = of_kind(made(pairs=((PENALTY | {"text": text}, LENDING), (PENALTY | {"text": text}, BRANCH))), "citing")
    assert found["은행의 임직원에게 대출을 한 은행"] == {LENDING["passage_id"], BRANCH["passage_id"]}


def test_what_cites_too_much_asks_for_none_of_it() -> None:
    targets = [provision(1, f"제{n}조", "업무의 제한", LENDING["text"]) for n in range(40, 45)]
    text = (
        "① "
        + ", ".join(f"제{n}조" for n in range(40, 45))
        + "에 따른 제한을 지키지 아니하고 업무를 계속한 은행의 임직원"
    )
    source = provision(1, "제70조", "벌칙의 적용", text)
    for number, asked in ((4, True), (5, False)):
        generator = RuleGenerator(9, pairs=[(source, target) for target in targets[:number]])
        assert any(one.kind == "citing" for one in generator.generate([])) is asked


def test_a_provision_of_one_line_that_cites_asks_only_for_what_it_cites() -> None:
    text = "① 은행은 제34조에 따른 한도를 넘게 된 때에는 그 사실을 지체 없이 감독기관에 알리고 한도에 맞추어야 한다."
    source = provision(1, "제36조", "한도 초과의 통지", text)
    questions = RuleGenerator(9, statute_share=1, pairs=[(source, LENDING)]).generate([source])
    wordings = [one for one in questions if one.text.startswith("한도 초과의 통지: 은행은 한도를")]
    assert [one.passage_id for one in wordings] == [LENDING["passage_id"]]


def test_pairs_come_from_the_citation_graph_where_comparisons_are_wanted() -> None:
    cited = (PENALTY["passage_id"], "LAW_1", "in_text", 0, "제34조", LENDING["parent_id"], None, "resolved")
    citations = CITATIONS.frame([dict(zip(CITATIONS.names, cited, strict=True))])

    def written(limit: int, citations: Callable[[], pl.DataFrame]) -> Synthetic:
        models, search = LanguageModels(pytest.fail, pytest.fail, pytest.fail), pytest.fail
        asked, sets = QuestionConfig(max_comparisons=limit), SourceSets(ALL_TRAIN)
        return QuestionWriting(TABLE, sets, WritingConfig(), SyntheticConfig(), asked, models, search, citations).made()

    assert list(of_kind(written(9, lambda: citations), "citing").values()) == [{LENDING["passage_id"]}] * 3
    assert not of_kind(written(0, pytest.fail), "citing"), "citations are not read where none are wanted"


def test_what_is_left_of_a_sentence_without_its_references_is_not_asked() -> None:
    hanging = provision(1, "제70조", "준용", "① 은행지주회사에 대해서는 제34조를 준용하며 세부 사항은 따로 정한다.")
    questions = RuleGenerator(9, statute_share=1, pairs=[(hanging, LENDING)]).generate([hanging])
    assert not [one for one in questions if one.kind in ("statute", "citing")]


def test_only_statutes_and_rules_word_provisions() -> None:
    context = provision(1, "제34조", "예금", LENDING["text"], unit="context")
    questions = RuleGenerator(9, statute_share=1, pairs=[(context, BRANCH)]).generate([context])
    assert not [one for one in questions if one.kind in ("statute", "citing")]


def test_difficulty_and_terms_stay_with_a_question() -> None:
    meta = [json.loads(text) for text in made(1, ((PENALTY, LENDING),)).queries["meta"]]
    citing = next(one for one in meta if one["kind"] == "citing")
    assert citing["passage_id"] == LENDING["passage_id"] and citing["difficulty"] in ("easy", "medium", "hard")
    assert {one["licence"] for one in meta} == {"CC0-1.0"}


def test_questions_that_were_written_out_are_read_with_their_kind_and_all_their_passages(tmp_path: Path) -> None:
    from lex_assets.training.prepare import GivenQuestions

    path, text = tmp_path / "questions.jsonl", "과태료의 부과: " + "한도를 넘는 신용공여를 한 은행 " * 8
    row = {"id": PENALTY["passage_id"], "text": text, "kind": "citing", "also": [LENDING["passage_id"]]}
    path.write_text(json.dumps(row), "utf-8")
    found = synthetic_queries(TABLE, GivenQuestions.read(path), split=ALL_TRAIN)
    assert of_kind(found, "citing") == {text: {PENALTY["passage_id"], LENDING["passage_id"]}}
    path.write_text(json.dumps(row | {"also": ["LAW_9_제9조_①"]}), "utf-8")
    with pytest.raises(LexError, match="LAW_9_제9조_① of a question is not in the corpus"):
        synthetic_queries(TABLE, GivenQuestions.read(path), split=ALL_TRAIN)
    path.write_text(json.dumps(row | {"also": "LAW_1_제34조_①"}), "utf-8")
    with pytest.raises(LexError, match="write a list"):
        GivenQuestions.read(path)
