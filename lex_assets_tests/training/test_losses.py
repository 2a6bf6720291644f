from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lex_assets.training.backbone import RetrieverBackbone, open_reranker, open_retriever
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.losses import (
    GROUP_LOSSES,
    Contrast,
    distillation_chance,
    distillation_kl,
    group_chance,
    group_loss,
    info_nce_chance,
    lambda_loss,
    masked_info_nce,
)
from lex_assets.training.sampling import draw, epoch_batches
from lex_assets.training.step import MicroBatches, StepBatch, backward

WIDTH = 32


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))), dim=-1)


@pytest.mark.parametrize("hard_negatives", [0, 2])
def test_without_mask_equals_sentence_transformers(hard_negatives: int) -> None:
    """scale = 1 / temperature: 0.02 means 50."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    queries, passages = unit(6, 16), unit(6 * (1 + hard_negatives), 16)
    reference = MultipleNegativesRankingLoss(None, scale=50.0)
    columns = [queries, *passages.split(6)]
    expected = reference.compute_loss_from_embeddings(columns, None)
    masked = torch.zeros(6, len(passages), dtype=torch.bool)
    ours = masked_info_nce(queries, passages, torch.arange(6), masked, temperature=0.02)
    assert torch.allclose(ours, expected, atol=1e-6)


class Columns:
    """A batch of 6 queries, each with a positive and two negatives, all texts different and of different lengths."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        texts = [" ".join(f"w{n}" for n in generator.integers(0, 20, size)) for size in range(3, 27)]
        generator.shuffle(texts)
        self.queries, self.passages = texts[:6], texts[6:]

    def reference(self, backbone: RetrieverBackbone, wrap) -> tuple[float, list[torch.Tensor]]:
        """Loss and gradients by sentence-transformers' cached loss, `wrap`ped."""
        from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

        model = backbone.model
        loss_function = wrap(model, CachedMultipleNegativesRankingLoss(model, scale=50.0, mini_batch_size=4))
        columns = [self.queries, *(self.passages[at : at + 6] for at in (0, 6, 12))]
        model.zero_grad()
        loss = loss_function([model.preprocess(column) for column in columns], None)
        loss.backward()
        return loss.item(), gradients(model)

    def ours(self, backbone: RetrieverBackbone, **options) -> tuple[float, list[torch.Tensor]]:
        """Loss and gradients by our step."""
        masked = torch.zeros(6, 18, dtype=torch.bool)
        contrast = Contrast(torch.arange(6), masked, 0.02, **options)
        rows = backbone.rows("query", self.queries) + backbone.rows("passage", self.passages)
        batch = StepBatch(rows, [len(row["input_ids"]) for row in rows], contrast, contrast.chance)
        backbone.model.zero_grad()
        loss = backward(backbone.forward, batch, MicroBatches(64, cached=True), "0")
        return loss.item(), gradients(backbone.model)


def gradients(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.fixture
def backbone(bi_encoder_folder) -> RetrieverBackbone:
    return open_retriever(str(bi_encoder_folder), RetrieverTrainingConfig().on_device(), "cpu")


def assert_same_step(ours: tuple[float, list[torch.Tensor]], expected: tuple[float, list[torch.Tensor]]) -> None:
    assert ours[0] == pytest.approx(expected[0], abs=1e-5)
    assert len(ours[1]) == len(expected[1]) > 30
    largest = max(float(gradient.abs().max()) for gradient in expected[1])
    apart = max(float((a - b).abs().max()) for a, b in zip(ours[1], expected[1], strict=True))
    assert apart < 1e-5 * max(largest, 1) and largest > 1e-3


def test_a_cached_step_equals_that_of_sentence_transformers(backbone) -> None:
    """Loss and the gradients of all weights, texts of different lengths in micro-batches."""
    columns = Columns()
    assert_same_step(columns.ours(backbone), columns.reference(backbone, lambda model, loss: loss))


def test_matryoshka_equals_that_of_sentence_transformers(backbone) -> None:
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    columns, dims, weights = Columns(), [WIDTH, 16, 4], [1.0, 0.5, 0.25]
    expected = columns.reference(backbone, lambda model, loss: MatryoshkaLoss(model, loss, dims, weights))
    assert_same_step(columns.ours(backbone, dims=dims, weights=weights), expected)
    assert_same_step(
        columns.ours(backbone, dims=dims),
        columns.reference(backbone, lambda model, loss: MatryoshkaLoss(model, loss, dims)),
    )


def test_distillation_equals_that_of_sentence_transformers() -> None:
    """Theirs is multiplied by the student's temperature squared."""
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss

    queries, candidates = unit(5, 16).requires_grad_(), unit(15, 16)
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)) * 2
    reference = DistillKLDivLoss(None, student_temperature=0.05, teacher_temperature=2.0)
    expected = reference.compute_loss_from_embeddings([queries, *candidates.split(5)], scores) / 0.05**2
    teacher = torch.full((5, 15), -torch.inf)
    for way in range(3):
        teacher[torch.arange(5), way * 5 + torch.arange(5)] = scores[:, way] / 2
    ours = distillation_kl(queries, candidates, teacher, temperature=0.05)
    assert torch.allclose(ours, expected, atol=1e-5)
    (a,), (b,) = (torch.autograd.grad(loss, queries) for loss in (ours, expected))
    assert torch.allclose(a, b, atol=1e-5)


