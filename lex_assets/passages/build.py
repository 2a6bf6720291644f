"""Document trees ─► passages: a 항 (or undivided 조), pieces of 별표, holdings, contexts, plain text.

A unit that fits the limit stays whole with everything under it. One that does not is cut at the next level down (호,
then 목), each piece under the head sentence that announces the list; text without structure is cut at sentences.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lex_assets.passages.annex import annex_pieces
from lex_assets.passages.cut import last_sentence, windows
from lex_assets.passages.ids import article_id, label, segment
from lex_assets.passages.in_force import Calendar, with_delayed_parts
from lex_assets.schemas import DECISION_TYPES, DOCUMENTS, PASSAGES, STATUTE_TYPES, Unit, content_hash
from lex_assets.sources.annex import FORM_KINDS


class PassageConfig(BaseModel):
    """How documents are cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_characters: int = Field(
        default=1000, ge=100, description="단락의 최대 글자 수(문맥 줄 제외). Limit of a passage's text in characters."
    )
    include_addenda: bool = Field(default=False, description="부칙도 단락으로. Addenda as passages.")
    include_forms: bool = Field(default=False, description="서식·별지도 단락으로. Forms as passages.")
    include_judgments: bool = Field(
        default=False,
        description="판결요지 외에 판결 전문도. The full judgment beside holdings; taken anyway where there is no holding.",
    )
    as_of: str = Field(
        default="",
        description="기준일(YYYYMMDD): 그날 시행 중인 조문·별표만. 비우면 모두 두고 시행 전 조문은 인용 표시에 시행일을 적음. Only "
        "provisions in force on that day; empty keeps all, those that take effect after their document marked with the day.",
    )

    @field_validator("as_of")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        digits = value.replace("-", "")
        if value and (len(digits) != 8 or not digits.isdigit() or not _exists(digits)):
            raise ValueError(f"as_of is {value!r}; write a day as YYYYMMDD, for example 20250101")
        return digits


def _exists(day: str) -> bool:
    try:
        date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return True


class _Piece(NamedTuple):
    """A passage before the columns that all passages of its document share."""

    passage_id: str
    parent_id: str
    context: str
    text: str
    citation: str
    unit: str
    effective_date: str = ""


def build_passages(documents: pl.DataFrame, config: PassageConfig | None = None) -> pl.DataFrame:
    """PASSAGES of all `documents` (DOCUMENTS), sorted by passage_id. Deleted units and empty texts give none.

    equivalence_id is `text_key` here: equal texts are one class until the corpus looks across documents.
    """
    config, documents = config or PassageConfig(), DOCUMENTS.validate(documents)
    pieces: list[_Piece] = []
    sources: list[int] = []
    for source, document in enumerate(documents.iter_rows(named=True)):
        pieces += _pieces(document, Unit.from_dict(json.loads(document["tree"])), config)
        sources += [source] * (len(pieces) - len(sources))
    own = pl.DataFrame(pieces, schema=dict.fromkeys(_Piece._fields, pl.String), orient="row")
    shared = documents.select("doc_id", "domain", "source_type", "family", document_date="effective_date")[sources]
    date = pl.when(pl.col("effective_date") == "").then("document_date").otherwise("effective_date")
    table = pl.concat([own, shared], how="horizontal").with_columns(
        effective_date=date,
        equivalence_id=pl.Series([text_key(piece.text) for piece in pieces], dtype=pl.String),
        content_hash=pl.Series([content_hash(piece.context, piece.text) for piece in pieces], dtype=pl.String),
    )
    return PASSAGES.validate(table).sort("passage_id")


def text_key(text: str) -> str:
    """Equal for texts that differ in white space only."""
    return content_hash("".join(text.split()))


def _pieces(document: dict[str, Any], tree: Unit, config: PassageConfig) -> Iterator[_Piece]:
    source_type = document["source_type"]
    if source_type in STATUTE_TYPES:
        return _Statute(document, tree, config).pieces()
    if source_type in DECISION_TYPES:
        return _decision(document, tree, config)
    if source_type == "interpretation":
        return _interpretation(document, tree, config)
    return _plain(document, tree, config)


