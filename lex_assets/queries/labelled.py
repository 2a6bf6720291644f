"""Labelled queries from what the documents already say: cited articles, cited decisions, holdings, replies, delegations,
MRC, and the pairs that people made.

Here: queries and qrels before any split. Not here: held-out sets (`split`), generated questions (`synthetic`).
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.citations.parse import case_numbers
from lex_assets.citations.resolve import ArticleIndex
from lex_assets.passages.groups import Groups
from lex_assets.passages.ids import article_id
from lex_assets.passages.overlap import near_duplicates, shared_ngrams
from lex_assets.schemas import DATED_TYPES, DECISION_TYPES, QRELS, QUERIES, Document, Unit
from lex_assets.sources.pairs import document_id

log = logging.getLogger(__name__)

NAMED, REST = 2, 1
"""Grades: what the source names (a 항, or a whole article), and the rest of a named 항's article."""


class LabelConfig(BaseModel):
    """How labels are read."""

    model_config = ConfigDict(frozen=True)

    boilerplate_share: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="도메인의 판시사항 중 이 비율을 넘게 인용되는 조문은 상용 조문으로 표시. Articles that more than this share of a "
        "domain's issues cite are boilerplate.",
    )
    boilerplate_least: int = Field(
        default=10,
        ge=1,
        description="상용 조문으로 볼 최소 인용 수. Boilerplate is cited by more issues than this, however few issues there are.",
    )
    max_articles: int = Field(
        default=4,
        ge=1,
        description="시행령 조문이 가리키는 법 조문 수의 상한. Act articles that a decree article may implement.",
    )
    min_characters: int = Field(default=8, ge=1, description="질의의 최소 글자 수. Shortest query, in characters.")
    max_characters: int = Field(
        default=600, ge=50, description="질의의 최대 글자 수(초과분은 자름). Queries are cut here, in characters."
    )
    same_group: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="같은 분할 그룹으로 묶는 n-gram 자카드 값. Jaccard overlap of issues that share a set.",
    )


@dataclass
class Draft:
    """A query on its way to the tables; grades: passage id → grade · anchor: the parent that a paired question is grouped
    by."""

    query_id: str
    domain: str
    origin: str
    text: str
    document: Document
    grades: dict[str, int]
    meta: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    anchor: str = ""

    def row(self) -> dict[str, Any]:
        """As a row of `queries`, set and regime still empty."""
        decided = self.document.effective_date if self.document.source_type in DATED_TYPES else ""
        values = (self.query_id, self.domain, self.origin, self.text, self.group, "", "", self.document.doc_id, decided)
        meta = json.dumps(self.meta, ensure_ascii=False, sort_keys=True)
        return dict(zip(QUERIES.names, (*values, meta), strict=True))


@dataclass
class Shelf:
    """The corpus by parent: passages, domain and family of each article, decision or context; parent of each passage."""

    passages: dict[str, list[str]]
    domain: dict[str, str]
    family: dict[str, str]
    text: dict[str, str]
    parent: dict[str, str]

    @classmethod
    def of(cls, corpus: pl.DataFrame) -> Shelf:
        """From a PASSAGES frame."""
        corpus = corpus.sort("passage_id")
        parents = corpus.group_by("parent_id", maintain_order=True).agg("passage_id", "domain", "family")
        rows = parents.rows(named=True)
        decisions = corpus.filter(pl.col("source_type").is_in([*DECISION_TYPES, "mrc"]))
        return cls(
            passages={row["parent_id"]: row["passage_id"] for row in rows},
            domain={row["parent_id"]: row["domain"][0] for row in rows},
            family={row["parent_id"]: row["family"][0] for row in rows},
            text=dict(decisions.select("passage_id", "text").iter_rows()),
            parent=dict(corpus.select("passage_id", "parent_id").iter_rows()),
        )

    def named(self, name: str) -> list[str]:
        """Passages of the plain record, article, decision or passage that `name` is the id of; [] when it is none."""
        document = document_id(name)
        if document in self.passages or name in self.passages:
            return self.passages.get(document) or self.passages[name]
        return self.pieces(self.parent[name], name) if name in self.parent else []

    def pieces(self, parent: str, passage: str) -> list[str]:
        """A passage of `parent` with the pieces it was split into."""
        return [p for p in self.passages.get(parent, []) if p == passage or p.startswith(passage + "_")]


