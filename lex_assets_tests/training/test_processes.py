"""A run of several processes has the outcome of one: the same batches, negatives of the others included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from lex_assets.schemas import LexError
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.loop import StepReport
from lex_assets.training.processes import Processes
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever
from lex_assets.training.step import MicroBatches, StepBatch, backward
from lex_assets_tests.training.conftest import MarkedToy, Toy

pytestmark = pytest.mark.xdist_group("forkserver")

LEARNING_RATE = 5e-3
CASES = {
    "retriever": {"batch_size": 12, "micro_batch": 3, "valid_pool": 36},
    "retriever, gradients cached": {"batch_size": 12, "micro_batch": 3, "valid_pool": 36, "cached_gradients": True},
    "reranker": {"batch_size": 6, "micro_batch": 4, "accumulation": 2},
}


def train(case: str, base: Path, out_dir: Path, on_step: Callable[[StepReport], None] | None = None) -> None:
    """Few steps with dropout; the validation chooses among them."""
    shared = {"max_steps": 4, "epochs": 4, "evaluations": 2, "patience": 0, "lora_dropout": 0.2}
    toy, config, run = (
        (Toy(), RetrieverTrainingConfig, train_retriever)
        if case.startswith("retriever")
        else (MarkedToy(), RerankerTrainingConfig, train_reranker)
    )
    settings = config(learning_rate=LEARNING_RATE, **shared, **CASES[case])
    run(str(base), **toy.tables, config=settings, out_dir=out_dir, on_step=on_step, lexical=toy.search())


def in_a_group(rank: int, count: int, meeting: Path, work: Callable[..., None], *arguments: object) -> None:
    """Runs in a child process, one of `count`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    work(*arguments)
    dist.destroy_process_group()


def together(processes, count: int, meeting: Path, work: Callable[..., None], *arguments: object) -> list[int]:
    """Exit codes of `work` in `count` processes that know each other."""
    children = [processes.Process(target=in_a_group, args=(n, count, meeting, work, *arguments)) for n in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(600)  # a busy machine takes minutes to import torch
    return [child.exitcode for child in children]


def history(adapter: Path) -> list[float]:
    """Losses, gradient norms and metrics, step by step."""
    rows = json.loads((adapter / "history.json").read_text("utf-8"))
    return [row[name] for row in rows for name in ("loss", "gradient_norm", "metric") if row[name] is not None]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_learns(
    case, processes, bi_encoder_folder, cross_encoder_folder, tmp_path
) -> None:
    base = bi_encoder_folder if case.startswith("retriever") else cross_encoder_folder
    assert together(processes, 2, tmp_path / "meeting", train, case, base, tmp_path / "two") == [0, 0]
    train(case, base, tmp_path / "one")
    assert history(tmp_path / "two") == pytest.approx(history(tmp_path / "one"), rel=1e-4)
    weights, joint_weights = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    for name, weight in weights.items():
        if not name.endswith(
            "bias"
        ):  # a ranking loss is blind to the head's: its gradient is noise, which Adam scales up
            torch.testing.assert_close(joint_weights[name], weight, rtol=1e-3, atol=LEARNING_RATE / 100)


def loss_over_all_rows(rows: torch.Tensor) -> torch.Tensor:
    """Every row against every other: what is lost when a process sees only its own."""
    return torch.logsumexp(rows @ rows.T, dim=1).mean()


def gradients(outputs: Path) -> None:
    """Of a linear model over 9 rows of different lengths, in micro-batches that would hold them all."""
    model = torch.nn.Linear(3, 4)
    torch.nn.init.constant_(model.weight, 0.1)
    torch.nn.init.zeros_(model.bias)
    rows = [torch.tensor([n, 1.0, -n]) / 9 for n in range(9)]
    batch = StepBatch(rows, list(range(1, 10)), loss_over_all_rows, 0.0)
    micro = MicroBatches(1000, cached=False)
    loss = backward(lambda found: model(torch.stack(list(found))), batch, micro, "seed")
    current = Processes.current()
    current.add_gradients(model.parameters())
    sizes = [len(part) for part in micro.parts(batch.lengths)]
    saved = {"loss": loss, "weight": model.weight.grad, "bias": model.bias.grad, "sizes": sizes}
    torch.save(saved, outputs / f"{current.count}-{current.rank}.pt")


def test_every_process_holds_the_gradients_of_the_whole_batch(processes, tmp_path) -> None:
    gradients(tmp_path)
    assert together(processes, 3, tmp_path / "meeting", gradients, tmp_path) == [0, 0, 0]
    alone = torch.load(tmp_path / "1-0.pt")
    assert len(alone["sizes"]) == 1
    for rank in range(3):
        joint = torch.load(tmp_path / f"3-{rank}.pt")
        assert len(joint["sizes"]) >= 3  # cut for three though one micro-batch would do
        for name in ("loss", "weight", "bias"):
            torch.testing.assert_close(joint[name], alone[name])


def runs_out_once(outputs: Path) -> None:
    """One process runs out of memory, the other does not."""
    current, micro, tries = Processes.current(), MicroBatches(8, cached=False), []

    def work() -> int:
        tries.append(micro.tokens)
        if current.rank == 1 and len(tries) == 1:
            raise torch.OutOfMemoryError("made up")
        return micro.tokens

    micro.fitting(lambda: current.together(work))
    (outputs / f"{current.rank}.json").write_text(json.dumps(tries))


def test_out_of_memory_in_one_process_halves_the_micro_batches_of_all(processes, tmp_path) -> None:
    assert together(processes, 2, tmp_path / "meeting", runs_out_once, tmp_path) == [0, 0]
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [[8, 4], [8, 4]]


def stops(base: Path, out_dir: Path) -> None:
    """Asked to stop in step 2, by the process that reports."""

    def asked(report: StepReport) -> bool:
        return report.step == 2

    try:
        train("retriever", base, out_dir, asked)
    except LexError as error:
        out_dir.with_name(f"stopped-{Processes.current().rank}").write_text(str(error))


def test_all_processes_stop_at_the_same_step(processes, bi_encoder_folder, tmp_path) -> None:
    assert together(processes, 2, tmp_path / "meeting", stops, bi_encoder_folder, tmp_path / "a") == [0, 0]
    for rank in (0, 1):
        assert "stopped after step 2" in (tmp_path / f"stopped-{rank}").read_text()
    assert [path.name for path in (tmp_path / "a.checkpoints").iterdir()] == ["checkpoint-2"]
    assert not (tmp_path / "a").exists()


def test_fewer_sequences_than_processes_are_refused() -> None:
    with pytest.raises(LexError, match=r"2 sequences at once cannot be shared among 3 processes; raise batch_size"):
        Processes(0, 3).own([[0], [1]])
