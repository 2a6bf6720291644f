"""Made-up runs, labels and whole reports, for tests and for looking at the page."""

from __future__ import annotations

import json
import random
from typing import Any

import polars as pl

from lex_assets.evaluation.report import EvalReport, ReportConfig, build_report
from lex_assets.evaluation.significance import ComparisonConfig
from lex_assets.schemas import PASSAGES, QRELS, QUERIES, RUN

LAWS = {
    "공유주거 임대차에 관한 법률": ["보증금", "차임", "해지", "수선의무", "우선변제", "대항력", "갱신", "공용공간"],
    "돌봄서비스 계약에 관한 법률": ["설명의무", "철회", "이용료", "비밀유지", "손해배상", "계약해제", "대리인", "기록"],
    "소규모 협동사업체 기본법": ["조합원", "총회", "이사회", "배당", "탈퇴", "감사", "정관", "해산"],
    "무인이동체 손해배상 보장법": ["운행자", "보험가입", "책임", "면책", "구상권", "사고조사", "기록장치", "시효"],
}
QUALITY = {
    "bm25": 0.42,
    "base_dense": 0.46,
    "base_hybrid": 0.52,
    "base_hybrid_rerank": 0.56,
    "adapter_dense": 0.60,
    "adapter_hybrid": 0.62,
    "adapter_hybrid_rerank": 0.66,
}


def run_of(rankings: dict[str, list[str]], system: str = "s") -> pl.DataFrame:
    """A run from ranked ids per query."""
    return RUN.frame(
        {"query_id": q, "passage_id": p, "rank": i, "score": -float(i), "system": system}
        for q, passages in rankings.items()
        for i, p in enumerate(passages, start=1)
    )


def qrels_of(labels: dict[str, dict[str, int]]) -> pl.DataFrame:
    """Labels from grades per passage per query."""
    return QRELS.frame(
        {"query_id": q, "passage_id": p, "grade": g} for q, grades in labels.items() for p, g in grades.items()
    )


def corpus() -> pl.DataFrame:
    """Four statutes of eight articles with two paragraphs each."""
    rows = []
    for number, (law, topics) in enumerate(LAWS.items(), start=1):
        for article, topic in enumerate(topics, start=1):
            for paragraph in ("①", "②"):
                parent = f"LAW_90020{number}_제{article}조"
                rows.append(_passage(law, f"LAW_90020{number}", parent, article, paragraph, topic))
    return PASSAGES.frame(rows)


def _passage(law: str, doc_id: str, parent: str, article: int, paragraph: str, topic: str) -> dict[str, Any]:
    body = {
        "①": f"{topic}에 관한 약정은 서면으로 하여야 하며, 당사자는 {topic}의 내용과 범위를 계약을 맺기 전에 상대방에게 설명하고 "
        "그 증거를 남겨야 한다. 다만, 상대방이 사업자인 경우에는 그러하지 아니하다.",
        "②": f"제1항을 위반하여 {topic}을(를) 정한 약정은 효력이 없고, 그로 인하여 손해를 입은 당사자는 배상을 청구할 수 있다.",
    }[paragraph]
    return {
        "passage_id": f"{parent}_{paragraph}",
        "doc_id": doc_id,
        "parent_id": parent,
        "domain": "law",
        "source_type": "law",
        "family": law,
        "context": f"{law} > 제2장 계약 > 제{article}조({topic})",
        "text": f"{paragraph} {body}",
        "citation": f"{law} 제{article}조제{'①②'.index(paragraph) + 1}항",
        "unit": "항",
        "effective_date": "20250101",
        "equivalence_id": f"{parent}_{paragraph}",
        "content_hash": "0" * 64,
    }