_REFERENCE = re.compile(
    r"제\s?\d+(?:-\d+)?\s?조(?:\s?의\s?\d+)?"
    r"(?:[\s,·ㆍ]*(?:및|내지|부터|까지|또는)?\s*"
    r"(?:제\s?\d+(?:-\d+)?\s?[조항호](?:\s?의\s?\d+)?|\(?[가-하]\)?\s?목|\[?별표\s?\d*(?:의\d+)?\]?))*"
    r"(?P<particle>(?:를|가|는|와|로)(?=[\s,]))?"
)
_AFTER_CONSONANT = {"를": "을", "가": "이", "는": "은", "와": "과", "로": "으로"}


def mask_articles(text: str, word: str = "조항") -> str:
    """`text` with article numbers replaced by `word`: the number would give the answer away.

    >>> mask_articles("민법 제27조 제2항에서 정하는 위난의 의미")
    '민법 조항에서 정하는 위난의 의미'
    """
    return _REFERENCE.sub(lambda m: word + _AFTER_CONSONANT.get(m["particle"] or "", ""), text)


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _units(document: Document, kind: str) -> dict[int, Unit]:
    return {int(u.number or 0): u for u in document.tree.children if u.kind == kind and (u.number or "0").isdigit()}


def _cited_by_issue(citations: pl.DataFrame) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """Citations of decisions and replies: document → issue → rows, in the order written."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    rows = citations.filter(pl.col("kind").is_in(["article", "decision"])).select(
        "source_doc_id", "issue", "kind", "target_parent_id", "target_passage_id", "raw", "reason"
    )
    for row in rows.iter_rows(named=True):
        found[row["source_doc_id"]][row["issue"]].append(row)
    return found


def _article_grades(rows: Sequence[Mapping[str, Any]], shelf: Shelf) -> dict[str, int]:
    """Grades of all passages of the cited articles; a 항 named once outranks a later citation of the whole article."""
    named: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        parent, passage = row["target_parent_id"], row["target_passage_id"]
        named[parent] += shelf.pieces(parent, _stem(passage)) if passage else []
    return {
        passage: NAMED if not picked or passage in picked else REST
        for parent, picked in named.items()
        for passage in shelf.passages.get(parent, [])
    }


def _stem(passage: str) -> str:
    """The 항 of a passage id whose last part may be a 호 or a window: LAW_1_제2조_①_3. → LAW_1_제2조_①."""
    return "_".join(passage.split("_")[:4])


def _article_queries(
    document: Document, issue: int, text: str, rows: list[dict[str, Any]], shelf: Shelf
) -> Iterator[Draft]:
    """One query per (issue, target domain)."""
    by_domain: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["target_parent_id"] in shelf.domain:
            by_domain[shelf.domain[row["target_parent_id"]]].append(row)
    for domain, cited in sorted(by_domain.items()):
        articles = list(dict.fromkeys(row["target_parent_id"] for row in cited))
        query_id = f"Q_{document.doc_id}_{issue}_{domain}"
        meta = {"issue": issue, "articles": articles}
        yield Draft(query_id, domain, "citation", text, document, _article_grades(cited, shelf), meta)


def _decision_query(
    document: Document, issue: int, text: str, rows: list[dict[str, Any]], shelf: Shelf
) -> Iterator[Draft]:
    """Issue → cited decisions; of each decision the passage nearest to the issue is the named one."""
    cited = {row["target_parent_id"] for row in rows} - {document.doc_id}
    targets = sorted(cited & shelf.passages.keys())
    grades: dict[str, int] = {}
    for target in targets:
        passages = shelf.passages[target]
        best = _nearest(text, passages, shelf)
        grades |= {p: NAMED if p == best else REST for p in passages}
    if grades:
        query_id = f"Q_{document.doc_id}_{issue}_precedent"
        yield Draft(
            query_id,
            shelf.domain[targets[0]],
            "citation",
            text,
            document,
            grades,
            {"issue": issue, "decisions": targets},
        )


def _nearest(text: str, passages: Sequence[str], shelf: Shelf) -> str | None:
    if len(passages) < 2:
        return passages[0] if passages else None
    return min(passages, key=lambda p: (-shared_ngrams(text, shelf.text.get(p, "")), p))


def _holding_query(document: Document, issue: int, text: str, shelf: Shelf) -> Iterator[Draft]:
    holding = shelf.pieces(document.doc_id, f"{document.doc_id}_h{issue}")
    if holding:
        query_id = f"Q_{document.doc_id}_{issue}_holding"
        yield Draft(
            query_id,
            shelf.domain[document.doc_id],
            "holding",
            text,
            document,
            dict.fromkeys(holding, NAMED),
            {"issue": issue},
        )


def _decision_drafts(
    document: Document,
    cited: Mapping[int, list[dict[str, Any]]],
    shelf: Shelf,
    index: ArticleIndex,
    config: LabelConfig,
) -> Iterator[Draft]:
    """All queries of one decision. meta.old_versions: today's articles of the number that a refused 구 … citation names;
    they are no labels, but nobody should take them for negatives either."""
    for issue, unit in sorted(_units(document, "issue").items()):
        text = mask_articles(_squeeze(unit.text))[: config.max_characters]
        rows = [row for row in cited.get(issue, []) if row["target_parent_id"]]
        articles = [row for row in rows if row["kind"] == "article"]
        families = sorted({shelf.family[row["target_parent_id"]] for row in articles})
        old = sorted({row["raw"] for row in cited.get(issue, []) if row["reason"] == "old_version"})
        today = sorted({parent for raw in old for parent in index.same_number(raw, document.effective_date)})
        drafts = [
            *_article_queries(document, issue, text, articles, shelf),
            *_decision_query(document, issue, text, [row for row in rows if row["kind"] == "decision"], shelf),
            *_holding_query(document, issue, text, shelf),
        ]
        for draft in drafts:
            draft.meta |= {"families": families} | ({"old_versions": today} if today else {})
            yield draft


def _interpretation_drafts(
    document: Document, cited: Mapping[int, list[dict[str, Any]]], shelf: Shelf, config: LabelConfig
) -> Iterator[Draft]:
    """Question → its answer, and question → what the question and the answer cite; what only the reason cites counts
    where they cite nothing and the reason has one question to answer. Articles beside the answer in one domain are
    graded with it: they answer the same words."""
    questions = _units(document, "question")
    for number, unit in sorted(questions.items()):
        text = mask_articles(_squeeze(unit.text))[: config.max_characters]
        reason = cited.get(0, []) if len(questions) == 1 else []
        rows = _resolved(cited.get(number, []), "article") or _resolved(reason, "article")
        decisions = _resolved(cited.get(number, []), "decision") or _resolved(reason, "decision")
        drafts = [*_article_queries(document, number, text, rows, shelf)]
        beside = {p for d in drafts if d.domain == document.domain for p in d.grades}
        drafts += _decision_query(document, number, text, decisions, shelf)
        if grades := _answer_grades(document.doc_id, number, shelf):
            grades = dict.fromkeys(sorted(beside), REST) | grades
            query_id = f"Q_{document.doc_id}_{number}_answer"
            drafts.append(Draft(query_id, document.domain, "interpretation", text, document, grades, {"issue": number}))
        families = sorted({shelf.family[row["target_parent_id"]] for row in rows})
        for draft in drafts:
            draft.meta["families"] = families
            yield draft


def _resolved(rows: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind and row["target_parent_id"]]


def _answer_grades(doc_id: str, number: int, shelf: Shelf) -> dict[str, int]:
    """The answer is named, the reason behind it the rest; a reply that is all reason is named by it."""
    answer, reason = shelf.pieces(doc_id, f"{doc_id}_a{number}"), shelf.pieces(doc_id, f"{doc_id}_r1")
    return dict.fromkeys(reason, REST if answer else NAMED) | dict.fromkeys(answer, NAMED)


def _pair_drafts(document: Document, shelf: Shelf) -> Iterator[Draft]:
    """One query per domain of the question's positives, all of them named."""
    for unit in document.tree.children:
        by_domain: dict[str, dict[str, int]] = defaultdict(dict)
        for name in unit.meta["positives"]:
            for passage in shelf.named(name):
                by_domain[shelf.domain[shelf.parent[passage]]][passage] = NAMED
        for domain, grades in sorted(by_domain.items()):
            query_id, anchor = f"Q_{document.doc_id}_{domain}", shelf.parent[min(grades)]
            yield Draft(query_id, domain, "pair", _squeeze(unit.text), document, grades, anchor=anchor)


