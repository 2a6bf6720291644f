from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lex_assets.models.architectures import ENCODER_LINEARS
from lex_assets.models.reranker import Reranker
from lex_assets.schemas import RUN, LexError
from lex_assets.training.config import RerankerTrainingConfig
from lex_assets.training.data import ArticleColumns, gain_matrix, ideal_gains, training_data, validation_candidates
from lex_assets.training.lora import assert_trainable, attach_lora, head_names, lora_target_names
from lex_assets.training.metrics import rank_metrics
from lex_assets.training.reranker import RerankerTask, train_reranker
from lex_assets.training.tuning import GradientCheck

FAST = {"epochs": 3, "max_steps": 14, "learning_rate": 5e-3, "hard_ratio": 1.0, "patience": 0, "evaluations": 3}


def train(toy, base: Path, out_dir: Path, **options):
    config = RerankerTrainingConfig(**(FAST | options))
    return train_reranker(str(base), **toy.tables, config=config, out_dir=out_dir, lexical=toy.search())


@pytest.fixture(scope="module")
def trained(cross_encoder_folder, tmp_path_factory):
    from lex_assets_tests.training.conftest import MarkedToy

    return train(MarkedToy(), cross_encoder_folder, tmp_path_factory.mktemp("out") / "adapter")


def test_ranking_improves(trained) -> None:
    assert trained.final_loss < 0.95 * trained.chance
    assert trained.best_metric > trained.base_metric + 0.3


def test_reload_by_plain_peft_and_merge_are_exact_head_included(trained, cross_encoder_folder, toy) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(cross_encoder_folder))
    texts = toy.queries["text"].to_list()[:8], toy.corpus["text"].to_list()[:8]
    features = tokenizer(*texts, padding=True, return_tensors="pt")

    def logits(merge: bool) -> torch.Tensor:
        base = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder_folder))
        model = PeftModel.from_pretrained(base, str(trained.adapter_dir)).eval()
        with torch.no_grad():
            return (model.merge_and_unload() if merge else model)(**features).logits

    base = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder_folder)).eval()
    head = base.classifier.weight.clone()
    model = PeftModel.from_pretrained(base, str(trained.adapter_dir))
    trained_head = model.base_model.model.classifier.modules_to_save["default"].weight
    assert not torch.equal(trained_head, head)
    assert torch.allclose(logits(merge=False), logits(merge=True), atol=1e-5)


def test_saved_adapter_scores_what_validation_measured(marked_toy, cross_encoder_folder, tmp_path) -> None:
    """The folder holds the best checkpoint: serving it gives the validation metric again."""
    toy, search = marked_toy, marked_toy.search()
    config = RerankerTrainingConfig(**(FAST | {"max_steps": 12}))
    result = train_reranker(
        str(cross_encoder_folder), **toy.tables, config=config, out_dir=tmp_path / "a", lexical=search
    )
    served = Reranker(str(cross_encoder_folder), peft_adapter_path=str(result.adapter_dir))
    data = training_data(**toy.tables, config=config)
    found = validation_candidates(data, search, config.valid_candidates)
    rows = [found[query_id] for query_id in data.valid.query_ids]
    texts = zip(data.valid.texts, rows, strict=True)
    columns = [ArticleColumns.of(row, data.parents) for row in rows]
    scores = [served.score([(text, data.passages[p]) for p in passages]) for text, passages in texts]
    articles = np.array([column.collapse(score) for column, score in zip(columns, scores, strict=True)])
    gains = gain_matrix(data.valid, [column.articles for column in columns])
    measured = rank_metrics(articles, gains, ideal_gains(data.valid))
    assert measured["ndcg@10"] == pytest.approx(result.best_metric, abs=1e-6)


@pytest.mark.parametrize("loss", ["margin", "ranknet", "bce"])
def test_every_loss_trains(marked_toy, cross_encoder_folder, tmp_path, loss) -> None:
    result = train(marked_toy, cross_encoder_folder, tmp_path / "a", loss=loss)
    assert result.final_loss < result.chance
    assert result.best_metric > result.base_metric


def test_same_seed_gives_the_same_bytes(toy, cross_encoder_folder, tmp_path) -> None:
    search = toy.search()
    config = RerankerTrainingConfig(**(FAST | {"max_steps": 3}))
    for name in "ab":
        train_reranker(str(cross_encoder_folder), **toy.tables, config=config, out_dir=tmp_path / name, lexical=search)
    files = [{f.name: f.read_bytes() for f in sorted((tmp_path / name).iterdir())} for name in "ab"]
    assert files[0] == files[1]


def task_of(toy, folder: Path, **options) -> RerankerTask:
    from lex_assets.training.backbone import open_reranker

    config = RerankerTrainingConfig(**(FAST | options)).on_device()
    data = training_data(**toy.tables, config=config)
    first_stage = {query_id: sorted(data.passages)[:5] for query_id in data.valid.query_ids}
    return RerankerTask(open_reranker(str(folder), config, "cpu"), data, first_stage, config)


def test_negatives_are_redrawn_per_epoch_and_reproducible(toy, cross_encoder_folder) -> None:
    task = task_of(toy, cross_encoder_folder)
    first = task.batch(["Q0_0"], epoch=0).rows
    assert first == task.batch(["Q0_0"], epoch=0).rows
    assert first != task.batch(["Q0_0"], epoch=1).rows


def test_random_negatives_are_never_relevant(toy, cross_encoder_folder) -> None:
    task = task_of(toy, cross_encoder_folder, hard_ratio=0.0, negatives_per_query=30)
    drawn = {passage for epoch in range(5) for passage in task.sampler.negatives("Q0_0", 30, epoch)}
    assert len(drawn) > 20
    assert not drawn & {"P0_0", "P0_1", "P0_2"}