class _Statute:
    """Passages of one law or rule."""

    def __init__(self, document: dict[str, Any], tree: Unit, config: PassageConfig) -> None:
        self.doc_id, self.title = document["doc_id"], document["title"]
        self.tree, self.config = tree, config
        self.calendar = Calendar.of(tree, document["effective_date"], config.as_of)
        self.seen: Counter[str] = Counter()

    def pieces(self) -> Iterator[_Piece]:
        """Passages in document order."""
        for unit in self.tree.children:
            yield from self._top(unit, [self.title])

    def _top(self, unit: Unit, path: list[str]) -> Iterator[_Piece]:
        if unit.kind == "조":
            yield from self._article(unit, path)
        elif unit.kind == "별표":
            yield from self._annex(unit, path)
        elif unit.kind == "부칙":
            if self.config.include_addenda and not unit.deleted:
                name = f"부칙 제{unit.number}호" if unit.number else "부칙"
                yield from self._chunks(unit, [*path, name], "부칙", windows)
        elif unit.kind == "text":
            yield from self._chunks(replace(unit, number=unit.number or "전문"), path, "text", windows)
        else:
            below = [*path, _heading_name(unit)] if not unit.deleted else path
            for child in unit.children:
                yield from self._top(child, below)

    def _unique(self, base: str, date: str = "") -> str:
        """`base`, or with a suffix when the source has it twice: a pending version by its date, else by its place."""
        self.seen[base] += 1
        if self.seen[base] == 1:
            return base
        dated = f"{base}@{date}" if date else f"{base}#{self.seen[base]}"
        self.seen[dated] += 1
        return dated if self.seen[dated] == 1 else f"{dated}#{self.seen[dated]}"

    def _left_out(self, unit: Unit) -> bool:
        return bool(self.config.as_of) and self.calendar.state(unit) != "in_force"

    def _article(self, article: Unit, path: list[str]) -> Iterator[_Piece]:
        article = with_delayed_parts(article)
        parent = article_id(self.doc_id, article.number)
        base = self._unique(parent, article.effective_date)
        if self._left_out(article):
            return
        if self.config.as_of:
            article = self.calendar.only_in_force(article)
        name = label([article]) + (f"({article.title})" if article.title else "")
        context = " > ".join([*path, name])
        paragraphs = [child for child in article.children if child.kind == "항"]
        own = replace(article, children=[child for child in article.children if child.kind != "항"])
        for units in ([own], *([own, paragraph] for paragraph in paragraphs)):
            dated = units[-1] if units[-1].effective_date else article
            shared = _Shared(parent, context, self.title, dated.effective_date, self.calendar.mark(dated))
            yield from self._cut(units, base, shared)

    def _cut(self, units: list[Unit], base: str, shared: _Shared) -> Iterator[_Piece]:
        """Passages of one 항 (units = [조, 항]) or of the article's own text (units = [조])."""
        unit = units[-1]
        base = self._unique(f"{base}_{segment(unit)}") if len(units) > 1 else base
        pieces: Counter[str] = Counter()
        for chain, last, text in _fit(unit, [], self.config.max_characters):
            path = "_".join([base, *(segment(below) for below in chain)])
            pieces[path] += 1
            passage_id = path if pieces[path] == 1 else f"{path}_w{pieces[path]}"
            until = f"~{label([last])}" if last is not None and last is not chain[-1] else ""
            citation = f"{shared.title} {label(units + chain)}{until}{shared.mark}"
            yield _Piece(passage_id, shared.parent_id, shared.context, text, citation, unit.kind, shared.effective_date)

    def _annex(self, annex: Unit, path: list[str]) -> Iterator[_Piece]:
        if annex.deleted or (annex.meta.get("section") in FORM_KINDS and not self.config.include_forms):
            return
        name = f"{label([annex])} {annex.title}".strip()
        yield from self._chunks(annex, [*path, name], "별표", annex_pieces)

    def _chunks(self, unit: Unit, path: list[str], kind: str, cut: Callable[[str, int], list[str]]) -> Iterator[_Piece]:
        parent = f"{self.doc_id}_{segment(unit)}"
        base = self._unique(parent, unit.effective_date)
        if self._left_out(unit):
            return
        citation = (f"{self.title} {label([unit])}" if kind != "text" else self.title) + self.calendar.mark(unit)
        for place, text in enumerate(cut(unit.text, self.config.max_characters), start=1):
            yield _Piece(f"{base}_c{place}", parent, " > ".join(path), text, citation, kind, _date(unit))


@dataclass(frozen=True)
class _Shared:
    parent_id: str
    context: str
    title: str
    effective_date: str
    mark: str


def _date(unit: Unit) -> str:
    return unit.effective_date if unit.kind in ("조", "별표") else ""


def _heading_name(unit: Unit) -> str:
    if unit.kind == "소제목":
        return unit.title
    base, _, branch = unit.number.partition("의")
    return f"제{base}{unit.kind}{f'의{branch}' if branch else ''} {unit.title}".strip()


_Fitted = tuple[list[Unit], Unit | None, str]


