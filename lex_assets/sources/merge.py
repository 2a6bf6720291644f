"""One row per document: the first file wins, and what several rows say about one text or question is put together."""

from __future__ import annotations

import json
from typing import Any

from lex_assets.schemas import LexError
from lex_assets.sources.pairs import CARRIED

Row = dict[str, Any]
_MERGED = ("jsonl", "pair", "mrc")


class IdTakenError(LexError):
    """Two different documents with one id; `str()` says what to do."""


def add(kept: dict[str, Row], row: Row) -> None:
    """Puts `row` (DOCUMENTS) into `kept` by doc_id; rows come in path order. Raises IdTakenError when the id is taken.

    Not taken, but put together: MRC contexts with equal texts (their questions), plain records with equal texts, passages
    that came with a question (their texts), and paired questions (their positives).
    """
    first = kept.setdefault(row["doc_id"], row)
    if first is row:
        return
    if first["source_type"] not in _MERGED:
        raise IdTakenError(f"doc_id occurs already in {first['source_path']}, which was kept; remove one of the two")
    if first["tree"] != row["tree"]:
        first = first | {"tree": _merged(first, row)}
    kept[row["doc_id"]] = first if first["title"] else first | {"title": row["title"]}


def _merged(first: Row, row: Row) -> str:
    """Both trees in one, as JSON: units with equal texts once, of paired questions the positives of both."""
    root, other = json.loads(first["tree"]), json.loads(row["tree"])
    carried = first["source_type"] == "jsonl" and any(CARRIED in json.loads(one["meta"]) for one in (first, row))
    if not carried and _texts(root) != _texts(other):
        raise IdTakenError(
            f"doc_id has another text in {first['source_path']}, which was kept; give one of the two another id"
        )
    units = {(unit["kind"], unit.get("text", "")): unit for unit in root["children"]}
    for unit in other["children"]:
        new = unit | ({"number": str(len(units) + 1)} if unit["kind"] == "text" else {})
        same = units.setdefault((unit["kind"], unit.get("text", "")), new)
        if "positives" in same.get("meta", {}):
            same["meta"]["positives"] = list(dict.fromkeys(same["meta"]["positives"] + unit["meta"]["positives"]))
    return json.dumps(root | {"children": list(units.values())}, ensure_ascii=False)


def _texts(tree: dict[str, Any]) -> list[str]:
    return [unit.get("text", "") for unit in tree["children"] if unit["kind"] in ("text", "context")]