def _delegation_drafts(
    document: Document, rows: list[dict[str, Any]], shelf: Shelf, config: LabelConfig
) -> Iterator[Draft]:
    """Decree article → the act articles it implements."""
    by_article: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_article["_".join(row["source_id"].split("_")[:3])].append(row)
    units = {article_id(document.doc_id, u.number): u for u in document.tree.walk() if u.kind == "조" and not u.deleted}
    for source, cited in sorted(by_article.items()):
        targets = list(dict.fromkeys(row["target_parent_id"] for row in cited))
        domains = {shelf.domain[t] for t in targets}
        left_out = source not in units or source not in shelf.passages
        if left_out or len(targets) > config.max_articles or len(domains) != 1:
            continue
        text = _delegation_text(units[source])[: config.max_characters]
        meta = {"articles": targets, "families": sorted({shelf.family[t] for t in targets})}
        yield Draft(
            f"Q_{source}",
            domains.pop(),
            "delegation",
            text,
            document,
            _article_grades(cited, shelf),
            meta,
            document.family,
        )


def _delegation_text(unit: Unit) -> str:
    body = " ".join(part for u in unit.walk() for part in (u.text,) if part)
    body = re.sub(r"^제[\d-]+조(?:의\d+)?\s*(?:\([^)]*\))?", "", body.strip())
    body = re.sub(r"<[^<>]{0,200}>|\[(?:전문개정|본조신설|제목개정)[^\]]*\]", "", body)
    return _squeeze(f"{unit.title}: {mask_articles(re.sub('(?:같은 )?법 (?=제)', '', body), '해당 조항')}")


