"""An adapter merged into its base: one model folder that needs neither PEFT nor the base, and the proof that it agrees.

A retriever becomes a sentence-transformers folder, a reranker a CrossEncoder folder, both in safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.loading import quiet_loading
from lex_assets.models.presets import RERANKERS, RETRIEVERS
from lex_assets.models.reranker import Reranker
from lex_assets.models.weights import TRAINING_CONFIG, Adapter
from lex_assets.schemas import LexError
from lex_assets.sources.lines import read_objects
from lex_assets.training.artefact import new_folder
from lex_assets.training.card import model_card
from lex_assets.training.metrics import rank_metrics

TOLERANCE = 1e-4
"""Largest difference of a cosine or a logit between adapter and merged model."""

DECIMALS = 4
"""Scores that are equal to as many are ties when the two are compared by NDCG, which must agree to as many."""

Checks = Sequence[tuple[str, str]]
"""(question, its passage); the other passages are wrong for it."""

CHECKS: Checks = (
    ("임대차가 끝났는데 보증금을 돌려받지 못하면 어떻게 하나요", "임대인은 계약이 끝나면 보증금을 반환하여야 한다."),
    ("이혼하면서 재산을 나누자고 요구할 수 있는 기간", "재산분할청구권은 이혼한 날부터 2년이 지나면 소멸한다."),
    (
        "주식을 많이 사들였을 때 보고해야 하는 사람",
        "발행주식 총수의 100분의 5 이상을 보유하게 된 자는 보고하여야 한다.",
    ),
    ("회사의 등기는 어디에서 하나요", "등기는 본점 소재지에서 하여야 한다."),
    (
        "남에게 손해를 입히면 배상해야 하나요",
        "고의 또는 과실로 타인에게 손해를 가한 자는 그 손해를 배상할 책임이 있다.",
    ),
    ("예금을 찾을 때 은행이 확인해야 하는 것", "금융회사는 거래자의 실지명의로 금융거래를 하여야 한다."),
)


@dataclass(frozen=True)
class Agreement:
    """How adapter and merged model compare over the checks."""

    largest_difference: float
    ndcg_adapter: float
    ndcg_merged: float


def merge_adapter(
    adapter: Path, out_dir: Path, base: str | None = None, check_rows: Path | None = None, device: str = "cpu"
) -> Agreement:
    """Write `adapter` merged into its base to `out_dir`.

    base: preset, hub id or folder; what the adapter names when None · check_rows: JSONL `{query, pos, …}` to compare on
    instead of a few built-in questions. Raises LexError when the adapter does not say what it is, when its base is another,
    or when the merged model does not agree with it; `out_dir` is then as it was.
    """
    opened = Adapter.open(adapter)
    facts = opened.settings
    if facts.get("kind") not in _MODELS:
        raise LexError(
            f"{adapter}: {TRAINING_CONFIG} does not say whether it is a retriever or a reranker; train it here"
        )
    kind = _MODELS[facts["kind"]]
    checks = CHECKS if check_rows is None else _read(check_rows)
    source = base or _named_base(adapter, facts)
    expected = kind.load(source, device, adapter, merge=False).scores(checks)
    merged = kind.load(source, device, adapter, merge=True)
    with quiet_loading(), new_folder(out_dir) as folder:
        merged.save(folder)
        (folder / TRAINING_CONFIG).write_text(json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True), "utf-8")
        (folder / "README.md").write_text(model_card(facts, whole=True), "utf-8")
        return _agreement(expected, kind.load(str(folder), device).scores(checks))


class _Retriever:
    def __init__(self, model: BiEncoder) -> None:
        self.model = model

    @classmethod
    def load(cls, source: str, device: str, adapter: Path | None = None, merge: bool = True) -> _Retriever:
        path = None if adapter is None else str(adapter)
        return cls(BiEncoder(source, peft_adapter_path=path, merge_adapter=merge, device=device))

    def scores(self, checks: Checks) -> np.ndarray:
        questions, passages = zip(*checks, strict=True)
        return self.model.encode_queries(questions) @ self.model.encode_passages(passages).T

    def save(self, folder: Path) -> None:
        inner = self.model.model
        prefixes: dict[str, str | None] = {"query": self.model.query_prefix, "passage": self.model.passage_prefix}
        inner.prompts = prefixes | {"document": self.model.passage_prefix}
        inner.max_seq_length = max(map(self.model.get_max_seq_length, prefixes))
        inner.save_pretrained(str(folder), create_model_card=False)


class _Reranker:
    def __init__(self, model: Reranker) -> None:
        self.model = model

    @classmethod
    def load(cls, source: str, device: str, adapter: Path | None = None, merge: bool = True) -> _Reranker:
        path = None if adapter is None else str(adapter)
        return cls(Reranker(source, peft_adapter_path=path, merge_adapter=merge, device=device))

    def scores(self, checks: Checks) -> np.ndarray:
        pairs = [(question, passage) for question, _ in checks for _, passage in checks]
        return self.model.score(pairs).reshape(len(checks), len(checks))

    def save(self, folder: Path) -> None:
        inner = self.model.model
        inner.max_seq_length = self.model.max_seq_length
        inner.save_pretrained(str(folder), create_model_card=False)


_MODELS: dict[str, type[_Retriever] | type[_Reranker]] = {"retriever": _Retriever, "reranker": _Reranker}


def _named_base(adapter: Path, facts: Mapping[str, Any]) -> str:
    """The base by the name that finds it again: hub id or preset. A local folder has none."""
    base = facts["base"]
    name = str(base.get("hub_id") or base["name"])
    if base.get("hub_id") or name in RETRIEVERS or name in RERANKERS:
        return name
    raise LexError(f"{adapter} was trained on the local model {name}; name its folder with --base")


def _read(path: Path) -> Checks:
    rows = [
        (row["query"], row["pos"][0]) for _, row in read_objects(path, {"query": (str,), "pos": (list,)}) if row["pos"]
    ]
    if not rows:
        raise LexError(f"{path}: holds no row; write one JSON object {{query, pos}} per line")
    return rows


def _agreement(expected: np.ndarray, merged: np.ndarray) -> Agreement:
    gains = np.eye(len(expected))
    rounded = (scores.round(DECIMALS) for scores in (expected, merged))  # else the last bits order what is equal
    before, after = (rank_metrics(scores, gains)["ndcg@10"] for scores in rounded)
    difference = float(np.abs(expected - merged).max())
    if difference > TOLERANCE or round(before, DECIMALS) != round(after, DECIMALS):
        raise LexError(
            f"the merged model differs from the adapter by {difference:.1e} (NDCG@10 {before:.4f}, {after:.4f}); nothing was "
            "written: use the adapter unmerged and report this"
        )
    return Agreement(difference, before, after)
