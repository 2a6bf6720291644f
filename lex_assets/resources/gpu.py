"""The devices that encoding and training run on, as run config and environment name them."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from lex_assets.models.devices import PROFILES, Device, found_device, held, profile_named, require_free_memory

GPU_POOL = "gpu"
"""Dagster pool of every stage that computes with a model: one slot per device, set in `dagster.yaml`."""


class GpuResource(dg.ConfigurableResource):
    """Verified devices, held under an OS lock each, so that two processes never share one."""

    profile: str = Field(
        default="",
        description=f"장치 프로필: {', '.join(PROFILES)}. Device profile; `cpu` must be asked for, nothing is guessed.",
    )
    index: int = Field(default=0, ge=0, description="CUDA 장치 번호. CUDA device index.")
    count: int = Field(
        default=1,
        ge=1,
        description="학습에 쓸 장치 수(index부터). Devices to train on, from `index`: one process each, under `accelerate "
        "launch`; on a CPU, processes.",
    )
    lock_timeout_s: float = Field(
        default=3600, gt=0, description="장치를 기다리는 시간(초). Seconds to wait for the device."
    )

    def verified(self) -> list[Device]:
        """The devices, after name, capability and free memory were checked. Raises LexError with the cause."""
        profile = profile_named(self.profile)
        devices = [found_device(profile, self.index + n) for n in range(self.count)]
        for device in devices:
            require_free_memory(device)
        return devices

    @contextmanager
    def held(self) -> Iterator[Device]:
        """Hold the first device for the body: what does not train runs on one."""
        device = found_device(profile_named(self.profile), self.index)
        with held([device], self.lock_timeout_s):
            yield device