def _mrc_drafts(document: Document, shelf: Shelf) -> Iterator[Draft]:
    passages = shelf.passages.get(document.doc_id, [])
    for number, unit in enumerate(u for u in document.tree.children if u.kind == "question"):
        if not passages or unit.meta.get("is_impossible"):
            continue
        answer = str(unit.meta.get("answer", ""))
        proofs = unit.meta.get("evidence", [answer] if answer else [])
        holders = [p for p in passages if any(proof in shelf.text.get(p, "") for proof in proofs)] or passages
        question = unit.meta.get("question_id") or f"{document.doc_id}_{number + 1}"
        meta = {"answer": answer, "qa_type": unit.meta.get("qa_type", "")}
        grades = {p: NAMED if p in holders else REST for p in passages}
        yield Draft(
            f"Q_MRC_{question}", document.domain, "mrc", _squeeze(unit.text), document, grades, meta, document.doc_id
        )


def _drafts(
    documents: Iterable[Document], citations: pl.DataFrame, shelf: Shelf, index: ArticleIndex, config: LabelConfig
) -> Iterator[Draft]:
    cited = _cited_by_issue(citations)
    delegations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in citations.filter((pl.col("kind") == "delegation") & pl.col("target_parent_id").is_not_null()).iter_rows(
        named=True
    ):
        delegations[row["source_doc_id"]].append(row)
    for document in documents:
        if document.source_type in DECISION_TYPES:
            yield from _decision_drafts(document, cited.get(document.doc_id, {}), shelf, index, config)
        elif document.source_type == "interpretation":
            yield from _interpretation_drafts(document, cited.get(document.doc_id, {}), shelf, config)
        elif document.source_type == "mrc":
            yield from _mrc_drafts(document, shelf)
        elif document.source_type == "pair":
            yield from _pair_drafts(document, shelf)
        elif document.doc_id in delegations:
            yield from _delegation_drafts(document, delegations[document.doc_id], shelf, config)


