"""Loading steps that the retriever and the reranker share: adapters, precision, 4-bit weights, errors a user can act on.

Weights are read from safetensors only: a pickled checkpoint can run code when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lex_assets.models.architectures import ARCHITECTURES, Architecture
from lex_assets.models.presets import RERANKERS, RETRIEVERS, Preset, near_names
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    import torch

NF4 = "nf4"


def torch_dtype(name: str | torch.dtype) -> torch.dtype:
    """The torch dtype of `name`. Raises LexError for another than float32, bfloat16, float16."""
    import torch

    if isinstance(name, torch.dtype):
        return name
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise LexError(f"dtype {name} is not known; use one of {', '.join(known)}")
    return known[name]


def require_device(name: str) -> None:
    """Raise LexError when torch cannot put anything on the device `name`."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise LexError(
            f"device {name}: {str(error).splitlines()[0]}; name one that is there, for example cpu"
        ) from error


def weight_options(dtype: torch.dtype, quantization: str | None, device: str, unquantised: Sequence[str]) -> Any:
    """`model_kwargs` of the loaders: safetensors only, the precision, and with "nf4" 4-bit weights with double
    quantisation that compute in `dtype`. unquantised: modules that stay as they are (a head must be trainable).

    Raises LexError for an unknown quantisation.
    """
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if not quantization:
        return options
    if quantization != NF4:
        raise LexError(f"quantization {quantization} is not known; use {NF4} or none")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=NF4,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(unquantised),
    )
    return options | {"quantization_config": config, "device_map": {"": device}}


def known_architecture(preset: Preset, trust_remote_code: bool = False) -> Architecture:
    """The family of `preset`'s weights, read from the hub where the preset does not say. Raises LexError when it is not
    listed: which modules are its head is then unknown."""
    from transformers import AutoConfig

    model_type = preset.architecture
    if not model_type:
        config = AutoConfig.from_pretrained(
            preset.hub_id, revision=preset.revision, trust_remote_code=trust_remote_code
        )
        model_type = config.model_type
    if model_type not in ARCHITECTURES:
        raise LexError(
            f"{preset.name}: the head of a {model_type} is not known, so that 4-bit loading would ruin it; use one of "
            f"{', '.join(ARCHITECTURES)}, or quantization none"
        )
    return ARCHITECTURES[model_type]


def keep_cpu_layout(model: Any) -> None:
    """On CPUs with AVX512-BF16 bitsandbytes repacks 4-bit weights at the first forward, after which training fails."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_adapter(model: Any, path: Path, merge: bool) -> Any:
    """`model` with the adapter in `path`. Merging costs nothing per forward; a quantised base cannot be merged into."""
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, str(path))
    except (RuntimeError, ValueError, KeyError) as error:
        cause = str(error).splitlines()[0]
        raise LexError(
            f"adapter {path} does not fit {type(model).__name__}: {cause}; load the base it was trained on"
        ) from error
    return adapted.merge_and_unload() if merge else adapted


@contextmanager
def loading_errors(preset: Preset, what: str) -> Iterator[None]:
    """OSError and ValueError of the loaders as one line with the remedy. Checked first: local weights are safetensors."""
    if preset.is_local:
        _require_safetensors(preset)
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "safetensors" in cause:
            raise LexError(_pickled(preset)) from error
        raise LexError(f"{what} {preset.name} could not be loaded: {cause.rstrip('.')}; {_remedy(preset)}") from error


def _require_safetensors(preset: Preset) -> None:
    if not any(preset.folder.rglob("*.safetensors")):
        if any(preset.folder.rglob("*.bin")):
            raise LexError(_pickled(preset))
        raise LexError(f"{preset.folder} holds no weights (*.safetensors); give a complete model folder")


def _pickled(preset: Preset) -> str:
    return (
        f"{preset.hub_id} holds no safetensors; pickled weights (pytorch_model.bin) can run code and are not opened: "
        "convert them once where that is safe (from_pretrained, then save_pretrained of the model and its tokenizer) and "
        f"give the new folder{'' if preset.is_local else f' as {preset.name}=FOLDER'}"
    )


def _remedy(preset: Preset) -> str:
    if preset.is_local:
        return "give a complete model folder"
    revision = f" --revision {preset.revision}" if preset.revision else ""
    fetch = f"fetch it once where the hub can be reached (hf download {preset.hub_id}{revision})"
    presets = {**RETRIEVERS, **RERANKERS}
    if preset.name in {one.name for one in presets.values()}:
        return f"{fetch}, or give its folder: {preset.name}=FOLDER"
    near = near_names(preset.name, presets)
    meant = f" (known names that are near: {', '.join(near)})" if near else ""
    return f"{fetch}, or give a complete local folder{meant}"


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars over loading a few tensors: they fill the logs of every child process."""
    from transformers.utils import logging as transformers_logging

    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()


@contextmanager
def same_new_weights() -> Iterator[None]:
    """Weights that a checkpoint lacks (the head of a language model) start at the same values every time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
