from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lex_assets.training.losses import GROUP_LOSSES, group_chance, group_loss, info_nce_chance, masked_info_nce
from lex_assets.training.sampling import draw, epoch_batches


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


def test_chance_is_the_mean_log_of_unmasked_candidates() -> None:
    masked = torch.tensor([[False] * 4, [False, False, True, True]])
    assert info_nce_chance(masked) == pytest.approx((math.log(4) + math.log(2)) / 2)
    same = torch.ones(2, 3) / 3**0.5
    loss = masked_info_nce(same, torch.ones(4, 3) / 3**0.5, torch.tensor([0, 1]), masked, 0.02)
    assert float(loss) == pytest.approx(info_nce_chance(masked), abs=1e-5)


@pytest.mark.parametrize("name", GROUP_LOSSES)
def test_group_loss_at_zero_is_chance_and_falls_when_positives_rise(name: str) -> None:
    grades = torch.tensor([2, 1, 0, 0, 0, 0, 0])
    loss, right = group_loss(name, 1.0), torch.where(grades > 0, 3.0, -3.0)
    chance = group_chance(name, grades, 1.0)
    assert loss(right, grades) < 0.25 * chance
    assert loss(-right, grades) > chance


def test_half_precision_embeddings_give_fp32_logits() -> None:
    queries, passages = unit(4, 64).bfloat16(), unit(4, 64).bfloat16()
    loss = masked_info_nce(queries, passages, torch.arange(4), torch.zeros(4, 4, dtype=torch.bool), 0.02)
    assert loss.dtype == torch.float32


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
