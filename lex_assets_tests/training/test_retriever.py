from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.reranker import Reranker
from lex_assets.models.weights import read_training_config
from lex_assets.schemas import LexError
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.data import ArticleColumns, gain_matrix, training_data
from lex_assets.training.loop import StepReport
from lex_assets.training.losses import distillation_kl
from lex_assets.training.metrics import rank_metrics
from lex_assets.training.retriever import RetrieverTask, train_retriever
from lex_assets.training.sampling import epoch_batches
from lex_assets.training.step import MicroBatches, backward
from lex_assets.training.verdict import TrainingError

FAST = {"epochs": 12, "batch_size": 12, "learning_rate": 5e-3, "lora_alpha": 64, "temperature": 0.1} | {
    "valid_pool": 36,
    "patience": 0,
}


def train(toy, base: Path, out_dir: Path, on_step=None, **options):
    config = RetrieverTrainingConfig(**(FAST | options))
    return train_retriever(
        str(base), **toy.tables, config=config, out_dir=out_dir, on_step=on_step, lexical=toy.search()
    )


@pytest.fixture(scope="module")
def trained(bi_encoder_folder, tmp_path_factory):
    from lex_assets_tests.training.conftest import Toy

    reports: list[StepReport] = []
    result = train(Toy(), bi_encoder_folder, tmp_path_factory.mktemp("out") / "adapter", reports.append)
    return result, reports


def test_loss_falls_below_chance_and_ranking_improves(trained) -> None:
    result, _ = trained
    assert result.final_loss < 0.7 * result.chance
    assert result.best_metric > result.base_metric + 0.2
    assert result.pattern in ("converged", "overfit")


def test_progress_reports_steps_loss_metric_and_eta(trained) -> None:
    result, reports = trained
    assert [r.step for r in reports if r.loss is not None] == list(range(1, result.steps + 1))
    assert reports[0].step == 0 and reports[0].metric == result.base_metric
    assert reports[-1].total_steps == result.steps and reports[-1].eta_s == 0
    assert "ETA" in reports[1].line and "chance" in reports[1].line


def test_plain_peft_loads_the_folder_and_serving_gives_the_same_vectors(trained, bi_encoder_folder, toy) -> None:
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    result, _ = trained
    texts = toy.queries["text"].to_list()
    model = SentenceTransformer(str(bi_encoder_folder), device="cpu")
    PeftModel.from_pretrained(model[0].model, str(result.adapter_dir))
    plain = model.encode(texts, normalize_embeddings=True)
    served = BiEncoder(str(bi_encoder_folder), peft_adapter_path=str(result.adapter_dir)).encode_queries(texts)
    base = BiEncoder(str(bi_encoder_folder)).encode_queries(texts)
    assert abs(plain - served).max() < 1e-5
    assert abs(base - served).max() > 0.05


def test_saved_adapter_scores_what_validation_measured(trained, bi_encoder_folder, toy) -> None:
    """The folder holds the best checkpoint: serving it gives the validation metric again."""
    result, _ = trained
    config = RetrieverTrainingConfig(**FAST)
    data = training_data(**toy.tables, config=config)
    encoder = BiEncoder(str(bi_encoder_folder), peft_adapter_path=str(result.adapter_dir))
    pool = sorted(data.passages)
    cosines = encoder.encode_queries(data.valid.texts) @ encoder.encode_passages([data.passages[p] for p in pool]).T
    columns = ArticleColumns.of(pool, data.parents)
    gains = gain_matrix(data.valid, [columns.articles] * len(data.valid.texts))
    assert rank_metrics(columns.collapse(cosines), gains)["ndcg@10"] == pytest.approx(result.best_metric, abs=1e-3)


