from __future__ import annotations

from pathlib import Path

import pytest

from lex_assets.schemas import Document, LexError, Unit
from lex_assets.sources.domains import DomainRules


def document(source_type: str, authority: str = "", path: str = "x.json") -> Document:
    return Document("D", source_type, "t", Unit("root"), authority=authority, source_path=path)


@pytest.mark.parametrize(
    ("source_type", "authority", "domain"),
    [
        ("law", "금융위원회", "finance"),
        ("law", "법무부, 금융위원회", "finance"),
        ("law", "법무부", "law"),
        ("admin_rule", "금융정보분석원", "finance"),
        ("precedent", "대법원", "precedent"),
        ("constitutional", "헌법재판소", "precedent"),
        ("appeal", "금융위원회", "precedent"),
        ("interpretation", "금융감독원", "finance"),
        ("interpretation", "법제처", "law"),
        ("mrc", "", "finance"),
        ("pair", "", "finance"),
        ("jsonl", "", "finance"),
        ("unknown", "", None),
    ],
)
def test_packaged_rules(source_type: str, authority: str, domain: str | None) -> None:
    assert DomainRules.load().domain_of(document(source_type, authority)) == domain


def test_folder_rules_and_order(tmp_path: Path) -> None:
    path = tmp_path / "domains.yaml"
    path.write_text("rules:\n- {domain: law, folder: 'faq/*'}\n- {domain: finance}\n", encoding="utf-8")
    rules = DomainRules.load(path)
    assert rules.domain_of(document("jsonl", path="faq/a/x.jsonl")) == "law"
    assert rules.domain_of(document("jsonl", path="x.jsonl")) == "finance"


def test_may_be_skips_only_what_cannot_match() -> None:
    rules = DomainRules.load()
    assert not rules.may_be("precedent", "law")
    assert rules.may_be("precedent", "precedent")
    assert rules.may_be("law", "finance")
    assert rules.may_be("law", "law")
    assert rules.may_be("unknown", "law")


def test_formats_set_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "domains.yaml"
    path.write_text("formats: {'qa/*': record, '*.txt': pair}\nrules: [{domain: law}]", encoding="utf-8")
    rules = DomainRules.load(path).with_formats(["qa/a=b.txt=law"])
    assert [rules.format_of(name) for name in ("qa/x.txt", "x.txt", "x.json", "qa/a=b.txt")] == [
        "record", "pair", None, "law",
    ]  # fmt: skip
    for faulty in ("formats: [law]", "formats: {'*': tax}"):
        path.write_text(f"{faulty}\nrules: [{{domain: law}}]", encoding="utf-8")
        with pytest.raises(LexError, match=r"domains\.yaml.*formats"):
            DomainRules.load(path)


@pytest.mark.parametrize(
    "text", ["", "rules: 1", "rules:\n- 1", "rules:\n- {domain: tax}", "rules:\n- {domain: law, size: 1}", "rules: ["]
)
def test_faulty_rules_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "domains.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LexError, match=r"domains\.yaml"):
        DomainRules.load(path)
    with pytest.raises(LexError, match="missing"):
        DomainRules.load(tmp_path / "missing.yaml")