def test_validation_does_not_add_positives(toy, cross_encoder_folder, tmp_path) -> None:
    """A perfect reranker over candidates without the answer scores 0, not 1."""
    scores = np.array([[3.0, 2.0]])
    assert rank_metrics(scores, np.zeros((1, 2)), ideal=np.array([[1.0]]))["ndcg@10"] == 0
    rows = [{"query_id": "Q0_4", "passage_id": "P1_0", "rank": 1, "score": 1.0, "system": "x"}]
    config = RerankerTrainingConfig(**FAST)
    with pytest.raises(LexError, match="no relevant passage among the first 20"):
        train_reranker(
            str(cross_encoder_folder), **toy.tables, config=config, out_dir=tmp_path / "a", candidates=RUN.frame(rows)
        )


def test_queries_that_leave_no_room_for_a_passage_are_counted(marked_toy, cross_encoder_folder, caplog) -> None:
    with caplog.at_level("WARNING"):
        task_of(marked_toy, cross_encoder_folder, max_length=5)
    assert "60 of 60 queries are cut at 5 tokens; raise max_length" in caplog.text


def test_head_is_found_by_name_and_saved(cross_encoder_folder) -> None:
    from transformers import AutoModelForSequenceClassification, BertModel

    model = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder_folder))
    assert head_names(model) == ["classifier"]
    peft_model = attach_lora(model, RerankerTrainingConfig(), ("query", "value"), "base", head=True)
    assert_trainable(peft_model, ["classifier"])
    with pytest.raises(LexError, match="no classification head"):
        head_names(BertModel(model.config, add_pooling_layer=False))


def test_targets_leave_the_pooler_out_and_a_wrong_name_is_an_error(cross_encoder_folder) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(str(cross_encoder_folder))
    names = lora_target_names(model, ("dense",))
    assert names and not any("pooler" in name for name in names)
    assert len(lora_target_names(model, ("all",))) == len(lora_target_names(model, ENCODER_LINEARS)) == 2 * 6
    with pytest.raises(LexError, match=r"match no layer of BertFor.*dense, key, .*query, .*value"):
        lora_target_names(model, ("Wqkv",))


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("XLMRoberta", ["classifier"]),
        ("Electra", ["classifier"]),
        ("ModernBert", ["head", "classifier"]),
        ("DistilBert", ["pre_classifier", "classifier"]),
    ],
)
def test_adapters_attach_to_other_architectures(architecture, heads, tmp_path) -> None:
    import transformers
    from peft import PeftModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    if architecture == "DistilBert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
    config = getattr(transformers, f"{architecture}Config")(vocab_size=40, num_labels=1, pad_token_id=0, **sizes)
    model = getattr(transformers, f"{architecture}ForSequenceClassification")(config).eval()
    model.save_pretrained(tmp_path / "base")
    assert head_names(model) == heads
    encoder_linears = architecture in ("XLMRoberta", "Electra")
    settings = RerankerTrainingConfig(lora_targets=() if encoder_linears else ("all",))
    peft_model = attach_lora(model, settings, ENCODER_LINEARS, "base", head=True)
    ids = torch.arange(1, 13).reshape(2, 6)
    optimizer, check = torch.optim.SGD(peft_model.parameters(), lr=0.1), GradientCheck(peft_model)
    for _ in range(2):
        loss = peft_model(input_ids=ids).logits.diff(dim=0).square().mean()
        loss.backward()
        check.after_backward(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    peft_model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    base = getattr(transformers, f"{architecture}ForSequenceClassification").from_pretrained(tmp_path / "base")
    again = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    assert torch.allclose(again(input_ids=ids).logits, peft_model.eval()(input_ids=ids).logits, atol=1e-6)


def test_adapter_without_gradient_is_named() -> None:
    layer = torch.nn.Module()
    layer.lora_A, layer.lora_B = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    check = GradientCheck(layer)
    layer.lora_A.grad, layer.lora_B.grad = torch.zeros(1), torch.ones(1)
    check.after_backward(loss=1.0)
    with pytest.raises(LexError, match="lora_A gets no gradient in step 2"):
        check.after_backward(loss=1.0)
    layer.lora_B.grad = None
    with pytest.raises(LexError, match="lora_B gets no gradient in step 1"):
        GradientCheck(layer).after_backward(loss=1.0)


def test_ndcg_and_mrr_agree_with_ir_measures() -> None:
    import ir_measures

    generator = np.random.default_rng(0)
    scores, gains = (
        generator.normal(size=(20, 30)),
        generator.integers(0, 3, size=(20, 30)) * (generator.random((20, 30)) < 0.1),
    )
    gains[:, 0] = 1
    run = [ir_measures.ScoredDoc(str(q), str(d), s) for (q, d), s in np.ndenumerate(scores)]
    qrels = [ir_measures.Qrel(str(q), str(d), int(g)) for (q, d), g in np.ndenumerate(gains)]
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.RR @ 10], qrels, run)
    ours = rank_metrics(scores, gains)
    assert ours["ndcg@10"] == pytest.approx(expected[ir_measures.nDCG @ 10])
    assert ours["mrr@10"] == pytest.approx(expected[ir_measures.RR @ 10])


def test_an_article_scores_what_its_best_passage_scores() -> None:
    columns = ArticleColumns.of(["a1", "b1", "a2"], {"a1": "a", "a2": "a", "b1": "b"})
    assert columns.articles == ["a", "b"]
    collapsed = columns.collapse(np.array([[1.0, 2.0, 3.0], [-np.inf, 0.0, -np.inf]]))
    assert collapsed.tolist() == [[3.0, 2.0], [-np.inf, 0.0]]