def test_folder_says_what_it_was_made_from(trained, bi_encoder_folder) -> None:
    result, _ = trained
    facts = read_training_config(result.adapter_dir)
    assert facts["kind"] == "retriever"
    assert facts["data"]["hash"] == result.data_hash
    assert facts["query_max_length"] and "query_prefix" in facts
    assert facts["versions"]["peft"]
    adapter = json.loads((result.adapter_dir / "adapter_config.json").read_text())
    assert str(bi_encoder_folder.parent) not in adapter["base_model_name_or_path"]
    assert not any("pooler" in name for name in adapter["target_modules"])
    history = json.loads((result.adapter_dir / "history.json").read_text())
    assert len(history) == len(result.history)


def test_same_seed_gives_the_same_bytes(toy, bi_encoder_folder, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(toy, bi_encoder_folder, tmp_path / name, max_steps=4, seed=seed)
    files = [{f.name: f.read_bytes() for f in sorted((tmp_path / name).iterdir())} for name in "abc"]
    assert files[0] == files[1]
    assert files[0]["adapter_model.safetensors"] != files[2]["adapter_model.safetensors"]


def test_global_random_state_is_left_alone(toy, bi_encoder_folder, tmp_path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train(toy, bi_encoder_folder, tmp_path / "a", max_steps=1)
    assert torch.equal(torch.rand(1), expected)


def task_of(toy, folder: Path, **options) -> tuple[RetrieverTask, torch.nn.Module]:
    from lex_assets.training.backbone import open_retriever
    from lex_assets.training.tuning import tuned

    config = RetrieverTrainingConfig(**(FAST | options)).on_device()
    data = training_data(**toy.tables, config=config)
    backbone = open_retriever(str(folder), config, "cpu")
    model = tuned(backbone, config, head=False)
    model.train()
    return RetrieverTask(backbone, data, sorted(data.passages), config), model


def test_siblings_of_the_positive_are_masked_and_the_positive_is_not(toy, bi_encoder_folder) -> None:
    task, _ = task_of(toy, bi_encoder_folder)
    batch = task.batch(["Q0_0", "Q0_1", "Q1_0"], epoch=0)
    vectors = torch.nn.functional.normalize(torch.randn(len(batch.rows), 8), dim=-1).requires_grad_()
    loss = batch.loss(vectors)
    loss.backward()
    assert torch.isfinite(loss)
    import math

    assert batch.chance < math.log(len(batch.rows) - 3)


@pytest.mark.parametrize("micro_batch", [4, 7])
def test_cached_gradients_equal_plain_ones_with_dropout(toy, bi_encoder_folder, micro_batch) -> None:
    task, model = task_of(toy, bi_encoder_folder, lora_dropout=0.3, micro_batch=micro_batch)
    batch = task.batch(task.query_ids[:12], epoch=0)
    gradients = []
    for cached in (False, True):
        model.zero_grad()
        task.micro_batches.cached = cached
        loss = backward(task.forward, batch, task.micro_batches, "1/0")
        gradients.append([p.grad.clone() for p in model.parameters() if p.requires_grad])
    assert loss > 0
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_micro_batches_do_not_change_the_step(toy, bi_encoder_folder) -> None:
    task, model = task_of(toy, bi_encoder_folder, lora_dropout=0.0)
    model.eval()
    batch = task.batch(task.query_ids[:12], epoch=0)
    losses = [backward(task.forward, batch, MicroBatches(n * 8, cached=False), "1/0") for n in (3, 64)]
    assert torch.allclose(*losses, atol=1e-5)


def test_run_at_chance_fails_and_leaves_nothing(toy, bi_encoder_folder, tmp_path) -> None:
    """No learning rate to speak of: the pattern is named and no half-trained folder is left."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(TrainingError, match=r"no convergence.*raise learning_rate"):
        train(toy, bi_encoder_folder, tmp_path / "a", learning_rate=1e-12, temperature=1.0, max_steps=12)
    assert sorted(tmp_path.iterdir()) == before


def test_nan_fails_and_leaves_the_old_adapter(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    train(toy, bi_encoder_folder, tmp_path / "a", max_steps=2)
    old = (tmp_path / "a" / "adapter_model.safetensors").read_bytes()
    monkeypatch.setattr("lex_assets.training.losses.masked_info_nce", lambda q, *rest: (q * torch.nan).sum())
    with pytest.raises(TrainingError, match="NaN in step 1"):
        train(toy, bi_encoder_folder, tmp_path / "a", max_steps=2)
    assert (tmp_path / "a" / "adapter_model.safetensors").read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_loss_that_falls_without_gain_fails_unless_allowed(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(RetrieverTask, "validate", lambda self: 0.5)
    with pytest.raises(TrainingError, match=r"loss only: .* 0\.5000 before, 0\.5000 at best.*require_gain"):
        train(toy, bi_encoder_folder, tmp_path / "a", max_steps=24)
    assert not list(tmp_path.iterdir())
    result = train(toy, bi_encoder_folder, tmp_path / "a", max_steps=24, require_gain=False)
    assert result.pattern == "loss_only" and result.best_step == 8


def test_first_loss_is_logged_beside_chance(toy, bi_encoder_folder, tmp_path, caplog) -> None:
    with caplog.at_level("INFO", logger="lex_assets.training.loop"):
        result = train(toy, bi_encoder_folder, tmp_path / "a", max_steps=1)
    assert f"first loss {result.initial_loss:.4f}, chance {result.chance:.4f}" in caplog.text


def test_batch_without_any_negative_is_an_error(toy, bi_encoder_folder, tmp_path) -> None:
    """Every passage answers every question: the loss would be 0 for ever."""
    every = toy.queries.select("query_id").join(toy.corpus.select("passage_id"), how="cross")
    qrels = every.with_columns(grade=pl.lit(1, pl.Int32))
    config = RetrieverTrainingConfig(**FAST)
    with pytest.raises(LexError, match=r"no candidate is left beside the positives in step 1; raise batch_size"):
        train_retriever(
            str(bi_encoder_folder), **(toy.tables | {"qrels": qrels}), config=config, out_dir=tmp_path / "a"
        )


def losses(result) -> list[float]:
    return [row["loss"] for row in result.history if row["loss"] is not None]


def test_multiplied_data_are_more_passes_over_freshly_drawn_ones(toy, bi_encoder_folder, tmp_path) -> None:
    fast = {"batch_size": 24, "evaluations": 1}
    multiplied = train(toy, bi_encoder_folder, tmp_path / "a", epochs=1, data_multiply=4, **fast)
    epochs = train(toy, bi_encoder_folder, tmp_path / "b", epochs=4, **fast)
    assert losses(multiplied) == losses(epochs) and len(losses(epochs)) == 8
    assert {row["epoch"] for row in multiplied.history} == {0}
    assert [row["epoch"] for row in epochs.history if row["loss"] is not None] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_accumulated_batches_make_one_step_of_their_mean(toy, bi_encoder_folder, tmp_path) -> None:
    once = {"lora_dropout": 0.0, "evaluations": 1, "max_steps": 1}
    result = train(toy, bi_encoder_folder, tmp_path / "a", accumulation=2, epochs=1, **once)
    task, model = task_of(toy, bi_encoder_folder, **once)
    model.eval()
    batches = epoch_batches(task.query_ids, 12, 42, 0)
    apart = [backward(task.forward, task.batch(ids, 0), task.micro_batches, "0").item() for ids in batches[::2]]
    assert len(batches) == 4 and losses(result) == pytest.approx([sum(apart) / 2])


def test_random_negatives_stand_in_where_asked_and_never_answer(toy, bi_encoder_folder, tmp_path) -> None:
    task, _ = task_of(toy, bi_encoder_folder, hard_ratio=0.5, negatives_per_query=6)
    drawn = [task.sampler.negatives("Q0_0", 6, epoch) for epoch in range(20)]
    mined = set(task.data.negatives["Q0_0"])
    assert all(len(set(passages)) == 6 for passages in drawn)
    assert all(set(passages[:3]) <= mined for passages in drawn)
    assert {p for passages in drawn for p in passages} - mined
    assert not {p for passages in drawn for p in passages} & {"P0_0", "P0_1", "P0_2"}
    no_mined = toy.triplets.with_columns(pl.col("negatives").list.head(0))
    config = RetrieverTrainingConfig(**(FAST | {"hard_ratio": 0.0, "max_steps": 1}))
    tables = toy.tables | {"triplets": no_mined}
    train_retriever(str(bi_encoder_folder), **tables, config=config, out_dir=tmp_path / "a", lexical=toy.search())


def test_matryoshka_trains_the_leading_dimensions(trained, toy, bi_encoder_folder, tmp_path) -> None:
    """Cut to 4 of 32 dimensions, the model that was trained so ranks better than the one that was not."""
    cut = train(toy, bi_encoder_folder, tmp_path / "a", matryoshka_dims=(32, 4), matryoshka_weights=(1, 9))
    assert cut.chance == pytest.approx(10 * trained[0].chance)
    data = training_data(**toy.tables, config=RetrieverTrainingConfig(**FAST))
    columns = ArticleColumns.of(data.passage_ids, data.parents)
    gains = gain_matrix(data.valid, [columns.articles] * len(data.valid.texts))

    def ranked(result) -> float:
        encoder = BiEncoder(str(bi_encoder_folder), peft_adapter_path=str(result.adapter_dir))
        queries = encoder.encode_queries(data.valid.texts)[:, :4]
        passages = encoder.encode_passages([data.passages[p] for p in data.passage_ids])[:, :4]
        passages = passages / np.linalg.norm(passages, axis=1, keepdims=True)
        return rank_metrics(columns.collapse(queries @ passages.T), gains)["ndcg@10"]

    assert ranked(cut) > ranked(trained[0]) + 0.02
    with pytest.raises(LexError, match=r"matryoshka_dims \[64\] exceed the width of .*, 32"):
        train(toy, bi_encoder_folder, tmp_path / "b", matryoshka_dims=(64,))


def test_distillation_adds_the_divergence_from_the_reranker_over_a_query_s_candidates(
    toy, bi_encoder_folder, cross_encoder_folder
) -> None:
    task, _ = task_of(toy, bi_encoder_folder, distillation_weight=2.0, distillation_temperature=0.5)
    reranker, asked = Reranker(str(cross_encoder_folder)), []

    def teacher(pairs):
        asked.extend(pairs)
        return reranker.score(pairs)

    plain = task.batch(["Q0_0", "Q1_0"], 0).loss
    task.teacher = teacher
    taught = task.batch(["Q0_0", "Q1_0"], 0).loss
    query_text = task.data.texts["Q1_0"]
    candidates = torch.isfinite(taught.teacher[1]).nonzero()[:, 0].tolist()
    assert taught.target[1] in candidates and len(candidates) == 3
    texts = [passage for query, passage in asked if query == query_text]
    expected = sorted(reranker.score([(query_text, text) for text in texts]) / 0.5)
    assert sorted(taught.teacher[1, candidates].tolist()) == pytest.approx(expected, abs=1e-6)
    vectors = torch.nn.functional.normalize(torch.randn(2 + taught.masked.shape[1], 8), dim=-1)
    divergence = distillation_kl(vectors[:2], vectors[2:], taught.teacher, 0.1)
    assert taught(vectors).item() == pytest.approx((plain(vectors) + 2.0 * divergence).item(), rel=1e-5)
    task.batch(["Q0_0", "Q1_0"], 0)
    assert len(asked) == len(set(asked)) == 6


def test_distillation_trains_with_the_configured_teacher(
    toy, bi_encoder_folder, cross_encoder_folder, tmp_path
) -> None:
    options = {"distillation_teacher": str(cross_encoder_folder), "distillation_weight": 0.5}
    result = train(toy, bi_encoder_folder, tmp_path / "a", max_steps=24, **options)
    assert result.best_metric > result.base_metric + 0.1
    with pytest.raises(LexError, match="no model folder at nowhere"):
        train(toy, bi_encoder_folder, tmp_path / "b", **(options | {"distillation_teacher": "nowhere"}))


def test_early_stopping_keeps_the_best_checkpoint(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    metrics = iter([0.1, 0.5, 0.9, 0.3, 0.2, 0.8])
    monkeypatch.setattr(RetrieverTask, "validate", lambda self: next(metrics))
    result = train(toy, bi_encoder_folder, tmp_path / "a", evaluations=8, patience=2)
    assert result.best_metric == 0.9
    assert result.steps == 2 * result.best_step
    assert result.pattern == "overfit"


def test_interrupt_leaves_no_partial_artefact(toy, bi_encoder_folder, tmp_path) -> None:
    def stop(report: StepReport) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(toy, bi_encoder_folder, tmp_path / "a", stop)
    assert not list(tmp_path.iterdir())


def positives_but_of(query_id: str) -> pl.Expr:
    positives = pl.col("positives")
    return pl.when(pl.col("query_id") == query_id).then(positives.list.head(0)).otherwise(positives)


def test_bad_data_names_cause_and_remedy(toy, bi_encoder_folder, tmp_path) -> None:
    def broken(**tables: pl.DataFrame) -> None:
        train_retriever(str(bi_encoder_folder), **(toy.tables | tables), out_dir=tmp_path / "a")

    with pytest.raises(LexError, match="3 training queries, at least 16"):
        broken(triplets=toy.triplets.head(3))
    with pytest.raises(LexError, match="every hard negative was filtered away"):
        broken(triplets=toy.triplets.with_columns(pl.col("negatives").list.head(0)))
    with pytest.raises(LexError, match="set test, not train"):
        broken(queries=toy.queries.with_columns(set=pl.col("set").replace("train", "test")))
    with pytest.raises(LexError, match="not in the corpus"):
        broken(corpus=toy.corpus.head(5))
    with pytest.raises(LexError, match="triplet of Q0_0: no positive is left"):
        broken(triplets=toy.triplets.with_columns(positives=positives_but_of("Q0_0")))
    with pytest.raises(LexError, match=r"triplet of Q0_0: positive P0_\d is not in qrels; mine again"):
        broken(qrels=toy.qrels.filter(pl.col("query_id") != "Q0_0"))
    with pytest.raises(LexError, match="no query of the set valid"):
        broken(queries=toy.queries.filter(set="train"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(LexError, match="not an adapter"):
        train(toy, bi_encoder_folder, tmp_path / "mine", max_steps=1)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_queries_that_are_cut_are_counted_once(toy, bi_encoder_folder, tmp_path, caplog) -> None:
    with caplog.at_level("WARNING"):
        train(
            toy, bi_encoder_folder, tmp_path / "a", max_steps=2, evaluations=1, query_max_length=5, require_gain=False
        )
    told = [record.getMessage() for record in caplog.records if "are cut" in record.getMessage()]
    assert told == ["training: 60 of 60 queries are cut at 5 tokens; raise query_max_length, or ask shorter"]


def test_adapter_of_another_base_is_refused(trained, bi_encoder_folder, tmp_path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    result, _ = trained
    other = tmp_path / "other"
    shutil.copytree(bi_encoder_folder, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(LexError, match="was trained on"):
        BiEncoder(str(other), peft_adapter_path=str(result.adapter_dir))


@pytest.mark.parametrize(("width", "expected"), [(1024, 2e-4), (256, 1.6e-3)])
def test_learning_rate_by_width_unless_given(toy, bi_encoder_folder, width, expected) -> None:
    task, _ = task_of(toy, bi_encoder_folder)
    task.backbone.transformer.config.hidden_size = width
    assert task.backbone.with_learning_rate(RetrieverTrainingConfig()).learning_rate == pytest.approx(expected)
    assert task.backbone.with_learning_rate(RetrieverTrainingConfig(learning_rate=1e-5)).learning_rate == 1e-5
