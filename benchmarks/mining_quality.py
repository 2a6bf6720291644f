"""Are the mined negatives worth it, and how many are answers in truth? `python -m benchmarks.mining_quality --shared ../shared`

On `bench/core`, split as the pipeline splits it. One half of the training decisions trains a reranker; the other half is
mined with it, so that no model has seen the labels of the questions that it mines for.

1. False negatives: one of several labelled articles is hidden from all questions of a split group, negatives are mined from
   what is left, and the hidden articles among them are counted. "top 7 by reranker" is compared at equal yield and, by
   skipping its first ranks, at the mean reranker score of our negatives.
2. Training: the same adapter training on the negatives of each system, NDCG@10 over all articles for the test questions.
   Settings were chosen on the validation questions: variants are trained once and shown with their validation score only.

Seen, 700 mined questions: of 288 hidden articles "top 7 by reranker" mines 34.7 %, we 2.8 %; at our yield and mean logit the
reranker's ranking mines 6.2 % (ours 0.44 of it), with hard negatives only 8.8 % (0.31). Test NDCG@10, three seeds: ours .3815,
random .3782, sentence-transformers .3782, BM25 .3737, top 7 by reranker .3596, no training .3762; seeds differ by +- .003 to
.008, so that only the last two trainings are clearly behind.

sentence-transformers needs its extra (`pip install -e .[benchmarks] -c constraints.txt`). Finished parts are kept in `--work`
and not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import datasets
import numpy as np
import polars as pl
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives as peer_mining

from benchmarks.core_tables import CoreTables, load
from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import Mined, mine_hard_negatives
from lex_assets.mining.pools import KEY, DenseSearch, candidate_pool, excluded_pairs, hit_rules, raw_hits
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.presets import BUILTIN, RETRIEVERS
from lex_assets.models.reranker import Reranker
from lex_assets.queries.split import draw
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.search import corpus_texts
from lex_assets.schemas import TRIPLETS, content_hash
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever

SEED, WANTED, DEPTH, MOST_LABELS = 7, 7, 30, 5
QUERY_TOKENS, PASSAGE_TOKENS, PAIR_TOKENS = 48, 64, 112
OURS = MiningConfig(rerank_depth=DEPTH, rerank_chunk=DEPTH, enough=10.0)
"""All systems read the same number of pairs: the budget that adapts is what `mining_speed.py` measures."""

ALL_HARD = OURS.model_copy(update={"hard": WANTED, "mid": 0})

Negatives = dict[str, list[str]]
"""Query → passages."""


# ------------------------------------------------------------------------------------------------------------- material


class RememberedScorer:
    """A reranker that reads a pair once, also over restarts, as PairScorer and as what sentence-transformers calls."""

    def __init__(self, reranker: Reranker, path: Path) -> None:
        self.reranker, self.path = reranker, path
        self.known: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        keys = [content_hash(*pair)[:24] for pair in pairs]
        new = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self.known}
        if new:
            scores = self.reranker.score(list(new.values()), batch_size)
            self.known.update(zip(new, map(float, scores), strict=True))
        if len(new) > 200:
            self.path.write_text(json.dumps(self.known), "utf-8")
        return np.array([self.known[key] for key in keys], np.float32)

    def predict(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64, **_: object) -> torch.Tensor:
        return torch.from_numpy(self.score(pairs, batch_size))


@dataclass
class Bench:
    """All that the systems mine with. queries: of the mined half · scorer: the reranker that the other half trained."""

    tables: CoreTables
    queries: pl.DataFrame
    lexical: LexicalIndex
    dense: DenseSearch
    scorer: RememberedScorer

    @property
    def texts(self) -> dict[str, str]:
        """Passage id → what is indexed."""
        return corpus_texts(self.tables.corpus)


def halves(tables: CoreTables) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training questions that train the reranker, and those that are mined; a split group is never divided."""
    many = tables.qrels.group_by("query_id").len().filter(pl.col("len") > MOST_LABELS)
    asked = tables.asked("train").join(many, on="query_id", how="anti")
    first = pl.Series([draw("half", group, SEED) < 0.5 for group in asked["split_group"]])
    return asked.filter(first), asked.filter(~first)


