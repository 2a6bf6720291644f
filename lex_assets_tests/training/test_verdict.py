from __future__ import annotations

import pytest

from lex_assets.training.verdict import Course, TrainingError


def history(losses: list[float], metrics: list[float], chance: float = 4.0) -> list[dict[str, float | None]]:
    """Twenty steps that run through `losses`, and a validation before them and after each equal part of them."""
    steps = [{"loss": losses[n * len(losses) // 20], "chance": chance, "metric": None} for n in range(20)]
    validations = [{"loss": None, "chance": None, "metric": metric} for metric in metrics]
    return [validations[0], *steps, *validations[1:]]


@pytest.mark.parametrize(
    ("losses", "metrics", "pattern"),
    [
        ([4.1, 2.0, 1.0], [0.3, 0.4, 0.5], "converged"),
        ([4.1, 1.0, 0.1], [0.3, 0.5, 0.4], "overfit"),  # the best checkpoint is kept
        ([4.1, 4.0, 4.0], [0.3, 0.3, 0.4], "converged"),
        ([1.0, 0.5, 0.5], [1.0, 1.0, 1.0], "converged"),  # nothing to gain
    ],
)
def test_a_run_that_gains_on_validation_has_learnt(losses, metrics, pattern) -> None:
    course = Course.of(history(losses, metrics))
    assert course.pattern == pattern
    course.require_learning("valid ndcg@10", require_gain=True)


@pytest.mark.parametrize(
    ("losses", "metrics", "pattern", "remedy"),
    [
        ([4.1, 4.0, 4.0], [0.3, 0.3, 0.2], "no_convergence", "raise learning_rate"),
        ([4.1, 1.0, 0.1], [0.3, 0.25, 0.1], "overfit", "lower learning_rate"),
        ([4.1, 2.0, 1.0], [0.3, 0.3, 0.29], "loss_only", "same kind of question"),
    ],
)
def test_a_run_that_gains_nothing_fails_with_its_pattern(losses, metrics, pattern, remedy) -> None:
    course = Course.of(history(losses, metrics))
    assert course.pattern == pattern
    said = pattern.replace("_", " ")
    with pytest.raises(TrainingError, match=rf"{said}: .*chance 4\.000.* 0\.3000 before, .*{remedy}"):
        course.require_learning("valid ndcg@10", require_gain=True)
    if pattern == "no_convergence":
        with pytest.raises(TrainingError, match=said):
            course.require_learning("valid ndcg@10", require_gain=False)
    else:
        course.require_learning("valid ndcg@10", require_gain=False)


def test_a_run_of_a_few_steps_is_not_judged() -> None:
    short = history([4.0], [0.3, 0.2])
    Course.of([short[0], *short[1:6], short[-1]]).require_learning("valid ndcg@10", require_gain=True)
