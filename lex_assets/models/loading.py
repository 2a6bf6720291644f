"""Loading steps that the retriever and the reranker share: adapters, precision, errors a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lex_assets.schemas import LexError

if TYPE_CHECKING:
    import torch


def torch_dtype(name: str | torch.dtype) -> torch.dtype:
    """The torch dtype of `name`. Raises LexError for another than float32, bfloat16, float16."""
    import torch

    if isinstance(name, torch.dtype):
        return name
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise LexError(f"dtype {name} is not known; use one of {', '.join(known)}")
    return known[name]


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
def loading_errors(source: str, what: str) -> Iterator[None]:
    """OSError and ValueError of the loaders as one line with the remedy."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "give a complete local folder, or a hub id that this machine can download"
        raise LexError(f"{what} {source} could not be loaded: {cause}; {remedy}") from error


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