def prepared(tables: CoreTables, work: Path, limit: int) -> Bench:
    texts = corpus_texts(tables.corpus)
    lexical = LexicalIndex.build(list(texts), list(texts.values()))
    learning, mined = halves(tables)
    mined = mined.sort("query_id").sample(min(limit, len(mined)), seed=SEED)
    adapter = work / "reranker"
    if not adapter.exists():
        _train_reranker(tables, learning, lexical, adapter)
    reranker = Reranker(peft_adapter_path=str(adapter), dtype="bfloat16", max_seq_length=PAIR_TOKENS)
    encoder = BiEncoder(BUILTIN, dtype="bfloat16")
    asked = pl.concat([mined, tables.asked("valid")])
    dense = DenseSearch.encode(encoder, asked, tables.corpus, work / "embeddings")
    return Bench(tables, mined, lexical, dense, RememberedScorer(reranker, work / "scores.json"))


def _train_reranker(tables: CoreTables, queries: pl.DataFrame, lexical: LexicalIndex, out: Path) -> None:
    negatives = _lexical_negatives(queries, tables.qrels, tables.corpus, lexical)
    config = RerankerTrainingConfig(
        seed=SEED, epochs=1, precision="bf16", max_length=PAIR_TOKENS, negatives_per_query=5, evaluations=1,
        valid_queries=40, valid_candidates=20, require_gain=False, checkpoint_steps=0,
    )  # fmt: skip
    asked = pl.concat([queries, tables.asked("valid")])
    rows = triplets(negatives, queries, tables.qrels)
    result = train_reranker(BUILTIN, rows, asked, tables.qrels, tables.corpus, config, out)
    print(f"reranker: {result.metric_name} {result.base_metric:.3f} → {result.best_metric:.3f}", flush=True)


# -------------------------------------------------------------------------------------------------------------- systems


def pool(bench: Bench, qrels: pl.DataFrame) -> pl.DataFrame:
    """The candidates that every reranking system reads: the best DEPTH of BM25 and dense search together."""
    hits = raw_hits(bench.queries, bench.lexical, bench.dense, OURS)
    corpus, held = bench.tables.corpus, bench.tables.held_out
    rules = hit_rules(hits, excluded_pairs(bench.queries, qrels, corpus), corpus, held)
    merged = candidate_pool(hits, rules, OURS).sort(
        ["query_id", "fused", "passage_id"], descending=[False, True, False]
    )
    return merged.group_by("query_id", maintain_order=True).head(DEPTH)


def with_scores(bench: Bench, pairs: pl.DataFrame) -> pl.DataFrame:
    asked, texts = dict(bench.queries.select("query_id", "text").iter_rows()), bench.texts
    scores = bench.scorer.score([(asked[q], texts[p]) for q, p in pairs.select(KEY).iter_rows()])
    return pairs.with_columns(score=pl.Series(scores))


def ranked_by_reranker(bench: Bench, qrels: pl.DataFrame) -> Negatives:
    """All candidates of the pool, best logit first."""
    scored = with_scores(bench, pool(bench, qrels))
    scored = scored.sort(["query_id", "score", "passage_id"], descending=[False, True, False])
    return dict(scored.group_by("query_id", maintain_order=True).agg("passage_id").iter_rows())


def ours(bench: Bench, qrels: pl.DataFrame, config: MiningConfig = OURS) -> Mined:
    asked = pl.concat([bench.queries, bench.tables.asked("valid")])
    tables = bench.tables
    return mine_hard_negatives(
        asked, qrels, tables.corpus, bench.lexical, bench.dense, bench.scorer, config, held_out_families=tables.held_out
    )


def _lexical_negatives(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, lexical: LexicalIndex
) -> Negatives:
    barred = _barred(queries, qrels, corpus)
    hits = lexical.search(queries["text"].to_list(), 50)
    return {
        query: [p for p, _ in found if p not in barred[query]][:WANTED]
        for query, found in zip(queries["query_id"], hits, strict=True)
    }


