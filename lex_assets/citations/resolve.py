"""Citations to exact articles of the corpus, with the version rules, as one table: the citation graph.

Here: which article a citation means on the day it was written, or why none. Not here: reading the strings (`parse`).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import polars as pl

from lex_assets.citations.in_text import Setting, defined_names, parse_in_text
from lex_assets.citations.names import OtherNames, act_name, decree_suffix, law_key
from lex_assets.citations.parse import case_numbers, parse_citations
from lex_assets.citations.units import Citation, order
from lex_assets.passages.ids import article_id
from lex_assets.schemas import CITATIONS, DECISION_TYPES, STATUTE_TYPES, Document, Unit

OldVersions = Literal["refuse", "same_number"]
REASONS = {
    "resolved": "points at an article, a 별표 or a decision of the corpus",
    "current_note": "resolved through the decision's own (현행 … 참조)",
    "no_such_paragraph": "the article has no 항 of that number today; the citation points at the whole article",
    "noted": "구 … with (현행 … 참조): the article that the note names stands for it",
    "old_version": "구 … (… 개정되기 전의 것) without (현행 … 참조): today's text is another version",
    "renumbered": "written before the law's earliest addendum took effect: the number meant another article",
    "inserted_later": "written before today's article of that number was inserted or moved there (본조신설, 이동)",
    "repealed": "the source says (현행 삭제) or (… 폐지), or the article is deleted today",
    "addendum": "an article of the 부칙",
    "no_article": "names a law without an article of it",
    "unknown_law": "the law is not in the corpus",
    "no_such_article": "the law is in the corpus, the article or 별표 is not",
    "unknown_decision": "the decision is not in the corpus",
}
"""Values of `citations.reason` and what they mean."""

MAX_RANGE = 60
"""Longest range (제1조부터 제60조까지) of which every article is taken; of longer ones the two ends are."""

_CIRCLED = {str(n + 1): chr(0x2460 + n) for n in range(20)}
_CIRCLED |= {str(n): chr(0x3251 + n - 21) for n in range(21, 36)} | {
    str(n): chr(0x32B1 + n - 36) for n in range(36, 51)
}
_PARAGRAPHS = {sign: number for number, sign in _CIRCLED.items()}


class Target(NamedTuple):
    """Where a citation points: an article, the passage in it when a 항 or 호 is named, and the reason for that or for
    nothing (a key of REASONS)."""

    parent: str | None
    passage: str | None
    reason: str


@dataclass
class ArticleIndex:
    """Laws by name, articles and paragraphs by number, decisions by docket number."""

    laws: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    until: dict[str, str] = field(default_factory=dict)
    inserted: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    numbers: dict[str, list[str]] = field(default_factory=dict)
    passages: dict[str, list[str]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_corpus(cls, documents: pl.DataFrame, corpus: pl.DataFrame) -> ArticleIndex:
        """Index of `documents` (names, deleted articles, dockets) whose passages are in `corpus`."""
        return cls.build((Document.from_row(row) for row in documents.iter_rows(named=True)), corpus)

    @classmethod
    def build(
        cls, documents: Iterable[Document], corpus: pl.DataFrame, names: OtherNames | None = None
    ) -> ArticleIndex:
        """As `from_corpus`, for documents that are parsed already. names: the packaged abbreviations by default."""
        index = cls(passages=_in_force(corpus))
        for document in sorted(documents, key=lambda d: (d.source_type != "law", d.doc_id)):
            if document.source_type in DECISION_TYPES:
                index._add_decision(document)
            elif document.source_type in STATUTE_TYPES:
                index._add_law(document)
        index._add_names(names or OtherNames.load())
        return index

    def _add_decision(self, document: Document) -> None:
        for number in case_numbers(document.version):
            self.decisions.setdefault(number, document.doc_id)

    def _add_law(self, document: Document) -> None:
        for name in filter(None, [document.title, document.abbreviation, document.meta.get("former_title", "")]):
            self.laws.setdefault(law_key(name), document.doc_id)
        self.titles[document.doc_id] = document.title
        self.since[document.doc_id] = in_force_since(document)
        articles = [u for u in document.tree.walk() if u.kind == "조"]
        self.deleted |= {article_id(document.doc_id, u.number) for u in articles if u.deleted}
        live = {u.number: u for u in articles if not u.deleted}
        self.numbers[document.doc_id] = sorted(live, key=order)
        self.inserted |= {article_id(document.doc_id, n): date for n, u in live.items() if (date := _inserted(u))}

    def _add_names(self, names: OtherNames) -> None:
        """Abbreviations and former names of the laws that are here; decrees take those of their act."""
        for doc_id, title in self.titles.items():
            act, suffix = law_key(act_name(title)), decree_suffix(title)
            for short in names.abbreviations.get(act, ()):
                self.laws.setdefault(law_key(short + suffix), doc_id)
            for former in names.former.get(act, ()):
                key = law_key(former.name + suffix)
                if self.laws.setdefault(key, doc_id) == doc_id and key != law_key(title):
                    self.until.setdefault(key, former.until)

    def article(
        self, citation: Citation, written: str = "", old_versions: OldVersions = "refuse"
    ) -> tuple[str | None, str]:
        """(parent id, reason) of a cited article or 별표; `written`: YYYYMMDD of the citing text, "" for today's."""
        key = law_key(citation.law)
        doc_id = self.laws.get(key)
        if citation.reason in ("addendum", "repealed", "noted"):
            return None, citation.reason
        if doc_id is None:
            return None, "unknown_law"
        if citation.reason and not (citation.reason == "old_version" and old_versions == "same_number"):
            return None, citation.reason
        meant = citation.as_of or min(filter(None, (written, self.until.get(key, ""))), default="")
        if meant and meant < self.since.get(doc_id, ""):
            return None, "renumbered"
        parent = f"{doc_id}_별표{citation.article}" if citation.part else article_id(doc_id, citation.article)
        if parent not in self.passages:
            return None, "repealed" if parent in self.deleted else "no_such_article"
        if meant and not citation.current and meant < self.inserted.get(parent, ""):
            return None, "inserted_later"
        return parent, "current_note" if citation.current else "resolved"

    def targets(self, citation: Citation, written: str = "", old_versions: OldVersions = "refuse") -> list[Target]:
        """What a citation points at, at least one: more for a range, of which every unit of today is one."""
        found: list[Target] = []
        for one in self._articles(citation) if citation.until else (citation,):
            parent, reason = self.article(one, written, old_versions)
            if parent is None:
                found.append(Target(None, None, reason))
                continue
            passages = self.point(parent, one)
            if not passages and one.paragraph and self._divided(parent):
                reason = "no_such_paragraph"
            found += [Target(parent, passage, reason) for passage in passages] or [Target(parent, None, reason)]
        return found

    def _articles(self, citation: Citation) -> list[Citation]:
        """The articles of a range, branches between its ends included; the citation itself when it is one of 항 or 호."""
        if citation.level != "article" or citation.part:
            return [citation]
        ends = [citation.article, citation.until or ""]
        numbers = self.numbers.get(self.laws.get(law_key(citation.law), ""), [])
        between = numbers[
            bisect_right(numbers, order(ends[0]), key=order) : bisect_left(numbers, order(ends[1]), key=order)
        ]
        spelled = [ends[0], *between, ends[1]] if len(between) + 2 <= MAX_RANGE else ends
        return [citation._replace(article=number, until=None) for number in spelled]

    def _divided(self, parent: str) -> bool:
        return any(_PARAGRAPHS.get(_segments(parent, passage)[0]) for passage in self.passages[parent])

    def point(self, parent: str, citation: Citation) -> list[str]:
        """Passages of the named 항 and 호 of an article, those that hold a range of them; [] when none is named or there.

        A 항 that was split at its 호 has several passages; a 호 is in the last one that starts at or before it.
        """
        passages = self.passages.get(parent, [])
        if citation.paragraph:
            wanted = _counted(citation.paragraph, citation.until if citation.level == "paragraph" else None)
            passages = [p for p in passages if _PARAGRAPHS.get(_segments(parent, p)[0]) in wanted]
        if citation.item and citation.part != "별표":
            return _holding(parent, passages, citation)
        return passages if citation.paragraph else []

    def same_number(self, text: str, written: str = "") -> list[str]:
        """Today's articles with the numbers that old-version citations name: near misses, never labels."""
        found = (self.article(citation, written, "same_number")[0] for citation in parse_citations(text))
        return [parent for parent in found if parent]

    def lookup(self, text: str, as_of: str = "") -> list[tuple[Citation, list[Target]]]:
        """What a citation as people write it means: "민법 제839조의2", "자본시장법 제9조 제1항"."""
        return [(citation, self.targets(citation, as_of)) for citation in parse_citations(text)]