def _assign_groups(drafts: Sequence[Draft], documents: Sequence[Document], config: LabelConfig) -> None:
    """Decisions share a group with their sisters: one docket in both, or an issue that is nearly the same text. Replies and
    paired questions likewise; questions whose first positive is the same share one, as those of one context do."""
    groups, sisters = Groups(), defaultdict(set)
    dockets: dict[str, str] = {}
    for document in documents:
        for number in case_numbers(document.version) if document.source_type in DECISION_TYPES else ():
            groups.union(document.doc_id, dockets.setdefault(number, document.doc_id))
    issues = [d for d in drafts if not d.group]
    for draft in issues:
        if draft.anchor:
            groups.union(draft.document.doc_id, draft.anchor)
    texts = {(d.text, d.document.doc_id): d for d in issues}
    owners = [doc_id for _, doc_id in texts]
    pairs = near_duplicates([text for text, _ in texts], config.same_group)
    for left, right in pairs.select("left", "right").iter_rows():
        groups.union(owners[left], owners[right])
        sisters[owners[left]].add(owners[right])
        sisters[owners[right]].add(owners[left])
    for draft in issues:
        draft.group = groups.find(draft.document.doc_id)
        if others := sorted(sisters.get(draft.document.doc_id, set()) - {draft.document.doc_id}):
            draft.meta["sisters"] = others


def _warn_of_unknown_positives(documents: Iterable[Document], drafts: Iterable[Draft]) -> None:
    """Paired questions may name passages by id alone; those whose ids nothing in the corpus has are told, not lost."""
    asked = {d.doc_id: d for d in documents if d.source_type == "pair"}
    unknown = sorted(asked.keys() - {draft.document.doc_id for draft in drafts})
    if unknown:
        first = asked[unknown[0]]
        names = first.tree.children[0].meta["positives"]
        log.warning(
            "%d of %d paired questions name no passage of the corpus and are left out, for example %s (%s); "
            "add the file that holds those passages",
            len(unknown),
            len(asked),
            names[:3],
            first.source_path,
        )


def _distinct(drafts: Iterable[Draft]) -> list[Draft]:
    """`drafts` with ids made unique: MRC files may number the questions of each context, or repeat a number."""
    taken: dict[str, Draft] = {}
    for draft in drafts:
        name, place = draft.query_id, 1
        while draft.query_id in taken:
            draft.query_id = f"{name}_{draft.document.doc_id}" + (f"_{place}" if place > 1 else "")
            place += 1
        taken[draft.query_id] = draft
    return list(taken.values())


def _mark_boilerplate(drafts: Iterable[Draft], config: LabelConfig) -> None:
    """Names in each query's meta the articles that courts of its domain cite everywhere (민법 제750조)."""
    issues = [d for d in drafts if d.origin == "citation" and "articles" in d.meta]
    totals = Counter(d.domain for d in issues)
    cited = Counter((d.domain, article) for d in issues for article in d.meta["articles"])
    for draft in issues:
        limit = max(config.boilerplate_least, config.boilerplate_share * totals[draft.domain])
        if common := [a for a in draft.meta["articles"] if cited[draft.domain, a] > limit]:
            draft.meta["boilerplate"] = common


def labelled_queries(
    documents: pl.DataFrame, corpus: pl.DataFrame, citations: pl.DataFrame, config: LabelConfig | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(queries, qrels) with `set` and `regime` still empty; sorted by id.

    Issue → cited articles (one query per issue and domain of the articles), issue → its holding, issue → cited
    decisions, question → reply and the articles it cites, decree article → act article, MRC question → context, paired
    question → its positives.
    """
    return labelled_from([Document.from_row(row) for row in documents.iter_rows(named=True)], corpus, citations, config)


def labelled_from(
    documents: Sequence[Document], corpus: pl.DataFrame, citations: pl.DataFrame, config: LabelConfig | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `labelled_queries`, for documents that are parsed already."""
    config = config or LabelConfig()
    found = [*_drafts(documents, citations, Shelf.of(corpus), ArticleIndex.build(documents, corpus), config)]
    _warn_of_unknown_positives(documents, found)
    drafts = _distinct(d for d in found if len(d.text) >= config.min_characters and d.grades)
    _assign_groups(drafts, documents, config)
    _mark_boilerplate(drafts, config)
    queries = QUERIES.frame(d.row() for d in drafts).sort("query_id")
    qrels = QRELS.frame(
        {"query_id": d.query_id, "passage_id": p, "grade": g} for d in drafts for p, g in d.grades.items()
    )
    return queries, qrels.sort("query_id", "passage_id")