def _random_negatives(bench: Bench, qrels: pl.DataFrame) -> Negatives:
    barred, ids = _barred(bench.queries, qrels, bench.tables.corpus), sorted(bench.tables.corpus["passage_id"])
    random = np.random.default_rng(SEED)
    draws = {query: random.choice(len(ids), WANTED + 20, replace=False) for query in bench.queries["query_id"]}
    return {query: [ids[n] for n in rows if ids[n] not in barred[query]][:WANTED] for query, rows in draws.items()}


def _barred(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, set[str]]:
    pairs = excluded_pairs(queries, qrels, corpus).group_by("query_id").agg("passage_id")
    return {query: set(passages) for query, passages in pairs.iter_rows()}


def peer(bench: Bench, qrels: pl.DataFrame, **options: object) -> Negatives:
    """sentence-transformers over the same models; a question's rows, one per positive, are put together."""
    texts, asked = bench.texts, bench.queries
    rows = qrels.join(asked.select("query_id", "text"), on="query_id").sort(KEY)
    table = {"anchor": rows["text"].to_list(), "positive": [texts[p] for p in rows["passage_id"]]}
    model = SentenceTransformer(RETRIEVERS[BUILTIN].hub_id, device="cpu", model_kwargs={"dtype": torch.bfloat16})
    model.max_seq_length = 128
    mined = peer_mining(
        datasets.Dataset.from_dict(table), model, corpus=list(dict.fromkeys(texts.values())), num_negatives=WANTED,
        output_format="n-tuple", sampling_strategy="top", verbose=False, **options,
    )  # fmt: skip
    passage, query = {text: i for i, text in texts.items()}, dict(asked.select("text", "query_id").iter_rows())
    found: Negatives = {}
    for row in mined:
        negatives = found.setdefault(query[row["anchor"]], [])
        negatives += [i for n in range(1, WANTED + 1) if (i := passage[row[f"negative_{n}"]]) not in negatives]
    barred = _barred(asked, qrels, bench.tables.corpus)
    return {q: [p for p in found.get(q, ()) if p not in barred[q]][:WANTED] for q in asked["query_id"]}


def selected(mined: Mined) -> Negatives:
    return {
        q: [n["passage_id"] for n in rows] for q, rows in mined.triplets.select("query_id", "negatives").iter_rows()
    }


SYSTEMS: dict[str, Callable[[Bench, pl.DataFrame], Negatives]] = {
    "ours": lambda b, q: selected(ours(b, q)),
    "random": _random_negatives,
    "BM25": lambda b, q: _lexical_negatives(b.queries, q, b.tables.corpus, b.lexical),
    "sentence-transformers, reranker": lambda b, q: peer(
        b, q, range_max=DEPTH, relative_margin=0.05, cross_encoder=b.scorer
    ),
    "top 7 by reranker": lambda b, q: {i: ids[:WANTED] for i, ids in ranked_by_reranker(b, q).items()},
}
VARIANTS: dict[str, Callable[[Bench, pl.DataFrame], Negatives]] = {
    "sentence-transformers": lambda b, q: peer(b, q, range_max=50, relative_margin=0.05),
    "ours, no similar questions": lambda b, q: selected(
        ours(b, q, OURS.model_copy(update={"question_similarity": 0.0}))
    ),
}


# ------------------------------------------------------------------------------------------------------ false negatives


