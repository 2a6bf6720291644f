"""Abbreviations and former names: what they lead to, and that the packaged table contradicts nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lex_assets.citations.names import FormerName, OtherNames, law_key, same_law
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import ArticleIndex
from lex_assets.schemas import LexError
from lex_assets_tests.world import BANKING, DECREE, TENANCY, frames

NAMES = OtherNames(
    {law_key(TENANCY.title): ("주임법",)},
    {law_key(TENANCY.title): (FormerName("주택 임대차에 관한 법률", "20120301"),)},
)


@pytest.fixture(scope="module")
def index() -> ArticleIndex:
    documents = [TENANCY, DECREE, BANKING]
    return ArticleIndex.build(documents, frames(*documents)[1], NAMES)


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("주임법 제3조", "20200101", ("LAW_000001_제3조", "resolved")),
        ("주임법 시행령 제3조", "", ("LAW_000002_제3조", "resolved")),
        ("주택임대차에관한법률 제3조", "20100101", ("LAW_000001_제3조", "resolved")),
        ("주택임대차에관한법률시행령 제2조", "", ("LAW_000002_제2조", "resolved")),
        ("주임령 제3조", "", (None, "unknown_law")),
    ],
)
def test_names(index: ArticleIndex, text: str, written: str, expected: tuple[str | None, str]) -> None:
    (citation,) = parse_citations(text)
    assert index.article(citation, written) == expected


def test_a_former_name_means_the_law_before_it_was_renamed() -> None:
    names = OtherNames({}, {law_key(BANKING.title): (FormerName("예금법", "20180601"),)})
    index = ArticleIndex.build([BANKING], frames(BANKING)[1], names)
    (citation,) = parse_citations("예금법 제5조")
    assert index.article(citation, "20240101") == (None, "renumbered"), "renamed by a complete revision in force later"


def test_the_packaged_table_is_unambiguous() -> None:
    names = OtherNames.load()
    short = Counter(law_key(name) for all_names in names.abbreviations.values() for name in all_names)
    former = Counter(law_key(name.name) for all_names in names.former.values() for name in all_names)
    assert [name for name, count in (short + former).items() if count > 1 and short[name] + former[name] > 1] == []
    assert not set(short) & set(names.abbreviations), "an abbreviation is no official name"
    assert not set(former) & set(names.former), "a former name is no official name"


@pytest.mark.parametrize(
    ("short", "law"),
    [
        ("자본시장법", "자본시장과 금융투자업에 관한 법률"),
        ("특금법", "특정 금융거래정보의 보고 및 이용 등에 관한 법률"),
        ("금소법", "금융소비자 보호에 관한 법률"),
        ("정통망법", "정보통신망 이용촉진 및 정보보호 등에 관한 법률"),
        ("부경법", "부정경쟁방지 및 영업비밀보호에 관한 법률"),
        ("국계법", "국가를 당사자로 하는 계약에 관한 법률"),
        ("헌법", "대한민국헌법"),
    ],
)
def test_well_known_abbreviations(short: str, law: str) -> None:
    assert short in OtherNames.load().abbreviations[law_key(law)]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("abbreviations: {}", "former"),
        ("abbreviations: {}\nformer: {은행법: {옛 은행법: 1998}}", "1998"),
        ("- 은행법", "list"),
        (":", "faulty"),
    ],
)
def test_a_faulty_table_is_named(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(text)
    with pytest.raises(LexError, match=cause) as raised:
        OtherNames.load(path)
    assert str(path) in str(raised.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(LexError, match=r"nowhere\.yaml"):
        OtherNames.load(tmp_path / "nowhere.yaml")


def test_same_law() -> None:
    assert same_law("은행법 시행령", "법") == "은행법"
    assert same_law("은행법", "영") == "은행법 시행령"
    assert same_law("은행업감독규정", "규정") == "은행업감독규정"
    assert same_law("가족관계의 등록 등에 관한 규칙", "규칙") == "가족관계의 등록 등에 관한 규칙"
