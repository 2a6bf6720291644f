"""Learnt rankings: what is learnt, that it is the same every time, and what the question's context changes."""

from __future__ import annotations

import numpy as np
import pytest

from lex_assets.retrieval.learned import LearntRanking, Signal, candidates, group_scores, learn_ranking
from lex_assets.retrieval.named import NamedLaws, in_named_laws
from lex_assets.retrieval.types import Hits
from lex_assets.schemas import LexError

N = 60


def hits(seed: int, right: str = "") -> Hits:
    """Ten passages per question in random order; `right` is first where it is named."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(N):
        scores = {f"p{n}": float(score) for n, score in enumerate(random.uniform(0, 1, 10))}
        scores |= {right: 2.0} if right else {}
        found.append(sorted(scores.items(), key=lambda hit: (-hit[1], hit[0])))
    return found


def best(ranking: Hits) -> list[str]:
    return [found[0][0] for found in ranking]


def test_the_system_that_is_right_is_believed() -> None:
    found = candidates({"good": Signal(hits(1, "p3")), "bad": Signal(hits(2, "p7"))}, np.zeros((N, 0)))
    learnt = learn_ranking(["good", "bad"], found, [{"p3"}] * N)
    assert best(learnt.rank(found)) == ["p3"] * N


def test_the_context_says_which_system_to_believe() -> None:
    familiar = np.arange(N) % 2
    found = candidates({"a": Signal(hits(1, "p3")), "b": Signal(hits(2, "p7"))}, familiar[:, None].astype(float))
    gold = [{"p3"} if near else {"p7"} for near in familiar]
    learnt = learn_ranking(["a", "b"], found[:40], gold[:40])
    assert best(learnt.rank(found[40:])) == [next(iter(wanted)) for wanted in gold[40:]]
    blind = candidates({"a": Signal(hits(1, "p3")), "b": Signal(hits(2, "p7"))}, np.zeros((N, 0)))
    without = best(learn_ranking(["a", "b"], blind[:40], gold[:40]).rank(blind[40:]))
    assert without != [next(iter(wanted)) for wanted in gold[40:]]


def test_weights_are_the_same_again_and_survive_the_file(tmp_path) -> None:
    found = candidates({"a": Signal(hits(1)), "b": Signal(hits(2))}, np.zeros((N, 0)))
    gold = [{"p1"}] * N
    learnt = learn_ranking(["a", "b"], found, gold)
    assert learnt.rank(found) == learn_ranking(["a", "b"], found, gold).rank(found)
    learnt.save(tmp_path / "ranking.safetensors")
    again = LearntRanking.load(tmp_path / "ranking.safetensors")
    assert again.systems == learnt.systems
    assert again.rank(found) == learnt.rank(found)


def test_learning_leaves_the_random_numbers_of_its_caller_alone() -> None:
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    learn_ranking(["a"], candidates({"a": Signal(hits(1))}, np.zeros((N, 0))), [{"p1"}] * N)
    assert torch.equal(torch.rand(3), expected)


def test_a_signal_that_does_not_propose_only_judges() -> None:
    prior = Signal([[("elsewhere", 9.0), ("p2", 1.0)]] * N, missing=0.0, proposes=False)
    (one, *_) = candidates({"a": Signal(hits(1)), "prior": prior}, np.zeros((N, 0)))
    assert "elsewhere" not in one.ids
    column = one.features[:, 3]  # of "prior": its score, how far it lies below its best, its rank
    assert column[one.ids.index("p2")] == 1.0
    assert np.count_nonzero(column) == 1


def test_passages_share_what_their_law_was_found_with() -> None:
    law_of = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    found: Hits = [[("a1", 3.0), ("a2", 1.0), ("b1", 2.0)]]
    proposed = [["a2", "b1", "c1"]]
    assert group_scores(found, proposed, law_of) == [[("a2", 4.0), ("b1", 2.0)]]
    assert group_scores(found, proposed, law_of, max) == [[("a2", 3.0), ("b1", 2.0)]]


def test_what_does_not_fit_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(LexError, match="system b ranks 1 questions, not 60"):
        candidates({"a": Signal(hits(1)), "b": Signal(hits(2)[:1])}, np.zeros((N, 0)))
    found = candidates({"a": Signal(hits(1))}, np.zeros((N, 0)))
    with pytest.raises(LexError, match="no candidate is a right answer"):
        learn_ranking(["a"], found, [{"nowhere"}] * N)
    learnt = learn_ranking(["a"], found, [{"p1"}] * N)
    with pytest.raises(LexError, match=r"3 features \(a\), the candidates have 6"):
        learnt.rank(candidates({"a": Signal(hits(1)), "b": Signal(hits(2))}, np.zeros((N, 0))))
    (tmp_path / "no.safetensors").write_text("[1]")
    with pytest.raises(LexError, match="holds no learnt ranking"):
        LearntRanking.load(tmp_path / "no.safetensors")


@pytest.mark.parametrize(
    ("text", "laws"),
    [
        ("구 군형법상 상관모욕죄", {"군형법"}),
        ("형법 제1조와 도시 및 주거환경정비법", {"형법", "도시 및 주거환경정비법"}),
        ("도정법상 조합설립인가", {"도시 및 주거환경정비법"}),
        ("도시및주거환경정비법에 따른 조합", {"도시 및 주거환경정비법"}),
        ("구형법 시대의 죄", {"형법"}),
        ("입법형법칙", set()),
    ],
)
def test_laws_are_found_as_people_write_them(text: str, laws: set[str]) -> None:
    assert NamedLaws(["형법", "군형법", "도시 및 주거환경정비법"]).in_text(text) == laws


def test_passages_of_a_named_law_come_in_the_order_of_the_lexical_search() -> None:
    found = in_named_laws(
        [frozenset({"형법"}), frozenset()],
        {"형법": ["a", "b", "c"], "민법": ["d"]},
        [[("d", 3.0), ("c", 2.0)], [("a", 1.0)]],
    )
    assert [passage for passage, _ in found[0]] == ["c", "a", "b"]
    assert found[0][-1][1] > 0.9
    assert found[1] == []
    assert NamedLaws([]).in_text("형법") == frozenset()