def hide(bench: Bench) -> tuple[pl.DataFrame, set[tuple[str, str]]]:
    """qrels without the hidden articles, and the hidden (query, article) pairs: one article of every mined question that
    has several, hidden from all questions of its split group."""
    rows = bench.tables.qrels.join(bench.queries.select("query_id", "split_group"), on="query_id")
    hidden: set[tuple[str, str]] = set()
    for (group,), found in sorted(rows.group_by("split_group")):
        common = found.group_by("query_id").agg(pl.col("passage_id").sort()).sort("query_id")
        many = [articles for _, articles in common.iter_rows() if len(articles) > 1]
        if many:
            article = min(many[0], key=lambda a: draw("hidden", f"{group}/{a}", SEED))
            alone = any(articles == [article] for _, articles in common.iter_rows())
            hidden |= set() if alone else {(q, article) for q, articles in common.iter_rows() if article in articles}
    pairs = pl.DataFrame(sorted(hidden), schema={"query_id": pl.String, "passage_id": pl.String}, orient="row")
    return bench.tables.qrels.join(pairs, on=KEY, how="anti"), hidden


def rate(negatives: Negatives, hidden: Iterable[tuple[str, str]]) -> float:
    pairs = list(hidden)
    return sum(article in negatives.get(query, ()) for query, article in pairs) / len(pairs)


def mean_score(bench: Bench, negatives: Negatives) -> float:
    pairs = pl.DataFrame([(q, p) for q, ids in negatives.items() for p in ids], schema=KEY, orient="row")
    return float(with_scores(bench, pairs)["score"].mean())


def false_negatives(bench: Bench) -> None:
    qrels, hidden = hide(bench)
    order = ranked_by_reranker(bench, qrels)
    rows = {"top 7 by reranker": {q: ids[:WANTED] for q, ids in order.items()}}
    rows |= {name: SYSTEMS[name](bench, qrels) for name in ("BM25", "sentence-transformers, reranker")}
    print(f"\n{len(hidden):,} hidden articles; negatives per query, mean logit, hidden articles mined:")
    for name, negatives in rows.items():
        _show(bench, name, negatives, hidden)
    for name, config in {"ours": OURS, "ours, all hard": ALL_HARD}.items():
        mined = ours(bench, qrels, config)
        negatives = selected(mined)
        logit, share = _show(bench, name, negatives, hidden)
        curve = [
            (mean_score(bench, skipped), rate(skipped, hidden))
            for skip in range(17)
            for skipped in [{q: order.get(q, [])[skip : skip + len(ids)] for q, ids in negatives.items()}]
        ]
        logits, rates = zip(*sorted(curve), strict=True)
        equal = float(np.interp(logit, logits, rates))
        print(
            f"  reranker's ranking at the same yield and mean logit: {equal:.3f}; ours {share / equal:.2f} of it (target 0.5)"
        )
        print("  estimated by the audit itself:", json.dumps(mined.report["hidden_gold"]), flush=True)


def _show(bench: Bench, name: str, negatives: Negatives, hidden: set[tuple[str, str]]) -> tuple[float, float]:
    size, found = (
        np.mean([len(ids) for ids in negatives.values()]),
        (mean_score(bench, negatives), rate(negatives, hidden)),
    )
    print(f"{name:40}{size:6.2f}{found[0]:9.3f}{found[1]:9.3f}", flush=True)
    return found


# ------------------------------------------------------------------------------------------------------------- training


