"""What a base model needs to be used as it was trained: prefixes, lengths, pooling, LoRA targets, head, precision.

Here: one row per known model and the rule for unknown ones. Not here: loading weights (`bi_encoder`, `reranker`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from lex_assets.schemas import LexError

P = TypeVar("P")

BUILTIN = "builtin"
BUILTIN_DIR = Path(__file__).parent / "builtin"
BUILTIN_ADAPTER = BUILTIN_DIR / "retriever_adapter"
"""The adapter that `BiEncoder()` puts on the built-in retriever: court issue → article, domain `law`."""

ENCODER_LINEARS = ("query", "key", "value", "intermediate.dense", "output.dense")
"""Every linear layer of a BERT-type encoder block (BERT, RoBERTa, XLM-R, ELECTRA) and nothing of the pooler, which gets
no gradient under mean pooling and which a plain `dense` would match."""


class TemplateMode(StrEnum):
    """Which prefixes go before queries and passages."""

    BGE = "bge"
    E5 = "e5"
    NONE = "none"

    @property
    def prefixes(self) -> tuple[str, str]:
        """(query prefix, passage prefix)."""
        return _PREFIXES[self]


_PREFIXES = {
    TemplateMode.BGE: ("Represent this sentence for searching relevant passages: ", ""),
    TemplateMode.E5: ("query: ", "passage: "),
    TemplateMode.NONE: ("", ""),
}


@dataclass(frozen=True)
class RetrieverPreset:
    """How a bi-encoder is loaded, prompted and adapted. `*_max_length` in tokens; 0 leaves the model's own limit.

    pooling: mean, cls or lasttoken; used where the folder has no sentence-transformers modules of its own ·
    precision: of the weights on a GPU (bfloat16, float16, float32).
    """

    name: str
    hub_id: str
    revision: str | None = None
    licence: str = ""
    pooling: str = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""
    query_max_length: int = 0
    passage_max_length: int = 0
    lora_targets: tuple[str, ...] = ENCODER_LINEARS
    precision: str = "bfloat16"

    @property
    def folder(self) -> Path:
        """`hub_id` as a path."""
        return Path(self.hub_id)

    @property
    def is_local(self) -> bool:
        """Whether `hub_id` is a folder on this machine."""
        return self.folder.is_dir()


@dataclass(frozen=True)
class RerankerPreset:
    """How a cross-encoder is loaded and adapted. `max_length`: tokens of a whole pair; 0 leaves the model's own limit.

    head_name: the scoring head, kept in full precision and trained whole beside LoRA (`modules_to_save`).
    """

    name: str
    hub_id: str
    revision: str | None = None
    licence: str = ""
    max_length: int = 0
    lora_targets: tuple[str, ...] = ENCODER_LINEARS
    head_name: str = "classifier"
    precision: str = "bfloat16"

    @property
    def folder(self) -> Path:
        """`hub_id` as a path."""
        return Path(self.hub_id)

    @property
    def is_local(self) -> bool:
        """Whether `hub_id` is a folder on this machine."""
        return self.folder.is_dir()


_RETRIEVERS = (
    RetrieverPreset(
        BUILTIN,
        str(BUILTIN_DIR / "retriever"),
        licence="Apache-2.0",
        query_max_length=64,
        passage_max_length=128,
        precision="float32",
    ),
    RetrieverPreset(
        "BAAI/bge-m3",
        "BAAI/bge-m3",
        revision="5617a9f61b028005a4858fdac845db406aefb181",
        licence="MIT",
        pooling="cls",
        query_max_length=512,
        passage_max_length=1024,
    ),
    RetrieverPreset(
        "intfloat/multilingual-e5-small",
        "intfloat/multilingual-e5-small",
        revision="fd1525a9fd15316a2d503bf26ab031a61d056e98",
        licence="MIT",
        query_prefix="query: ",
        passage_prefix="passage: ",
        query_max_length=512,
        passage_max_length=512,
    ),
    RetrieverPreset(
        "nlpai-lab/KURE-v1",
        "nlpai-lab/KURE-v1",
        licence="MIT",
        pooling="cls",
        query_max_length=512,
        passage_max_length=1024,
    ),
)
_RERANKERS = (
    RerankerPreset(BUILTIN, str(BUILTIN_DIR / "reranker"), licence="Apache-2.0", max_length=160, precision="float32"),
    RerankerPreset(
        "BAAI/bge-reranker-v2-m3",
        "BAAI/bge-reranker-v2-m3",
        revision="953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
        licence="Apache-2.0",
        max_length=512,
    ),
)
RETRIEVERS = {preset.name: preset for preset in _RETRIEVERS}
RERANKERS = {preset.name: preset for preset in _RERANKERS}


def retriever_preset(name_or_path: str) -> RetrieverPreset:
    """The preset of a known name (`bge-m3` as well as `BAAI/bge-m3`), a local folder or any Hugging Face id.

    Raises LexError when it looks like a folder and is none.
    """
    known = _known(name_or_path, RETRIEVERS)
    if known:
        return known
    local = _local_folder(name_or_path)
    if local is None:
        return RetrieverPreset(name_or_path, name_or_path)
    prompts = _saved_prompts(local)
    query, passage = prompts.get("query", ""), prompts.get("passage") or prompts.get("document") or ""
    return RetrieverPreset(local.name, str(local), query_prefix=query, passage_prefix=passage)


def reranker_preset(name_or_path: str) -> RerankerPreset:
    """The preset of a known name, a local folder or any Hugging Face id. Raises LexError as `retriever_preset`."""
    known = _known(name_or_path, RERANKERS)
    if known:
        return known
    local = _local_folder(name_or_path)
    base = RerankerPreset(name_or_path, name_or_path)
    return base if local is None else replace(base, name=local.name, hub_id=str(local))


def _known(name: str, presets: dict[str, P]) -> P | None:
    short = {key.rsplit("/", 1)[-1].lower(): preset for key, preset in presets.items()}
    return presets.get(name) or short.get(name.lower())


def _local_folder(name: str) -> Path | None:
    """The folder `name` names, None when it reads as a hub id (`owner/model`)."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
            raise LexError(
                f"{path} holds no model (config.json is missing); give the folder that save_pretrained wrote"
            )
        return path
    looks_local = path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1
    if looks_local:
        choices = ", ".join(sorted({*RETRIEVERS, *RERANKERS}))
        raise LexError(f"no model folder at {name}; give an existing folder, a Hugging Face id or one of: {choices}")
    return None


def _saved_prompts(folder: Path) -> dict[str, str]:
    path = folder / "config_sentence_transformers.json"
    return json.loads(path.read_text("utf-8")).get("prompts") or {} if path.is_file() else {}
