"""Citations to exact articles of the corpus, with the version rules, as one table: the citation graph.

Here: which article a citation means on the day it was written, or why none. Not here: reading the strings (`parse`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import polars as pl

from lex_assets.citations.parse import (
    Citation,
    Setting,
    act_name,
    case_numbers,
    defined_names,
    parse_citations,
    parse_in_text,
)
from lex_assets.passages.ids import article_id
from lex_assets.schemas import CITATIONS, DECISION_TYPES, STATUTE_TYPES, Document, Unit

OldVersions = Literal["refuse", "same_number"]
REASONS = {
    "resolved": "points at an article or decision of the corpus",
    "current_note": "resolved through the decision's own (현행 … 참조)",
    "old_version": "구 … (… 개정되기 전의 것) without (현행 … 참조): today's text is another version",
    "renumbered": "written before the law's earliest addendum: the number meant another article",
    "repealed": "the source says (현행 삭제), or the article is deleted today",
    "addendum": "an article of the 부칙",
    "unknown_law": "the law is not in the corpus",
    "no_such_article": "the law is in the corpus, the article is not",
    "unknown_decision": "the decision is not in the corpus",
}
"""Values of `citations.reason` and what they mean."""

_CIRCLED = {str(n + 1): chr(0x2460 + n) for n in range(20)}
_CIRCLED |= {str(n): chr(0x3251 + n - 21) for n in range(21, 36)} | {
    str(n): chr(0x32B1 + n - 36) for n in range(36, 51)
}


@lru_cache(maxsize=1 << 14)
def law_key(name: str) -> str:
    """A law's name without what its writers vary: spaces, quotation marks and the form of the middle dot."""
    return re.sub(r"[\s「」‘’“”\"']", "", name).translate({ord(dot): "ㆍ" for dot in "·‧・･•"})


