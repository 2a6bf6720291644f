"""Constitutional Court decisions (헌재결정례) and administrative appeals (행정심판례, 조세심판 …) ─► Document.

Their trees are those of court decisions: issue, holding, cited_articles, cited_decisions, then the body as text. Fields
as law.go.kr's open API gives them (targets detc, decc and the special tribunals'), in their envelope or without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.precedent import numbered_units, plain, written_day
from lex_assets.sources.values import SourceError, date_field, field, first_field, unwrapped

_COURT = "헌법재판소"
_CONSTITUTIONAL_IDS = ("헌재결정례일련번호",)
_APPEAL_IDS = ("행정심판례일련번호", "행정심판재결례일련번호", "특별행정심판재결례일련번호")
_APPEAL_WRAPPERS = ("DeccService", "SpecialDeccService")
_SPECIAL = "특별행정심판재결례일련번호"
_CONSTITUTIONAL_FIELDS = {
    "판시사항": "issue",
    "결정요지": "holding",
    "참조조문": "cited_articles",
    "심판대상조문": "cited_articles",
    "참조판례": "cited_decisions",
}
_APPEAL_FIELDS = {
    "청구취지": "issue",
    "재결요지": "holding",
    "관련법령": "cited_articles",
    "참조조문": "cited_articles",
    "참조결정": "cited_decisions",
    "참조판례": "cited_decisions",
}
WHOLE = "0"
"""Number of citations that a decision with several issues gives for all of them together: no issue's label."""


def is_constitutional(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like a decision of the Constitutional Court."""
    return "DetcService" in value or any(name in unwrapped(value) for name in _CONSTITUTIONAL_IDS)


def is_appeal(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like an administrative appeal (its envelope may be that of court decisions)."""
    return any(name in value for name in _APPEAL_WRAPPERS) or any(name in unwrapped(value) for name in _APPEAL_IDS)


def read_constitutional(value: dict[str, Any]) -> Document:
    """One 헌재결정례. Raises SourceError when it has no 헌재결정례일련번호 or no 사건번호."""
    raw = unwrapped(value)
    serial, case_number = first_field(raw, _CONSTITUTIONAL_IDS), field(raw, "사건번호")
    if not serial or not case_number:
        raise SourceError("the decision has no 헌재결정례일련번호 or no 사건번호; download it again")
    decided = date_field(raw, "종국일자")
    day = f"{written_day(decided)} 선고" if decided else ""
    title = " ".join(filter(None, (_COURT, day, case_number, "결정")))
    body = _body(raw, ("전문",)) or _body(raw, ("주문", "이유"))
    meta = {"case_type": field(raw, "사건종류명"), "court": _COURT}
    root = _tree(raw, _CONSTITUTIONAL_FIELDS, body)
    return _document("constitutional", f"DETC_{serial}", title, root, raw, (case_number, _COURT, decided), meta)


def read_appeal(value: dict[str, Any]) -> Document:
    """One 행정심판례. Raises SourceError when it has no serial number or neither 사건번호 nor 사건명."""
    raw = unwrapped(value)
    serial = first_field(raw, _APPEAL_IDS)
    case_number = first_field(raw, ("사건번호", "청구번호", "재결번호"))
    if not serial or not (case_number or field(raw, "사건명")):
        raise SourceError(f"the appeal has no {_APPEAL_IDS[0]}, or neither 사건번호 nor 사건명; download it again")
    tribunal, decided = field(raw, "재결청"), date_field(raw, "의결일자")
    title = " ".join(filter(None, (tribunal, written_day(decided), case_number or field(raw, "사건명"), "재결")))
    # The special tribunals count their serial numbers by themselves.
    own = f"{tribunal or '특별'}-" if _SPECIAL in raw else ""
    meta = {"case_type": field(raw, "재결례유형명"), "court": tribunal, "defendant": field(raw, "처분청")}
    root = _tree(raw, _APPEAL_FIELDS, _body(raw, ("주문", "이유")))
    doc_id = f"DECC_{own}{serial}".replace(" ", "")
    return _document("appeal", doc_id, title, root, raw, (case_number, tribunal, decided), meta)


def _document(
    source_type: str,
    doc_id: str,
    title: str,
    root: Unit,
    raw: dict[str, Any],
    case: tuple[str, str, str],
    meta: dict[str, str],
) -> Document:
    number, authority, decided = case
    facts = {"case_name": field(raw, "사건명"), "case_number": number, "decided": decided}
    return Document(
        doc_id=doc_id,
        source_type=source_type,
        title=title,
        tree=root,
        authority=authority,
        effective_date=decided,
        version=number,
        family=doc_id,
        meta=facts | meta,
    )


def _body(raw: dict[str, Any], names: Sequence[str]) -> str:
    return "\n".join(filter(None, (plain(raw, name) for name in names)))


def _tree(raw: dict[str, Any], fields: Mapping[str, str], body: str) -> Unit:
    """Numbered units of `fields`, then the body. Citations without numbers beside several issues belong to no single
    one: they are kept under the number WHOLE."""
    units = [unit for name, kind in fields.items() for unit in numbered_units(raw, name, kind)]
    issues = [unit for unit in units if unit.kind == "issue"]
    cited = {kind: {u.number for u in units if u.kind == kind} for kind in ("cited_articles", "cited_decisions")}
    for unit in units:
        if len(issues) > 1 and cited.get(unit.kind) == {"1"}:
            unit.number = WHOLE
    return Unit("root", children=[*units, *([Unit("text", "1", "전문", body)] if body else [])])
