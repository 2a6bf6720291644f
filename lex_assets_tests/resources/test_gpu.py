from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from lex_assets.models.devices import PROFILES, found_device, held
from lex_assets.resources.gpu import GpuResource
from lex_assets.schemas import LexError


def fake_torch(name: str, capability: tuple[int, int], free_gib: float, available: bool = True) -> types.ModuleType:
    """What the resource asks of torch, for a machine that is not here."""
    torch = types.ModuleType("torch")

    def properties(index: int) -> types.SimpleNamespace:
        return types.SimpleNamespace(name=name, major=capability[0], minor=capability[1], uuid=f"GPU-{index}")

    torch.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        is_available=lambda: available,
        device_count=lambda: 2,
        get_device_properties=properties,
        mem_get_info=lambda index: (int(free_gib * 2**30), 0),
        empty_cache=lambda: None,
    )
    return torch


def test_a_profile_must_be_named() -> None:
    with pytest.raises(LexError, match="LEX_GPU_PROFILE"):
        GpuResource().verified()


def test_cpu_is_used_when_asked_for() -> None:
    with GpuResource(profile="cpu").held() as device:
        assert device.torch_name == "cpu"


def test_missing_gpu_is_an_error_and_never_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("", (0, 0), 0, available=False))
    with pytest.raises(LexError, match="CUDA device 0 is not available"):
        GpuResource(profile="rtx5090").verified()


@pytest.mark.parametrize(
    ("name", "capability", "free_gib", "problem"),
    [
        ("NVIDIA GeForce RTX 4090", (8, 9), 30, "RTX 4090"),
        ("NVIDIA GeForce RTX 5090", (12, 0), 10, "10 GiB free"),
    ],
)
def test_wrong_or_busy_gpu_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], free_gib: float, problem: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(name, capability, free_gib))
    with pytest.raises(LexError, match=problem):
        GpuResource(profile="rtx5090").verified()


def test_one_process_at_a_time_holds_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("NVIDIA A100-SXM4-80GB", (8, 0), 79))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    resource = GpuResource(profile="a100", lock_timeout_s=0.01)
    with resource.held() as device:
        assert device.profile is PROFILES["a100"]
        with pytest.raises(LexError, match="busy"), resource.held():
            pass
    with resource.held():
        pass


def test_several_devices_are_held_together_and_each_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("NVIDIA A100-SXM4-80GB", (8, 0), 79))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    second = found_device(PROFILES["a100"], 1)
    with (
        held(GpuResource(profile="a100", count=2).verified(), 0.01),
        pytest.raises(LexError, match="device 1 has been busy"),
        held([second], 0.01),
    ):
        pass
    with (
        held([second], 0.01),
        pytest.raises(LexError, match="device 1 has been busy"),
        held(GpuResource(profile="a100", count=2).verified(), 0.01),
    ):
        pass
    with pytest.raises(LexError, match="CUDA device 2 is not available"):
        GpuResource(profile="a100", index=1, count=2).verified()


def test_memory_is_looked_at_once_the_device_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch = fake_torch("NVIDIA A100-SXM4-80GB", (8, 0), 79)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    resource = GpuResource(profile="a100", lock_timeout_s=0.01)
    with resource.held():
        torch.cuda.mem_get_info = lambda index: (0, 0)
        with pytest.raises(LexError, match="busy"), resource.held():
            pass
    with pytest.raises(LexError, match="0 GiB free on device 0"), resource.held():
        pass
