"""The devices that models run on, pinned by profile.

A profile is a promise about the hardware: name, compute capability, free memory. A run on anything else fails with the
cause; it never falls back to another device, and the CPU is used only when it is asked for by name.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lex_assets.schemas import LexError

CPU = "cpu"
"""The profile, and the name that torch has for the device."""


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
        DeviceProfile(CPU, "", (0, 0), 0, "float32", 64, 64, 32),
    )
}


@dataclass(frozen=True)
class Device:
    """A device of a profile. torch_name: cpu or cuda:N."""

    torch_name: str
    description: str
    profile: DeviceProfile

    @property
    def index(self) -> int:
        """CUDA index."""
        return int(self.torch_name.partition(":")[2] or 0)

    @property
    def is_cpu(self) -> bool:
        """Whether there is nothing to verify and nothing to share out."""
        return self.torch_name == CPU


def profile_named(name: str) -> DeviceProfile:
    """The profile. Raises LexError when there is none."""
    if name not in PROFILES:
        raise LexError(f"GPU profile {name!r} is not known; set LEX_GPU_PROFILE to one of {', '.join(PROFILES)}")
    return PROFILES[name]


def found_device(profile: DeviceProfile, index: int) -> Device:
    """Device `index` of this machine. Raises LexError when it is missing or not what the profile says."""
    if profile.name == CPU:
        return Device(CPU, "CPU", profile)
    import torch

    remedy = f"choose the profile of this machine with LEX_GPU_PROFILE ({', '.join(PROFILES)})"
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise LexError(f"GPU profile {profile.name}: CUDA device {index} is not available; {remedy}")
    found = torch.cuda.get_device_properties(index)
    if profile.name_contains not in found.name or (found.major, found.minor) != profile.capability:
        raise LexError(
            f"GPU profile {profile.name}: device {index} is {found.name} (sm_{found.major}{found.minor}); {remedy}"
        )
    return Device(f"cuda:{index}", found.name, profile)


def require_free_memory(device: Device) -> None:
    """Raise LexError when less memory is free on the device than its profile asks for."""
    if device.is_cpu:
        return
    import torch

    profile, free_gib = device.profile, torch.cuda.mem_get_info(device.index)[0] / 2**30
    if free_gib < profile.free_memory_gib:
        raise LexError(
            f"GPU profile {profile.name}: {free_gib:.0f} GiB free on device {device.index}, "
            f"{profile.free_memory_gib:.0f} needed; stop the other process or choose a smaller profile"
        )


@contextmanager
def held(devices: Sequence[Device], timeout_s: float) -> Iterator[None]:
    """Hold `devices`, in ascending order, for the body; their memory is given back at its end.

    The locks are the operating system's: they are free again when the process dies. Memory is looked at once they are held:
    before, it may be that of the process that is waited for. Raises LexError when they stay busy, or lack memory.
    """
    with ExitStack() as locks:
        for device in devices:
            if not device.is_cpu:
                locks.enter_context(_locked(device, timeout_s))
            require_free_memory(device)
        try:
            yield
        finally:
            _give_back_memory(devices)


@contextmanager
def _locked(device: Device, timeout_s: float) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_path(device))
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise LexError(
            f"device {device.index} has been busy for {timeout_s:.0f} s; wait for the other run or cancel it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock_path(device: Device) -> Path:
    import torch

    uuid = torch.cuda.get_device_properties(device.index).uuid
    return Path(tempfile.gettempdir()) / f"lex_assets-gpu-{uuid}.lock"


def _give_back_memory(devices: Sequence[Device]) -> None:
    """What torch keeps for later would be missing to the process that holds the device next."""
    if all(device.is_cpu for device in devices):
        return
    import torch

    gc.collect()
    torch.cuda.empty_cache()
