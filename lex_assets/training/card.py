"""The card of a trained model: what it is made from, what it reached, what it is for. Korean, then English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LOADERS = {"retriever": "SentenceTransformer", "reranker": "CrossEncoder"}
_TASKS = {"retriever": "sentence-similarity", "reranker": "text-ranking"}
_USES = {
    "retriever": (
        "한국어 법률·금융 문서에서 질문과 관련된 단락을 찾는 검색기",
        "a retriever of passages for questions about Korean legal and financial documents",
    ),
    "reranker": (
        "검색된 한국어 법률·금융 단락을 질문과의 관련도로 다시 정렬하는 재순위기",
        "a reranker of retrieved Korean legal and financial passages",
    ),
}


def model_card(facts: Mapping[str, Any], whole: bool) -> str:
    """README.md of the folder whose `training_config.json` holds `facts`. whole: a model, not an adapter beside its base."""
    kind, base, data, result = (facts[name] for name in ("kind", "base", "data", "result"))
    library, tag = ("sentence-transformers" if whole else "peft"), facts["config"].get("tuning", "lora")
    what = ("모델", "model") if whole else ("어댑터", "adapter")
    loading = f"{_LOADERS[kind]}(this_folder)" if whole else "PeftModel.from_pretrained(base_model, this_folder)"
    revision = f" @ {base['revision']}" if base["revision"] else ""
    metric = f"{result['metric_name']} {result['base_metric']:.4f} → {result['best_metric']:.4f}"
    licences = "; ".join(data.get("licences", ["not stated"]))
    korean, english = _USES[kind]
    return f"""---
base_model: {base.get("hub_id") or base["name"]}
language: ko
library_name: {library}
pipeline_tag: {_TASKS[kind]}
tags: [{tag}, {kind}]
---
# {kind} {what[1]}

## 한국어

{korean}의 {what[0]}입니다. 법률 자문이나 판단을 대신하지 않으며, 학습에 없던 법령과 질문에서는 성능이 다를 수 있습니다.

- 기반: {base["name"]}{revision}, 가중치 sha256 {base["weights_hash"][:16]}, 사용 허락 {base["licence"]}
- 데이터: 학습 질의 {data["queries"]:,}개, 어려운 음성 {data["negatives"]:,}개, 단락 {data["passages"]:,}개, sha256 {data["hash"][:16]}
- 데이터의 사용 허락: {licences}
- 검증(질의 {data["valid_queries"]:,}개): {metric} (기반 → 학습 후, {result["best_step"]} 스텝)

검증 수치는 체크포인트를 고르는 데 쓴 값이고 시험 성적이 아닙니다. `{loading}`로 읽습니다.

## English

The {what[1]} of {english}. It is no legal advice; on laws and questions unlike its training data it may do worse.

- base: {base["name"]}{revision}, weights sha256 {base["weights_hash"][:16]}, licence {base["licence"]}
- data: {data["queries"]:,} training queries, {data["negatives"]:,} hard negatives, {data["passages"]:,} passages, sha256 {data["hash"][:16]}
- licences of the data: {licences}
- validation ({data["valid_queries"]:,} queries): {metric} (base → trained, step {result["best_step"]})

The validation figure chose the checkpoint; it is no test result. Load it with `{loading}`.

`training_config.json`: settings, hashes, versions, device.
"""