_MARKED = r"\[(?:종전 )?시행일: [^\[\]]*\]$"


def _in_force(corpus: pl.DataFrame) -> dict[str, list[str]]:
    """Passages by parent; pending and superseded versions only where a parent has no other."""
    marked = corpus.select("parent_id", "passage_id", later=pl.col("citation").str.contains(_MARKED))
    taken = marked.filter(~pl.col("later") | pl.col("later").all().over("parent_id")).sort("passage_id")
    return dict(taken.group_by("parent_id", maintain_order=True).agg("passage_id").iter_rows())


_VERSION = re.compile(r"[@#]\d+")


def unversioned(passage_id: str) -> str:
    """The id without the mark of a version (@20260101) or of a repetition (#2)."""
    return _VERSION.sub("", passage_id)


def _segments(parent: str, passage: str) -> list[str]:
    """What a passage id adds to its article's: LAW_1_제2조_①_3. → ["①", "3."]; an undivided article adds nothing."""
    return unversioned(passage).removeprefix(parent).removeprefix("_").split("_")


def _counted(first: str, last: str | None) -> set[str]:
    if not last or not (first.isdigit() and last.isdigit()):
        return {first}
    return {str(number) for number in range(int(first), min(int(last), int(first) + MAX_RANGE) + 1)}