def queries(n: int = 240, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(queries, qrels): all sets, both regimes, human and synthetic; two queries to a split group."""
    rng, rows, labels = random.Random(seed), [], {}
    passages = corpus()
    articles = sorted(passages["parent_id"].unique())
    topics = {row["parent_id"]: row["context"].split("(")[-1].rstrip(")") for row in passages.to_dicts()}
    for i in range(n):
        gold = rng.sample(articles, rng.choice([1, 1, 2]))
        topic, query_id = topics[gold[0]], f"Q_PREC_{100000 + i}_1_law"
        held_out = gold[0].startswith("LAW_900204")
        text = (
            f"임차인이 계약 체결 당시 {topic}에 관하여 충분한 설명을 듣지 못한 채 서명한 경우 그 약정의 효력을 부인하고 "
            f"손해의 배상을 구할 수 있는지 여부(적극){' 및 그 판단 기준' if i % 3 == 0 else ''}"
        )
        rows.append(
            {
                "query_id": query_id,
                "domain": "law",
                "origin": rng.choices(["citation", "delegation", "synthetic"], [6, 1, 2])[0],
                "text": text,
                "split_group": f"PREC_{100000 + i // 2}",
                "set": rng.choices(["train", "valid", "promotion", "test"], [2, 1, 1, 6])[0],
                "regime": "unseen_law" if held_out else "unseen_query",
                "doc_id": f"PREC_{100000 + i}",
                "decided": "20240101",
                "meta": json.dumps({"boilerplate": gold[:1]} if i % 7 == 0 else {}),
            }
        )
        labels[query_id] = {f"{one}_{'①' if j == 0 else '②'}": 2 - min(j, 1) for j, one in enumerate(gold)}
    return QUERIES.frame(rows), qrels_of(labels)


def runs(
    asked: pl.DataFrame, qrels: pl.DataFrame, quality: dict[str, float] | None = None, seed: int = 0
) -> pl.DataFrame:
    """Rankings in which a gold passage comes first with the probability that `quality` gives its system."""
    rng, frames = random.Random(seed), []
    ids = corpus()["passage_id"].to_list()
    gold = {q: list(ps) for q, ps in qrels.group_by("query_id").agg("passage_id").sort("query_id").iter_rows()}
    wanted = asked.filter(pl.col("set").is_in(["test", "promotion"]))["query_id"].to_list()
    luck = {q: rng.random() for q in wanted}
    for system, share in (quality or QUALITY).items():
        rankings = {q: _ranking(rng, ids, gold[q], luck[q] * 0.6 + rng.random() * 0.4 < share) for q in wanted}
        frames.append(run_of(rankings, system))
    return pl.concat(frames)


def _ranking(rng: random.Random, ids: list[str], gold: list[str], good: bool) -> list[str]:
    others = rng.sample([one for one in ids if one not in gold], 25)
    for one in sorted(gold):
        others.insert(rng.randint(0, 2) if good else rng.randint(3, 25), one)
    return others


def history(steps: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """A training history as the training room writes it."""
    rng, rows = random.Random(seed), []
    for step in range(steps + 1):
        progress = step / steps
        metric = 0.46 + 0.14 * (1 - (1 - progress) ** 2) if step % 15 == 0 else None
        loss = None if step == 0 else 4.2 * (0.25 + 0.75 * (1 - progress) ** 2) + rng.uniform(-0.2, 0.2)
        rows.append({"step": step, "loss": loss, "chance": 4.85, "metric": metric, "learning_rate": 1e-4})
    return rows


def mining_report(seed: int = 0) -> dict[str, Any]:
    """A mining report as the mining room writes it."""
    rng = random.Random(seed)
    edges = [round(-0.2 + i * 0.05, 3) for i in range(25)]
    shape = lambda centre: [int(400 * 2.7 ** (-(((e - centre) / 0.15) ** 2)) + rng.randint(0, 9)) for e in edges[:-1]]  # noqa: E731
    scores = {"edges": edges, "counts": {"positive": shape(0.7), "negative": shape(0.4), "false_negative": shape(0.75)}}
    return {
        "queries": 1204,
        "candidates": 98211,
        "negatives": 8314,
        "negatives_per_query": 6.905,
        "drops": {"positive": 1520, "equivalent": 212, "own_document": 4021, "false_negative_dense": 3120},
        "fill": {"full": 1160, "filtered": 31, "pool_short": 13},
        "pools": {
            "candidates": {"lexical+dense": 1, "dense": 1},
            "negatives": {"lexical+dense": 2511, "dense": 3702, "lexical": 2101},
        },
        "scores": {"score_dense": scores},
        "hidden_gold": {
            "hidden": 412,
            "survived": 122,
            "selected": 31,
            "survived_rate": 0.296,
            "selected_rate": 0.0752,
        },
        "examples": [{"query_id": "x"}],
    }


FAST = ReportConfig(comparison=ComparisonConfig(n_flips=2000, n_bootstraps=1000))


def report(config: ReportConfig | None = FAST, n: int = 240, **changes: Any) -> EvalReport:
    """A whole report."""
    asked, qrels = queries(n)
    training = {
        name: {
            "history": history(seed=i),
            "chance": 4.85,
            "base_metric": 0.46,
            "best_metric": 0.6,
            "best_step": 60,
            "steps": 60,
            "metric_name": "ndcg@10",
            "pattern": "converged",
        }
        for i, name in enumerate(("retriever", "reranker"))
    }
    arguments: dict[str, Any] = {
        "run": runs(asked, qrels),
        "queries": asked,
        "qrels": qrels,
        "corpus": corpus(),
        "config": config,
        "training": training,
        "mining": mining_report(),
        "provenance": {
            "코드 code": "lex_assets 0.1.0 (3f2c9a1)",
            "말뭉치 corpus": "9b1c" * 16,
            "기본 모델 base": "builtin/retriever@5e1f0c",
            "검색기 어댑터 retriever": "a81d4c9e2b7f",
            "시드 seed": "13",
        },
    }
    return build_report("law", **(arguments | changes))
