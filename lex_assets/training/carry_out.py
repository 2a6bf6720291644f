"""A training job carried out by this process, alone or as one of several."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from lex_assets.models.devices import Device, held
from lex_assets.schemas import LexError
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.files import TrainingTables
from lex_assets.training.job import TrainingJob
from lex_assets.training.processes import Processes
from lex_assets.training.run import trainer
from lex_assets.training.tracking import tracked, tracking

ADAPTER, RESULT = "adapter", "result.json"
JOINING_S = 600.0
"""Seconds that processes wait for one another, beside those that the first waits for the devices."""


def carry_out(job: TrainingJob, on_step: Callable[[Any], bool | None]) -> None:
    """Train, holding the devices, and write `<out>/adapter` and `<out>/result.json`; `on_step` gets the reports.

    In a job of several processes each calls this; the first reports and writes. Raises LexError as the trainers do.
    """
    with _joined(job) as device:
        result = _trained(job, device, on_step)
        if Processes.current().first:
            _write_result(job, result)


def _write_result(job: TrainingJob, result: TrainingResult) -> None:
    facts = dataclasses.asdict(result) | {"adapter_dir": ADAPTER}
    try:
        (job.out / RESULT).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise LexError(f"{job.out}: cannot write the result ({error.strerror}); free space or set LEX_STORE") from error


def _trained(job: TrainingJob, device: Device, on_step: Callable[[Any], bool | None]) -> TrainingResult:
    settings, tables = job.settings, TrainingTables.read(job.tables)
    kept_by = settings.tracker if Processes.current().first else "none"
    with tracking(kept_by, job.tracking, job.name, settings.model_dump()) as tracker:
        return trainer(job.kind)(
            job.base, tables.triplets, tables.queries, tables.qrels, tables.corpus, settings, job.out / ADAPTER,
            device.torch_name, tracked(tracker, on_step), checkpoint_dir=job.checkpoints,
            trust_remote_code=job.trust_remote_code,
        )  # fmt: skip


@contextmanager
def _joined(job: TrainingJob) -> Iterator[Device]:
    """This process's device, held. Of several processes the first holds them all: two runs that took them one by one could
    wait for each other."""
    rank, devices = int(os.environ.get("RANK", "0")), job.devices()
    with held(devices if rank == 0 else [], job.lock_timeout_s):
        if job.count == 1:
            yield devices[0]
            return
        if not devices[rank].is_cpu:
            torch.cuda.set_device(devices[rank].index)  # where this process's collective operations run
        wait = timedelta(seconds=job.lock_timeout_s + JOINING_S)
        dist.init_process_group("gloo" if devices[0].is_cpu else "nccl", timeout=wait)
        yield devices[rank]
        dist.destroy_process_group()
