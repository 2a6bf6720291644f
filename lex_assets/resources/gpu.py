"""The device that encoding and training run on, pinned by profile.

A profile is a promise about the hardware: name, compute capability, free memory. A run on anything else fails with the
cause; it never falls back to another device, and the CPU is used only when it is asked for by name.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from lex_assets.schemas import LexError

GPU_POOL = "gpu"
"""Dagster pool of every stage that computes with a model: one slot per device, set in `dagster.yaml`."""


@dataclass(frozen=True)
class DeviceProfile:
    """What a profile demands of the device and how large batches may be on it (sequences per forward pass)."""

    name: str
    name_contains: str
    capability: tuple[int, int]
    free_memory_gib: float
    dtype: str
    encode_batch: int
    rerank_batch: int
    train_micro_batch: int

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """Of training: 16 bits only in bfloat16, whose range needs no loss scaling."""
        return "bf16" if self.dtype == "bfloat16" else "fp32"


PROFILES = {
    profile.name: profile
    for profile in (
        DeviceProfile("rtx5090", "RTX 5090", (12, 0), 28, "bfloat16", 256, 256, 32),
        DeviceProfile("a100", "A100", (8, 0), 36, "bfloat16", 512, 512, 64),
        DeviceProfile("h200", "H200", (9, 0), 120, "bfloat16", 1024, 1024, 128),
        DeviceProfile("cpu", "", (0, 0), 0, "float32", 64, 64, 32),
    )
}


@dataclass(frozen=True)
class Device:
    """A device that is held: its torch name and the profile it was verified against."""

    torch_name: str
    description: str
    profile: DeviceProfile


class GpuResource(dg.ConfigurableResource):
    """One verified device per run, held under an OS lock so that two processes never share it."""

    profile: str = Field(
        default="",
        description=f"장치 프로필: {', '.join(PROFILES)}. Device profile; `cpu` must be asked for, nothing is guessed.",
    )
    index: int = Field(default=0, ge=0, description="CUDA 장치 번호. CUDA device index.")
    lock_timeout_s: float = Field(
        default=3600, gt=0, description="장치를 기다리는 시간(초). Seconds to wait for the device."
    )

    def verified(self) -> Device:
        """The device, after its name, capability and free memory were checked. Raises LexError with the cause."""
        profile = PROFILES.get(self.profile)
        if profile is None:
            raise LexError(
                f"GPU profile {self.profile!r} is not known; set LEX_GPU_PROFILE to one of {', '.join(PROFILES)}"
            )
        if profile.name == "cpu":
            return Device("cpu", "CPU", profile)
        return self._verified_cuda(profile)

    def _verified_cuda(self, profile: DeviceProfile) -> Device:
        import torch

        remedy = f"choose the profile of this machine with LEX_GPU_PROFILE ({', '.join(PROFILES)})"
        if not torch.cuda.is_available() or self.index >= torch.cuda.device_count():
            raise LexError(f"GPU profile {profile.name}: CUDA device {self.index} is not available; {remedy}")
        found = torch.cuda.get_device_properties(self.index)
        if profile.name_contains not in found.name or (found.major, found.minor) != profile.capability:
            raise LexError(
                f"GPU profile {profile.name}: device {self.index} is {found.name} (sm_{found.major}{found.minor}); {remedy}"
            )
        free_gib = torch.cuda.mem_get_info(self.index)[0] / 2**30
        if free_gib < profile.free_memory_gib:
            raise LexError(
                f"GPU profile {profile.name}: {free_gib:.0f} GiB free on device {self.index}, "
                f"{profile.free_memory_gib:.0f} needed; stop the other process or choose a smaller profile"
            )
        return Device(f"cuda:{self.index}", found.name, profile)

    @contextmanager
    def held(self) -> Iterator[Device]:
        """Hold the device for the body. The lock is the operating system's: it is free again when the process dies."""
        device = self.verified()
        if device.torch_name == "cpu":
            yield device
            return
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._lock_path(), timeout=self.lock_timeout_s):
                yield device
        except Timeout as error:
            raise LexError(
                f"device {self.index} has been busy for {self.lock_timeout_s:.0f} s; wait for the other run or cancel it"
            ) from error

    def _lock_path(self) -> Path:
        import torch

        uuid = torch.cuda.get_device_properties(self.index).uuid
        return Path(tempfile.gettempdir()) / f"lex_assets-gpu-{uuid}.lock"
