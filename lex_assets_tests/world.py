"""A few invented documents for tests of citations and queries: two acts, a decree, decisions, an MRC context."""

from __future__ import annotations

import polars as pl

from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.schemas import DOCUMENTS, Document, Unit


def paragraph(mark: str, text: str) -> Unit:
    return Unit("항", mark, text=f"{mark} {text}")


def article(number: str, title: str, *parts: str, deleted: bool = False) -> Unit:
    """An article: undivided with one part, else one 항 per part."""
    if deleted:
        return Unit("조", number, deleted=True)
    if len(parts) == 1:
        return Unit("조", number, title, parts[0])
    marks = "①②③④⑤⑥"
    return Unit("조", number, title, children=[paragraph(marks[n], part) for n, part in enumerate(parts)])


def law(
    number: str, title: str, *articles: Unit, domain: str = "law", since: str = "20000101", short: str = ""
) -> Document:
    addendum = Unit("부칙", "1", "부칙", "이 법은 공포 후 6개월이 경과한 날부터 시행한다.", effective_date=since)
    family = title.removesuffix(" 시행령")
    meta = {"parent_title": family if family != title else ""}
    tree = Unit("root", children=[*articles, addendum])
    return Document(f"LAW_{number}", "law", title, tree, domain=domain, abbreviation=short, family=family, meta=meta)


def decision(serial: str, case: str, *issues: tuple[str, str, str, str], decided: str = "20150301") -> Document:
    """issues: (issue, holding, cited articles, cited decisions)."""
    kinds = ("issue", "holding", "cited_articles", "cited_decisions")
    units = [
        Unit(kind, str(number), text=text)
        for number, texts in enumerate(issues, start=1)
        for kind, text in zip(kinds, texts, strict=True)
        if text
    ]
    return Document(
        f"PREC_{serial}",
        "precedent",
        f"대법원 2015. 3. 1. 선고 {case} 판결",
        Unit("root", children=units),
        domain="precedent",
        effective_date=decided,
        version=case,
        family=f"PREC_{serial}",
        meta={"case_name": "손해배상(기)", "case_number": case},
    )


def context(number: str, text: str, *questions: tuple[str, str]) -> Document:
    units = [Unit("context", "1", text=text)]
    units += [
        Unit("question", f"{number}_{n}", text=q, meta={"question_id": f"{number}_{n}", "answer": a})
        for n, (q, a) in enumerate(questions)
    ]
    return Document(
        f"MRC_{number}", "mrc", "기사", Unit("root", children=units), domain="finance", family=f"MRC_{number}"
    )


def frames(*documents: Document) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(documents, corpus)."""
    table = DOCUMENTS.frame(document.row() for document in documents).sort("doc_id")
    return table, build_corpus([build_passages(table)])


TENANCY = law(
    "000001",
    "주거임대차 보호법",
    article("1", "목적", "이 법은 임차인의 주거 안정을 보장함을 목적으로 한다."),
    article(
        "3",
        "대항력",
        "임차인은 주택을 인도받고 전입신고를 마친 다음 날부터 제삼자에게 대항할 수 있다.",
        "임차주택의 양수인은 임대인의 지위를 승계한 것으로 본다.",
    ),
    article("3의2", "보증금의 회수", "임차인은 경매에서 후순위권리자보다 우선하여 보증금을 변제받을 권리가 있다."),
    article("4", "", deleted=True),
    article(
        "10",
        "계약의 해지",
        "임차인은 언제든지 계약해지를 통지할 수 있다. 다만, 3개월이 지나야 효력이 생긴다.",
        "임대인은 통지를 받은 날부터 14일 이내에 그 사실을 관할 관청에 신고하여야 한다.",
    ),
    short="주택임대차법",
)
DECREE = law(
    "000002",
    "주거임대차 보호법 시행령",
    article(
        "2", "신고의 방법", '법 제10조제2항에 따라 신고를 하려는 자는 "대통령령으로 정하는 서류"를 제출하여야 한다.'
    ),
    article(
        "3", "우선변제", "법 제3조의2에 따른 권리와 「은행 영업법」 제5조에 따른 예금의 관계는 같은 법 제6조에 따른다."
    ),
)
BANKING = law(
    "000003",
    "은행 영업법",
    article("5", "예금의 반환", "은행은 예금자의 청구가 있으면 지체 없이 예금을 반환하여야 한다."),
    article("6", "비밀의 유지", "은행의 임직원은 거래 정보를 누설하여서는 아니 된다."),
    domain="finance",
    since="20180601",
)