def _holding(parent: str, passages: list[str], citation: Citation) -> list[str]:
    """The passages that hold the named 호 among those of its 항, in the order of the law."""
    starts: list[tuple[tuple[int, ...], str]] = []
    for passage in passages:
        segments = _segments(parent, passage)
        item = segments[1:2] if segments[0] in _PARAGRAPHS else segments[:1]
        starts.append((order(item[0]) if item and item[0][:1].isdigit() else (), passage))
    starts.sort()
    low = order(citation.item or "")
    high = order(citation.until) if citation.until and citation.level == "item" else low
    first = max((place for place, (start, _) in enumerate(starts) if start <= low), default=0)
    reach = starts[first][0] if starts else ()
    return [passage for start, passage in starts if reach <= start <= high]


_QUOTED = re.compile(r"「([^「」]{2,80})」")
# In running text a docket number is known by what is before it: `12조제3항` and `2024년5월` look alike.
_DOCKETS = re.compile(r"(?:선고|\d\. ?자|헌재 [\d. ]{6,16}) (\d{2,4}[가-힣]{1,3}\d+(?:, ?\d[\d가-힣]*)*)")
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


_INSERTED = re.compile(r"(?:본조신설|이동)\s?<?(\d{4})\.\s?(\d{1,2})\.\s?(\d{1,2})")


def _inserted(article: Unit) -> str:
    """YYYYMMDD of the note [본조신설 2025.5.20] or [제14조에서 이동 <2025.5.20>] behind an article; "" without one."""
    return max((_yyyymmdd(match) for match in _INSERTED.finditer(str(article.meta.get("note", "")))), default="")