def test_distillation_of_the_teacher_itself_is_zero_and_of_equal_cosines_is_chance() -> None:
    queries, candidates = unit(3, 8), unit(7, 8)
    teacher = (queries @ candidates.T / 0.1).masked_fill(torch.arange(7) > 4, -torch.inf)
    assert float(distillation_kl(queries, candidates, teacher, 0.1)) == pytest.approx(0, abs=1e-6)
    same = torch.ones(7, 4) / 2
    assert float(distillation_kl(same[:3], same, teacher, 0.1)) == pytest.approx(distillation_chance(teacher), abs=1e-5)


def test_masked_passage_does_not_push() -> None:
    """A sibling positive in the batch neither adds loss nor gets a gradient."""
    queries, passages = unit(3, 8), unit(5, 8).requires_grad_()
    masked = torch.zeros(3, 5, dtype=torch.bool)
    masked[:, 4] = True
    loss = masked_info_nce(queries, passages, torch.arange(3), masked, 0.05)
    loss.backward()
    shorter = masked_info_nce(queries, passages[:4], torch.arange(3), masked[:, :4], 0.05)
    assert torch.allclose(loss, shorter)
    assert not passages.grad[4].any()


@pytest.mark.parametrize("dims", [(), (4, 2)])
@pytest.mark.parametrize("taught", [False, True])
def test_chance_is_the_loss_of_equal_vectors(dims, taught) -> None:
    masked = torch.tensor([[False] * 4, [False, False, True, True]])
    assert info_nce_chance(masked) == pytest.approx((math.log(4) + math.log(2)) / 2)
    teacher = torch.tensor([[1.0, 2.0, -torch.inf, -torch.inf], [-torch.inf, 3.0, 0.0, -torch.inf]])
    options = {"teacher": teacher, "teacher_weight": 0.5} if taught else {}
    contrast = Contrast(torch.tensor([0, 1]), masked, 0.02, dims=dims, weights=dims and (0.5, 2.0), **options)
    assert float(contrast(torch.full((6, 4), 0.5))) == pytest.approx(contrast.chance, abs=1e-5)
    assert contrast.chance > 1


def test_half_precision_embeddings_give_fp32_logits() -> None:
    queries, passages = unit(4, 64).bfloat16(), unit(4, 64).bfloat16()
    loss = masked_info_nce(queries, passages, torch.arange(4), torch.zeros(4, 4, dtype=torch.bool), 0.02)
    assert loss.dtype == torch.float32


GRADES = torch.tensor([2, 1, 0, 0, 0, 0, 0])