def _fit(unit: Unit, above: list[str], limit: int) -> Iterator[_Fitted]:
    """(units below `unit` that lead to the piece's first unit, last unit of a joined run, text).

    above: head sentences of the units around, repeated in every piece.
    """
    lead = "\n".join(above)
    room = limit - len(lead) - 1 if lead else limit
    whole = _render(unit)
    if not whole:
        return
    if len(whole) <= room:
        yield [], None, _joined(lead, whole)
        return
    own = _head(unit)
    children = [child for child in unit.children if _render(child)]
    if not children:
        for text in windows(own, room):
            yield [], None, _joined(lead, text)
        return
    # The head is repeated in every piece when it is short; else once whole, then its last sentence.
    if own and len(own) + len(lead) > limit // 3:
        for text in windows(own, room):
            yield [], None, _joined(lead, text)
        own = last_sentence(own)
    heads = [*above, own] if own and len(own) + len(lead) <= limit // 3 else above
    yield from _fit_children(children, heads, limit)


def _fit_children(children: list[Unit], heads: list[str], limit: int) -> Iterator[_Fitted]:
    """Runs of children that fit together under `heads`; one that does not fit alone is cut further down."""
    lead = "\n".join(heads)
    run: list[Unit] = []
    text = lead
    for child in children:
        whole = _render(child)
        if run and len(text) + 1 + len(whole) > limit:
            yield [run[0]], run[-1], text
            run, text = [], lead
        if len(lead) + 1 + len(whole) > limit:
            yield from (([child, *chain], last, cut) for chain, last, cut in _fit(child, heads, limit))
            continue
        run.append(child)
        text = _joined(text, whole)
    if run:
        yield [run[0]], run[-1], text


def _joined(lead: str, text: str) -> str:
    return f"{lead}\n{text}" if lead else text


def _head(unit: Unit) -> str:
    """The unit's own text behind its number (an article's number is in the context, not in the text)."""
    if not unit.text or unit.deleted:
        return ""
    return unit.text if unit.kind == "조" or not unit.number else f"{unit.number} {unit.text}"


def _render(unit: Unit) -> str:
    """The unit and all live units under it, one per line."""
    return "\n".join(filter(None, (_head(below) for below in unit.walk())))


def _decision(document: dict[str, Any], tree: Unit, config: PassageConfig) -> Iterator[_Piece]:
    """Holdings; issues only where there is no holding of that number; the judgment where there is no holding at all."""
    doc_id, title = document["doc_id"], document["title"]
    case_name = json.loads(document["meta"]).get("case_name", "")
    context = f"{title} {case_name}".strip()
    holdings = {unit.number for unit in tree.children if unit.kind == "holding" and unit.text}
    for unit in tree.children:
        if unit.kind == "holding" or (unit.kind == "issue" and unit.number not in holdings):
            yield from _windows(unit, document, context, f"{title} [{unit.number}]", config)
        elif unit.kind == "text" and (config.include_judgments or not holdings):
            for place, text in enumerate(windows(unit.text, config.max_characters), start=1):
                yield _Piece(f"{doc_id}_c{place}", doc_id, context, text, title, "text")


def _interpretation(document: dict[str, Any], tree: Unit, config: PassageConfig) -> Iterator[_Piece]:
    """Answers and the reason; what was asked is the query, not a passage."""
    citation = " ".join(filter(None, (document["authority"], document["version"], "회답"))) + f" ({document['title']})"
    for unit in tree.children:
        if unit.kind in ("answer", "reason"):
            yield from _windows(unit, document, document["title"], citation, config)


def _windows(
    unit: Unit, document: dict[str, Any], context: str, citation: str, config: PassageConfig
) -> Iterator[_Piece]:
    """One numbered unit of a decision or reply: <document>_h1, its further windows <document>_h1_w2, …"""
    base = f"{document['doc_id']}_{unit.kind[0]}{unit.number}"
    for place, text in enumerate(windows(unit.text, config.max_characters), start=1):
        yield _Piece(base if place == 1 else f"{base}_w{place}", document["doc_id"], context, text, citation, unit.kind)


def _plain(document: dict[str, Any], tree: Unit, config: PassageConfig) -> Iterator[_Piece]:
    """Contexts and plain records: pieces counted through the document; questions are no passages."""
    doc_id, title = document["doc_id"], document["title"]
    place = 0
    for unit in tree.walk():
        if unit.kind not in ("context", "text"):
            continue
        for text in windows(unit.text, config.max_characters):
            place += 1
            yield _Piece(f"{doc_id}_{place}", doc_id, title, text, title or doc_id, unit.kind)