def triplets(negatives: Negatives, queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    empty = dict.fromkeys(("rank_lexical", "rank_dense", "score_dense", "score_rerank"))
    positives = qrels.join(queries.select("query_id"), on="query_id").sort(KEY)
    return TRIPLETS.frame(
        {
            "query_id": query,
            "positives": ids,
            "negatives": [{"passage_id": p, "pool": "", "verdict": "", **empty} for p in negatives.get(query, ())],
        }
        for query, ids in positives.group_by("query_id", maintain_order=True).agg("passage_id").iter_rows()
    )


def trained(bench: Bench, negatives: Negatives, seed: int, out: Path) -> BiEncoder:
    """The retriever after the same training on these negatives."""
    config = RetrieverTrainingConfig(
        seed=seed, epochs=1, batch_size=16, precision="bf16", negatives_per_query=3, query_max_length=QUERY_TOKENS,
        passage_max_length=PASSAGE_TOKENS, evaluations=1, valid_queries=10, valid_pool=50, require_gain=False,
        checkpoint_steps=0, lora_dropout=0.0,
    )  # fmt: skip
    rows, tables = triplets(negatives, bench.queries, bench.tables.qrels), bench.tables
    asked = pl.concat([bench.queries, tables.asked("valid")])
    train_retriever(BUILTIN, rows, asked, tables.qrels, tables.corpus, config, out, lexical=bench.lexical)
    return _cutting(peft_adapter_path=str(out))


def measured(bench: Bench, encoder: BiEncoder) -> dict[str, float]:
    """NDCG@10 over all articles of the valid and of the test questions."""
    index = DenseIndex.encode(encoder, list(bench.texts), list(bench.texts.values()))
    return {name: ndcg(bench, encoder, index, name) for name in ("valid", "test")}


def ndcg(bench: Bench, encoder: BiEncoder, index: DenseIndex, name: str) -> float:
    asked = bench.tables.asked(name)
    labels = bench.tables.qrels.join(asked, on="query_id", how="semi").group_by("query_id").agg("passage_id")
    gold = {query: set(passages) for query, passages in labels.iter_rows()}
    hits = index.search(encoder.encode_queries(asked["text"].to_list()), 10)
    discount = 1 / np.log2(np.arange(2, 12))
    scores = [
        sum(d for (p, _), d in zip(found, discount, strict=True) if p in gold[q]) / discount[: len(gold[q])].sum()
        for q, found in zip(asked["query_id"], hits, strict=True)
    ]
    return float(np.mean(scores))


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What `path` holds as JSON, made first where it does not exist."""
    if not path.exists():
        made = json.dumps(make(), ensure_ascii=False)
        path.write_text(made, "utf-8")
    return json.loads(path.read_text("utf-8"))


def training(bench: Bench, seeds: Sequence[int], work: Path, chosen: Sequence[str]) -> None:
    """Train and measure what is not measured yet; the test set is shown for SYSTEMS, which validation chose."""
    systems = {name: mine for name, mine in (SYSTEMS | VARIANTS).items() if not chosen or name in chosen}
    base = kept(work / "result-base.json", lambda: measured(bench, _cutting()))
    print(
        f"\nNDCG@10, seeds {list(seeds)}{'':14}valid     test\n{'no training':38}{base['valid']:.4f}    {base['test']:.4f}"
    )
    for name, mine in systems.items():
        slug = re.sub(r"\W+", "-", name)
        negatives = kept(work / f"negatives-{slug}.json", lambda mine=mine: mine(bench, bench.tables.qrels))
        scores = []
        for seed in seeds if name in SYSTEMS else seeds[:1]:
            folder = work / f"adapter-{slug}-{seed}"
            make = lambda seed=seed, folder=folder, n=negatives: measured(bench, trained(bench, n, seed, folder))  # noqa: E731
            scores.append(kept(work / f"result-{slug}-{seed}.json", make))
        valid, test = ([score[part] for score in scores] for part in ("valid", "test"))
        shown = f"{np.mean(test):.4f} ± {np.std(test):.4f}   {[round(t, 4) for t in test]}" if name in SYSTEMS else "—"
        print(f"{name:38}{np.mean(valid):.4f}    {shown}", flush=True)


def _cutting(**options: str) -> BiEncoder:
    """Passages are cut as in training; windows would make the same comparison at several times the cost."""
    return BiEncoder(BUILTIN, dtype="bfloat16", passage_max_seq_length=PASSAGE_TOKENS, window_overlap=None, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path("data/mining_quality"), help="folder of finished parts")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--queries", type=int, default=700, help="mined questions, at most")
    parser.add_argument("--systems", nargs="+", default=[], help="train these only")
    parser.add_argument("--part", choices=("all", "false-negatives", "training"), default="all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = prepared(load(options.shared), options.work, options.queries)
    print(f"{len(bench.queries):,} questions mined over {len(bench.texts):,} articles", flush=True)
    if options.part != "training":
        false_negatives(bench)
    if options.part != "false-negatives":
        training(bench, options.seeds, options.work, options.systems)


if __name__ == "__main__":
    main()