def _yyyymmdd(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]):02d}{int(match[3]):02d}"


def _promulgated(unit: Unit) -> str:
    """The addendum's own date, wherever its reader put it."""
    for value in (unit.meta.get("promulgated", ""), unit.effective_date, unit.number):
        if re.fullmatch(r"\d{8}", str(value)):
            return str(value)
    match = _ENACTED.search(f"{unit.title} {unit.text[:60]}")
    return _yyyymmdd(match) if match else ""


def _later(date: str, count: int, unit: str) -> str:
    """`date` plus a statutory delay, to the month (days count as none: they never span a decision's citation style)."""
    months = int(date[:4]) * 12 + int(date[4:6]) - 1 + {"년": 12 * count, "개월": count, "월": count}.get(unit, 0)
    return f"{months // 12:04d}{months % 12 + 1:02d}{date[6:]}"


def _all_text(unit: Unit) -> str:
    return "\n".join(part for u in unit.walk() for part in (u.text,) if part)


Row = tuple[str, str, str, int, str, str | None, str | None, str]
"""A row of CITATIONS, in the order of its columns."""


def _decision_rows(index: ArticleIndex, document: Document, old: OldVersions) -> Iterator[Row]:
    """참조조문 and 참조판례 of one decision, by issue number. A law's name never carries over from another decision."""
    law = ""
    for unit in document.tree.children:
        issue = int(unit.number) if unit.number.isdigit() else 0
        source = f"{document.doc_id}#{issue}"
        if unit.kind == "cited_articles":
            for citation in parse_citations(unit.text, law):
                law = citation.law
                where = (source, document.doc_id, "article", issue)
                for target in index.targets(citation, document.effective_date, old):
                    yield *where, citation.label, *target
        elif unit.kind == "cited_decisions":
            for number in case_numbers(unit.text):
                found = index.decisions.get(number)
                reason = "resolved" if found else "unknown_decision"
                yield source, document.doc_id, "decision", issue, number, found, None, reason


def setting_of(document: Document, above: Mapping[str, Setting] | None = None) -> Setting:
    """What 법, 영, 규정 and defined short names mean inside a statute or rule.

    above: settings of rules by `law_key`, for detailed rules (세칙) that take 법 and 영 from the rule they implement.
    """
    opening = [_all_text(unit) for _, unit in zip(range(3), _articles(document.tree), strict=False)]
    defined = defined_names("\n".join(opening))
    act = act_name(document.title)
    if document.source_type == "admin_rule":
        act = document.meta.get("parent_title") or _act_of_purpose(opening)
    rule = (above or {}).get(law_key(defined.get("규정", "")))
    aliases = aliases_of(act) if act else dict(rule.aliases) if rule else {}
    return Setting(document.title, aliases | defined)


_QUOTED_ACT = re.compile(r"「([^」]{2,80}(?:법|법률))」")


def _act_of_purpose(opening: list[str]) -> str:
    """The act named first in a rule's first article: 이 규정은 「…법률」 및 같은 법 시행령에서 위임하는 사항을 ….; else ""."""
    match = _QUOTED_ACT.search(opening[0]) if opening else None
    return match[1] if match else ""


def aliases_of(title: str) -> dict[str, str]:
    """What 법, 영 and 규칙 mean in an act, its decree and its rule."""
    act = act_name(title)
    return {"법": act} | {short: f"{act} {decree}" for short, decree in _DECREES.items()}


_DECREES = {"영": "시행령", "시행령": "시행령", "규칙": "시행규칙", "시행규칙": "시행규칙"}


def _articles(tree: Unit) -> Iterator[Unit]:
    return (u for u in tree.walk() if u.kind == "조" and not u.deleted)


_NEAREST = 9
"""Articles before one that 전9조 can reach back to."""