def logits_of(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2


def plain_formula(name: str, scores: np.ndarray, grades: np.ndarray) -> float:
    """The losses written out pair by pair, fp64."""
    positive, negative = scores[grades > 0], scores[grades == 0]
    pairs = [(p, n) for p in positive for n in negative]
    if name == "margin":
        return float(np.mean([max(0.0, 1.5 - (p - n)) for p, n in pairs]))
    if name == "ranknet":
        return float(np.mean([np.log1p(np.exp(n - p)) for p, n in pairs]))
    if name == "listwise":
        return float(np.mean([-p + np.log(np.exp(p) + np.exp(negative).sum()) for p in positive]))
    if name == "bce":
        missed, false = np.mean(np.log1p(np.exp(-positive))), np.mean(np.log1p(np.exp(negative)))
        return float((missed + false) / 2)
    return plain_lambda(scores, grades)


def plain_lambda(scores: np.ndarray, grades: np.ndarray) -> float:
    """Wang et al. 2018, equations 15 and 17 with mu = 10."""
    order = np.argsort(-scores)
    discount = [1 / np.log2(rank + 1) for rank in range(1, len(scores) + 2)]
    ideal = sum((2.0**g - 1) * d for g, d in zip(sorted(grades)[::-1], discount, strict=False))
    gain, ranked = (2.0 ** grades[order] - 1) / ideal, scores[order]
    total = []
    for i in range(len(order)):
        for j in range(len(order)):
            if gain[i] > gain[j]:
                apart = abs(i - j)
                weight = 10 * (discount[apart - 1] - discount[apart]) + abs(discount[i] - discount[j])
                total.append(weight * (gain[i] - gain[j]) * np.log1p(np.exp(ranked[j] - ranked[i])))
    return float(np.mean(total))


@pytest.mark.parametrize("name", GROUP_LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_group_loss_equals_the_plain_formula(name: str, seed: int) -> None:
    logits = logits_of(7, seed)
    expected = plain_formula(name, logits.numpy(), GRADES.numpy())
    assert float(group_loss(name, 1.5)(logits, GRADES)) == pytest.approx(expected, rel=1e-6)
    in_fp32 = float(group_loss(name, 1.5)(logits.float(), GRADES))
    assert in_fp32 == pytest.approx(expected, abs=1e-5)


def reference_loss(name: str, model):
    from sentence_transformers.cross_encoder import losses

    if name == "bce":
        return losses.BinaryCrossEntropyLoss(model)
    if name == "listwise":
        return losses.ListNetLoss(model)
    kind = losses.RankNetLoss if name == "ranknet" else losses.LambdaLoss
    return kind(model, reduction_log="natural")


@pytest.mark.parametrize(
    ("name", "grades", "labels"),
    [
        ("ranknet", [1, 1, 0, 0, 0], [1.0, 1, 0, 0, 0]),
        ("lambda", [2, 1, 0, 0, 0], [2.0, 1, 0, 0, 0]),
        ("listwise", [1, 0, 0, 0, 0], [200.0, 0, 0, 0, 0]),  # ListNet's target is softmax(labels): all on the positive
        ("bce", [1, 1, 0, 0], [1.0, 1, 0, 0]),
    ],
)
def test_group_loss_equals_that_of_sentence_transformers(cross_encoder_folder, name, grades, labels) -> None:
    """Loss and gradients, where the definitions coincide: one positive for ListNet, as many as negatives for BCE."""
    config = RerankerTrainingConfig().on_device()
    backbone = open_reranker(str(cross_encoder_folder), config, "cpu")
    passages = [f"p{n} w{n} w{2 * n}" for n in range(len(grades))]
    reference = reference_loss(name, backbone.model)
    if name == "bce":
        expected = reference([["q1 w3"] * len(passages), passages], torch.tensor(labels))
    else:
        expected = reference([["q1 w3"], [passages]], [torch.tensor(labels)])
    expected.backward()
    theirs = gradients(backbone.model)
    backbone.model.zero_grad()
    logits = backbone.forward(backbone.rows([("q1 w3", passage) for passage in passages]))
    ours = group_loss(name, 1.0)(logits, torch.tensor(grades))
    ours.backward()
    assert ours.item() == pytest.approx(expected.item(), abs=1e-5)
    found = gradients(backbone.model)
    assert len(found) == len(theirs) > 30
    assert max(float((a - b).abs().max()) for a, b in zip(found, theirs, strict=True)) < 1e-5


@pytest.mark.parametrize("name", GROUP_LOSSES)
def test_group_loss_is_chance_for_equal_logits_and_falls_when_positives_rise(name: str) -> None:
    loss, right, chance = (
        group_loss(name, 1.0),
        torch.where(GRADES > 0, 3.0, -3.0),
        group_chance(name, GRADES, 1.0),
    )
    if name != "lambda":
        assert float(loss(torch.zeros(7), GRADES)) == pytest.approx(chance)
    assert loss(right, GRADES) < 0.25 * chance
    assert loss(-right, GRADES) > chance


def test_chance_of_the_lambda_loss_is_its_mean_over_all_orders_of_equal_logits() -> None:
    from itertools import permutations

    values = []
    for order in permutations(range(5)):
        nearly_equal = torch.tensor(order, dtype=torch.float64) * 1e-9
        values.append(float(lambda_loss(nearly_equal, GRADES[:5])))
    assert group_chance("lambda", GRADES[:5], 1.0) == pytest.approx(np.mean(values), rel=1e-5)


def test_sampling_is_a_pure_function_of_seed_epoch_and_query() -> None:
    items = [f"P{n}" for n in range(50)]
    first = draw(items, 5, 42, 1, "Q1", "negative")
    assert first == draw(items, 5, 42, 1, "Q1", "negative")
    others = [
        draw(items, 5, *key) for key in ((43, 1, "Q1", "negative"), (42, 2, "Q1", "negative"), (42, 1, "Q2", "x"))
    ]
    assert first not in others
    assert draw(items[:2], 5, 42, 1, "Q1", "negative") in (items[:2], items[1::-1])


def test_epoch_batches_cover_every_query_once_in_even_batches() -> None:
    ids = [f"Q{n}" for n in range(33)]
    batches = epoch_batches(ids, 32, 42, 0)
    assert sorted(query for batch in batches for query in batch) == sorted(ids)
    assert [len(batch) for batch in batches] == [17, 16]
    assert batches == epoch_batches(ids[::-1], 32, 42, 0) != epoch_batches(ids, 32, 42, 1)