@dataclass
class ArticleIndex:
    """Laws by name, articles and paragraphs by number, decisions by docket number."""

    laws: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    passages: dict[str, list[str]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_corpus(cls, documents: pl.DataFrame, corpus: pl.DataFrame) -> ArticleIndex:
        """Index of `documents` (names, deleted articles, dockets) whose passages are in `corpus`."""
        return cls.build((Document.from_row(row) for row in documents.iter_rows(named=True)), corpus)

    @classmethod
    def build(cls, documents: Iterable[Document], corpus: pl.DataFrame) -> ArticleIndex:
        """As `from_corpus`, for documents that are parsed already."""
        parents = corpus.sort("passage_id").group_by("parent_id", maintain_order=True).agg("passage_id")
        index = cls(passages=dict(parents.iter_rows()))
        for document in sorted(documents, key=lambda d: (d.source_type != "law", d.doc_id)):
            if document.source_type in DECISION_TYPES:
                index._add_decision(document)
            elif document.source_type in STATUTE_TYPES:
                index._add_law(document)
        return index

    def _add_decision(self, document: Document) -> None:
        for number in case_numbers(document.version):
            self.decisions.setdefault(number, document.doc_id)

    def _add_law(self, document: Document) -> None:
        for name in filter(None, [document.title, document.abbreviation, document.meta.get("former_title", "")]):
            self.laws.setdefault(law_key(name), document.doc_id)
        self.titles[document.doc_id] = document.title
        self.since[document.doc_id] = in_force_since(document)
        self.deleted |= {
            article_id(document.doc_id, u.number) for u in document.tree.walk() if u.kind == "조" and u.deleted
        }

    def article(
        self, citation: Citation, written: str = "", old_versions: OldVersions = "refuse"
    ) -> tuple[str | None, str]:
        """(parent id, reason) of a cited article; `written`: YYYYMMDD of the citing text, "" for one in force today."""
        doc_id = self.laws.get(law_key(citation.law))
        if citation.reason in ("addendum", "repealed"):
            return None, citation.reason
        if doc_id is None:
            return None, "unknown_law"
        if citation.reason == "old_version" and old_versions == "refuse":
            return None, "old_version"
        meant = citation.as_of or written
        if meant and meant < self.since.get(doc_id, ""):
            return None, "renumbered"
        parent = article_id(doc_id, citation.article)
        if parent not in self.passages:
            return None, "repealed" if parent in self.deleted else "no_such_article"
        return parent, "current_note" if citation.current else "resolved"

    def paragraph(self, parent: str, number: str | None) -> list[str]:
        """Passages of the named 항 of an article: one, or its pieces when split at 호; [] when it is not there."""
        prefix = f"{parent}_{_CIRCLED.get(number or '', number)}"
        return [p for p in self.passages.get(parent, []) if p == prefix or p.startswith(prefix + "_")] if number else []

    def same_number(self, text: str, written: str = "") -> list[str]:
        """Today's articles with the numbers that old-version citations name: near misses, never labels."""
        found = (self.article(citation, written, "same_number")[0] for citation in parse_citations(text))
        return [parent for parent in found if parent]

    def lookup(self, text: str) -> list[str]:
        """Passage ids of a citation as people write it: "민법 제839조의2", "자본시장법 제9조 제1항"; [] if unknown."""
        found: list[str] = []
        for citation in parse_citations(text):
            parent, _ = self.article(citation)
            if parent:
                found += self.paragraph(parent, citation.paragraph) or self.passages[parent]
        return list(dict.fromkeys(found))


_QUOTED = re.compile(r"「([^「」]{2,80})」")
_OLD_LAW = re.compile(r"(?<![가-힣])구 ?「")
# In running text a docket number is known by what is before it: `12조제3항` and `2024년5월` look alike.
_DOCKETS = re.compile(r"(?:선고|\d\. ?자|헌재 [\d. ]{6,16}) (\d{2,4}[가-힣]{1,3}\d+(?:, ?\d[\d가-힣]*)*)")
_UNQUOTED = re.compile(
    r"(?<![가-힣ㆍ·「])((?:[가-힣ㆍ·]+ ){1,9}(?!(?:[동본이위그]|같은|현행|관련)법)[가-힣]+(?:법|법률))(?=(?: 시행령| 시행규칙)? ?제\d)"
)
_ENACTED = re.compile(r"(\d{4})[.년] ?(\d{1,2})[.월] ?(\d{1,2})")
_DELAY = re.compile(r"공포\s?후\s?(\d+)\s?(년|개월|월|일)")


def in_force_since(document: Document) -> str:
    """YYYYMMDD since which the law's article numbers mean what they mean today; "" when no addendum says it.

    law.go.kr lists addenda back to the last enactment or complete revision, so the earliest one dates the numbering;
    its first lines say how long after promulgation it took effect.
    """
    addenda = [(date, u) for u in document.tree.walk() if u.kind == "부칙" and (date := _promulgated(u))]
    if not addenda:
        return str(document.meta.get("first_promulgated", ""))
    date, unit = min(addenda, key=lambda pair: pair[0])
    delay = _DELAY.search(_all_text(unit)[:300])
    return _later(date, int(delay[1]), delay[2]) if delay else date


def _promulgated(unit: Unit) -> str:
    """The addendum's own date, wherever its reader put it."""
    for value in (unit.meta.get("promulgated", ""), unit.effective_date, unit.number):
        if re.fullmatch(r"\d{8}", str(value)):
            return str(value)
    match = _ENACTED.search(f"{unit.title} {unit.text[:60]}")
    return f"{match[1]}{int(match[2]):02d}{int(match[3]):02d}" if match else ""


def _later(date: str, count: int, unit: str) -> str:
    """`date` plus a statutory delay, to the month (days count as none: they never span a decision's citation style)."""
    months = int(date[:4]) * 12 + int(date[4:6]) - 1 + {"년": 12 * count, "개월": count, "월": count}.get(unit, 0)
    return f"{months // 12:04d}{months % 12 + 1:02d}{date[6:]}"


def _all_text(unit: Unit) -> str:
    return "\n".join(part for u in unit.walk() for part in (u.text,) if part)


Row = dict[str, Any]


def _row(
    source: str, doc_id: str, kind: str, issue: int, raw: str, target: str | None, passage: str | None, why: str
) -> Row:
    values = (source, doc_id, kind, issue, raw[:300], target, passage, why)
    return dict(zip(CITATIONS.names, values, strict=True))


def _article_row(
    index: ArticleIndex, citation: Citation, source: tuple[str, str, str, int], written: str, old: OldVersions
) -> Row:
    parent, reason = index.article(citation, written, old)
    named = index.paragraph(parent, citation.paragraph) if parent else []
    return _row(*source, citation.raw, parent, named[0] if named else None, reason)


def _decision_rows(index: ArticleIndex, document: Document, old: OldVersions) -> Iterator[Row]:
    """참조조문 and 참조판례 of one decision, by issue number."""
    law = ""
    for unit in document.tree.children:
        issue = int(unit.number) if unit.number.isdigit() else 0
        source = f"{document.doc_id}#{issue}"
        if unit.kind == "cited_articles":
            for citation in parse_citations(unit.text, law):
                law = citation.law
                where = (source, document.doc_id, "article", issue)
                yield _article_row(index, citation, where, document.effective_date, old)
        elif unit.kind == "cited_decisions":
            for number in case_numbers(unit.text):
                target = index.decisions.get(number)
                reason = "resolved" if target else "unknown_decision"
                yield _row(source, document.doc_id, "decision", issue, number, target, None, reason)


def setting_of(document: Document) -> Setting:
    """What 법, 영 and defined short names mean inside a statute or rule."""
    act = document.meta.get("parent_title") or act_name(document.title)
    aliases = {"법": act, "영": f"{act} 시행령", "시행령": f"{act} 시행령", "규칙": f"{act} 시행규칙"}
    opening = "\n".join(_all_text(u) for _, u in zip(range(3), _articles(document.tree), strict=False))
    return Setting(document.title, aliases | defined_names(opening))


def _articles(tree: Unit) -> Iterator[Unit]:
    return (u for u in tree.walk() if u.kind == "조" and not u.deleted)


def _units(document: Document) -> Iterator[tuple[str, str]]:
    """(id, text) of each 항, and of each article without 항."""
    for article in _articles(document.tree):
        parent = article_id(document.doc_id, article.number)
        paragraphs = [u for u in article.children if u.kind == "항" and u.number]
        if not paragraphs:
            yield parent, _all_text(article)
            continue
        if article.text:
            yield parent, article.text
        yield from ((f"{parent}_{u.number}", _all_text(u)) for u in paragraphs if not u.deleted)


def _statute_rows(index: ArticleIndex, document: Document) -> Iterator[Row]:
    """Citations in the text of a statute or rule; a decree's references to its own act are its delegation."""
    setting = setting_of(document)
    act = index.laws.get(law_key(setting.aliases["법"]))
    for source, text in _units(document):
        own = "_".join(source.split("_")[:3])
        seen: set[tuple[str, str | None, str | None]] = set()
        for citation in parse_in_text(text, setting):
            key = (law_key(citation.law), citation.article, citation.paragraph)
            if key in seen:
                continue
            seen.add(key)
            row = _article_row(index, citation, (source, document.doc_id, "in_text", 0), "", "refuse")
            target = row["target_parent_id"]
            if target == own:
                continue
            to_act = target and act and act != document.doc_id and target.startswith(f"{act}_")
            yield row | ({"kind": "delegation"} if to_act else {})


def _interpretation_rows(index: ArticleIndex, document: Document) -> Iterator[Row]:
    """Articles and decisions that a reply names: under the question's number, those of the reason under 0."""
    setting = _reply_setting(document)
    for unit in document.tree.children:
        issue = int(unit.number) if unit.kind in ("question", "answer") and unit.number.isdigit() else 0
        source = (f"{document.doc_id}#{issue}", document.doc_id)
        cites = unit.kind == "cited_articles"
        for citation in parse_citations(unit.text) if cites else parse_in_text(_quoted(unit.text, index), setting):
            if citation.law:
                yield _article_row(index, citation, (*source, "article", issue), document.effective_date, "refuse")
        for number in (n for dockets in _DOCKETS.findall(unit.text) for n in case_numbers(dockets)):
            target = index.decisions.get(number)
            reason = "resolved" if target else "unknown_decision"
            yield _row(*source, "decision", issue, number, target, None, reason)


def _reply_setting(document: Document) -> Setting:
    """An article without a law's name is one of the reply's act, but only where no other act is spoken of."""
    text, act = _all_text(document.tree), document.meta.get("parent_title", "")
    acts = {act_name(" ".join(law.split())) for law in _QUOTED.findall(text)}
    aliases = setting_of(document).aliases if act else {}
    return Setting(act if acts <= {act} else "", {**aliases, **defined_names(text)})


def _quoted(text: str, index: ArticleIndex) -> str:
    """`text` with 「」 around names of several words that have none: as much of them as is a law's name. A `구 「…」` becomes
    the name of a law that is not there."""

    def quote(match: re.Match[str]) -> str:
        words = match[1].split(" ")
        known = (n for n in range(len(words)) if law_key(" ".join(words[n:])) in index.laws)
        start = next(known, 0)
        return " ".join([*words[:start], f"「{' '.join(words[start:])}」"])

    return _UNQUOTED.sub(quote, _OLD_LAW.sub("「구 ", text))


def citation_graph(documents: pl.DataFrame, corpus: pl.DataFrame, old_versions: OldVersions = "refuse") -> pl.DataFrame:
    """Every citation of every document with its target or the reason for none, as a CITATIONS frame.

    old_versions: "refuse" leaves 구 … (개정되기 전의 것) without target; "same_number" points it at today's article of
    that number when the law has not been renumbered since.
    """
    parsed = [Document.from_row(row) for row in documents.iter_rows(named=True)]
    index = ArticleIndex.build(parsed, corpus)
    return graph_of(parsed, index, old_versions)


def graph_of(documents: Iterable[Document], index: ArticleIndex, old_versions: OldVersions = "refuse") -> pl.DataFrame:
    """As `citation_graph`, for parsed documents and an index that exists already."""
    rows: list[Mapping[str, Any]] = []
    for document in documents:
        if document.source_type in DECISION_TYPES:
            rows += _decision_rows(index, document, old_versions)
        elif document.source_type in STATUTE_TYPES:
            rows += _statute_rows(index, document)
        elif document.source_type == "interpretation":
            rows += _interpretation_rows(index, document)
    return CITATIONS.frame(rows).unique(maintain_order=True)