def _units(document: Document, setting: Setting) -> Iterator[tuple[str, str, Setting]]:
    """(id, text, setting) of each 항, and of each article without 항."""
    before: tuple[str, ...] = ()
    for article in _articles(document.tree):
        parent = article_id(document.doc_id, article.number)
        here = replace(setting, article=article.number, before=before)
        before = (*before, article.number)[-_NEAREST:]
        paragraphs = [u for u in article.children if u.kind == "항" and u.number]
        if not paragraphs:
            yield parent, _all_text(article), here
            continue
        if article.text:
            yield parent, article.text, here
        for unit in paragraphs:
            if not unit.deleted:
                number = _PARAGRAPHS.get(unit.number)
                yield f"{parent}_{unit.number}", _all_text(unit), replace(here, paragraph=number)


def _statute_rows(index: ArticleIndex, document: Document, setting: Setting) -> Iterator[Row]:
    """Citations in the text of a statute or rule; a decree's references to its own act are its delegation."""
    act = index.laws.get(law_key(setting.aliases.get("법", "")))
    for source, text, here in _units(document, setting):
        own = article_id(document.doc_id, here.article)
        seen: set[tuple[str | None, ...]] = set()
        for citation in parse_in_text(text, here):
            for target in index.targets(citation):
                key = (target.parent, target.passage) if target.parent else (citation.label,)
                inside = target.parent == own and (not target.passage or target.passage.startswith(source))
                if key in seen or inside:
                    continue
                seen.add(key)
                to_act = target.parent and act and act != document.doc_id and target.parent.startswith(f"{act}_")
                kind = "delegation" if to_act else "in_text"
                yield source, document.doc_id, kind, 0, citation.label, *target


def _interpretation_rows(index: ArticleIndex, document: Document) -> Iterator[Row]:
    """Articles and decisions that a reply names: under the question's number, those of the reason under 0."""
    setting = replace(_reply_setting(document), names=index.laws)
    for unit in document.tree.children:
        issue = int(unit.number) if unit.kind in ("question", "answer") and unit.number.isdigit() else 0
        source = (f"{document.doc_id}#{issue}", document.doc_id)
        listed = unit.kind == "cited_articles"
        for citation in parse_citations(unit.text) if listed else parse_in_text(unit.text, setting):
            for target in index.targets(citation, document.effective_date) if citation.law else ():
                yield *source, "article", issue, citation.label, *target
        for number in (n for dockets in _DOCKETS.findall(unit.text) for n in case_numbers(dockets)):
            found = index.decisions.get(number)
            yield *source, "decision", issue, number, found, None, "resolved" if found else "unknown_decision"


def _reply_setting(document: Document) -> Setting:
    """An article without a law's name is one of the reply's act, but only where no other act is spoken of."""
    text, act = _all_text(document.tree), document.meta.get("parent_title", "")
    acts = {act_name(" ".join(law.split())) for law in _QUOTED.findall(text)}
    return Setting(act if acts <= {act} else "", (aliases_of(act) if act else {}) | defined_names(text))


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
    documents = list(documents)
    settings: dict[str, Setting] = {}
    for document in sorted(documents, key=lambda d: d.title.endswith("세칙")):
        if document.source_type in STATUTE_TYPES:
            setting = setting_of(document, settings)
            settings[law_key(document.title)] = replace(setting, names=index.laws)
    rows: list[Row] = []
    for document in documents:
        if document.source_type in DECISION_TYPES:
            rows += _decision_rows(index, document, old_versions)
        elif document.source_type in STATUTE_TYPES:
            rows += _statute_rows(index, document, settings[law_key(document.title)])
        elif document.source_type == "interpretation":
            rows += _interpretation_rows(index, document)
    return CITATIONS.validate(pl.DataFrame(rows, schema=CITATIONS.polars, orient="row")).unique(maintain_order=True)
