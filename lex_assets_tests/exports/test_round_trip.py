"""What is exported and read back equals the tables, whatever the texts hold; other tools read it as it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import ir_measures
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.evaluation.trec import read_qrels, read_run
from lex_assets.exports.evaluation_files import beir, trec
from lex_assets.exports.folder import write_export
from lex_assets.exports.source import EvaluationSource, TrainingSource
from lex_assets.exports.training_files import flag_embedding, lexdpr, reranker_rows, sentence_transformers
from lex_assets.passages.stored import read_corpus
from lex_assets.schemas import RUN, content_hash
from lex_assets.training.files import TrainingTables, pair_tables
from lex_assets_tests.exports.made_up import evaluations, lines, sources

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def expected(source: TrainingSource, set_name: str) -> list[tuple[str, list[str], list[str]]]:
    """(question, ids of positives, ids of negatives) of a set, straight from the tables."""
    tables = source.tables
    asked = tables.queries.filter(set=set_name).sort("query_id")
    negatives = {
        q: [n["passage_id"] for n in rows] for q, rows in tables.triplets.select("query_id", "negatives").rows()
    }
    gold: dict[str, list[str]] = {}
    for query_id, passage_id in tables.qrels.sort("query_id", "passage_id").select("query_id", "passage_id").rows():
        gold.setdefault(query_id, []).append(passage_id)
    return [(text, gold[query], negatives.get(query, [])) for query, text in asked.select("query_id", "text").rows()]


def by_text(source: TrainingSource) -> dict[str, str]:
    rows = source.tables.corpus.select("passage_id", "context", "text").rows()
    return {passage_id: f"{context}\n{text}" if context else text for passage_id, context, text in rows}


def scores_of(source: TrainingSource) -> list[tuple[list[float], list[float]]]:
    """Reranker scores of positives and negatives of every question that has negatives."""
    positives = {(q, p): score for q, p, _, score in source.scores.rows()}
    return [
        ([positives[row["query_id"], p] for p in row["positives"]], [n["score_rerank"] for n in row["negatives"]])
        for row in source.tables.triplets.sort("query_id").iter_rows(named=True)
        if row["negatives"]
    ]


def same_training(read: TrainingTables, source: TrainingSource, ids: bool) -> None:
    """The tables that this library trains on are those that were exported."""
    texts, back = by_text(source), by_text(TrainingSource("law", read))
    questions = dict(read.queries.select("query_id", "text").iter_rows())
    found = {
        questions[row["query_id"]]: ([*row["positives"]], [n["passage_id"] for n in row["negatives"]])
        for row in read.triplets.iter_rows(named=True)
    }
    for text, positives, negatives in expected(source, "train"):
        if text not in found:
            assert not negatives  # FlagEmbedding leaves these out, and says so
        elif ids:
            assert found[text] == (positives, negatives)
        else:
            got = [[back[one] for one in side] for side in found[text]]
            assert got == [[texts[one] for one in side] for side in (positives, negatives)]


@few
@given(sources())
def test_flag_embedding(source: TrainingSource) -> None:
    texts = by_text(source)
    with TemporaryDirectory() as folder:
        done = write_export(flag_embedding(source), Path(folder, "out"))
        rows = lines(done.folder / "train.jsonl")
        kept = [row for row in expected(source, "train") if row[2]]
        assert [(r["query"], r["pos"], r["neg"]) for r in rows] == [
            (text, [texts[p] for p in positives], [texts[n] for n in negatives]) for text, positives, negatives in kept
        ]
        assert [(r["pos_scores"], r["neg_scores"]) for r in rows] == scores_of(source)
        left_out = len(expected(source, "train")) - len(kept)
        assert done.manifest["left_out"].get("questions without negatives", 0) == left_out
        if rows:
            same_training(pair_tables(done.folder / "train.jsonl", done.folder / "valid.jsonl"), source, ids=False)


@few
@given(sources())
def test_reranker_rows_and_lexdpr(source: TrainingSource) -> None:
    with TemporaryDirectory() as folder:
        rows = write_export(reranker_rows(source), Path(folder, "rows")).folder
        same_training(pair_tables(rows / "train.jsonl", rows / "valid.jsonl"), source, ids=True)
        assert {row["meta"]["licence"] for row in lines(rows / "train.jsonl")} == {"CC0-1.0"}
        out = write_export(lexdpr(source), Path(folder, "lexdpr")).folder
        corpus = read_corpus(out / "merged_corpus.jsonl")
        assert dict(corpus.select("passage_id", "text").rows()) == by_text(source)
        pairs = pair_tables(out / "pairs_train.jsonl", out / "pairs_train_valid.jsonl", corpus)
        same_training(pairs, source, ids=True)
        valid = [(r["query_text"], r["positive_passages"]) for r in lines(out / "pairs_train_valid.jsonl")]
        assert valid == [(text, positives) for text, positives, _ in expected(source, "valid")]
        _check_lexdpr_passages(out, source.tables.corpus)


def _check_lexdpr_passages(out: Path, corpus: pl.DataFrame) -> None:
    names = ["context", "citation", "doc_id", "family", "source_type", "equivalence_id", "content_hash", "parent_id"]
    merged = {row["id"]: [row[name] for name in names] for row in lines(out / "merged_corpus.jsonl")}
    assert merged == {row["passage_id"]: [row[name] for name in names] for row in corpus.iter_rows(named=True)}
    files = {"law_passages": "law", "admin_passages": "admin_rule", "prec_fallback_passages": "precedent"}
    for file, kind in files.items():
        assert {row["id"] for row in lines(out / f"{file}.jsonl")} == set(corpus.filter(source_type=kind)["passage_id"])


@few
@given(sources())
def test_sentence_transformers(source: TrainingSource) -> None:
    texts, train = by_text(source), expected(source, "train")
    with TemporaryDirectory() as folder:
        out = write_export(sentence_transformers(source), Path(folder, "out")).folder
        pairs = [(row["anchor"], row["positive"]) for row in lines(out / "pair" / "train.jsonl")]
        assert pairs == [(text, texts[one]) for text, positives, _ in train for one in positives]
        triplets = lines(out / "triplet" / "train.jsonl")
        assert {(r["anchor"], r["negative"]) for r in triplets} == {(t, texts[n]) for t, _, ns in train for n in ns}
        assert {(r["anchor"], r["positive"]) for r in triplets} == {
            (t, texts[p]) for t, ps, ns in train if ns for p in ps
        }
        listed = [
            (r["query"], list(zip(r["docs"], r["labels"], strict=True)))
            for r in lines(out / "labeled-list" / "train.jsonl")
        ]
        assert listed == [(t, [(texts[p], 1.0) for p in ps] + [(texts[n], 0.0) for n in ns]) for t, ps, ns in train]
        labelled = [(r["query"], r["passage"], r["label"]) for r in lines(out / "labeled-pair" / "train.jsonl")]
        assert labelled == [(text, *pair) for text, rows in listed for pair in rows]


@few
@given(evaluations())
def test_beir_and_trec(source: EvaluationSource) -> None:
    with TemporaryDirectory() as folder:
        out = write_export(beir(source), Path(folder, "beir")).folder
        corpus = [(row["_id"], row["title"], row["text"]) for row in lines(out / "corpus.jsonl")]
        assert corpus == source.corpus.sort("passage_id").select("passage_id", "context", "text").rows()
        asked = {row["_id"]: (row["text"], row["metadata"]) for row in lines(out / "queries.jsonl")}
        runs = write_export(trec(source), Path(folder, "trec")).folder
        for one, name in zip(source.questions["test"], ("test", "test_unseen_law"), strict=True):
            gold = one.qrels.sort("query_id", "passage_id")
            assert read_qrels(out / "qrels" / f"{name}.tsv").equals(gold)
            assert read_qrels(runs / "qrels" / f"{name}.txt").equals(gold)
            assert {q: asked[q][0] for q in one.queries["query_id"]} == dict(
                one.queries.select("query_id", "text").rows()
            )
            assert all(asked[q][1]["exclude"] == sorted(one.exclude.get(q, ())) for q in one.queries["query_id"])
            for system in ("bm25", "dense"):
                ranked = source.run.filter(system=system).join(one.queries, on="query_id", how="semi")
                assert read_run(runs / "runs" / name / f"{system}.txt").equals(ranked.sort("query_id", "rank"))


def test_ir_measures_scores_the_exported_files_as_this_library_does(toy, tmp_path: Path) -> None:
    asked = toy.queries.with_columns(set=pl.lit("test"))
    ranked = [
        {"query_id": query_id, "passage_id": one, "rank": rank, "score": 1 / rank, "system": "bm25"}
        for query_id in asked["query_id"]
        for rank, one in enumerate(sorted(toy.corpus["passage_id"], key=lambda one: content_hash(query_id, one)), 1)
    ]
    questions = QuestionSet("unseen_query", asked, toy.qrels, toy.corpus, {})
    source = EvaluationSource("law", {"test": [questions]}, toy.corpus, RUN.frame(ranked))
    out = write_export(trec(source), tmp_path / "trec").folder
    gold = ir_measures.read_trec_qrels(str(out / "qrels" / "test.txt"))
    run = ir_measures.read_trec_run(str(out / "runs" / "test" / "bm25.txt"))
    theirs = {m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.RR @ 10], gold, run)}
    ours = per_query(source.run, toy.qrels, ["mrr@10"], unit="passage")
    assert dict(ours.select("query_id", "mrr@10").iter_rows()) == pytest.approx(theirs)


def test_datasets_and_the_trainer_take_the_folder_as_it_is(toy, bi_encoder_folder, tmp_path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is in the extra `benchmarks`")
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    source = TrainingSource("law", TrainingTables(**toy.tables))
    out = write_export(sentence_transformers(source), tmp_path / "out").folder
    for name in ("pair", "triplet", "labeled-pair", "labeled-list"):
        data = datasets.load_dataset(str(out), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert data.to_list() == lines(out / name / "train.jsonl")
    data = datasets.load_dataset(str(out), "triplet", split="train", cache_dir=str(tmp_path / "cache"))
    model = SentenceTransformer(str(bi_encoder_folder), device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path / "trained"),
        max_steps=1,
        per_device_train_batch_size=8,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
    )
    trainer = SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model))
    assert trainer.train().global_step == 1
