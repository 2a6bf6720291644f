"""What a base model needs to be used as it was trained: prefixes, lengths, pooling, LoRA targets, head, precision.

Here: how a name becomes a preset. The known models are rows of `presets.yaml`: to add one, add a row. Not here: loading
weights (`bi_encoder`, `reranker`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lex_assets.models.architectures import architecture_of
from lex_assets.schemas import LexError

BUILTIN = "builtin"
BUILTIN_SUPERVISED = "builtin-supervised"
"""The retriever that `BiEncoder()` loads: court issue → cited article."""
BUILTIN_DIR = Path(__file__).parent / "builtin"
BUILTIN_ADAPTER = BUILTIN_DIR / "retriever_adapter"
"""An adapter of `builtin` as the pipeline makes them: court issue → article, domain `law`."""


class TemplateMode(StrEnum):
    """Which prefixes go before queries and passages."""

    BGE = "bge"
    E5 = "e5"
    QUERY = "query"
    INSTRUCTION = "instruction"
    NONE = "none"

    @property
    def prefixes(self) -> tuple[str, str]:
        """(query prefix, passage prefix)."""
        return _PREFIXES[self]


_PREFIXES = {
    TemplateMode.BGE: ("Represent this sentence for searching relevant passages: ", ""),
    TemplateMode.E5: ("query: ", "passage: "),
    TemplateMode.QUERY: ("query: ", ""),
    TemplateMode.INSTRUCTION: (
        "Instruct: Given a question, retrieve Korean legal passages that answer it\nQuery: ",
        "",
    ),
    TemplateMode.NONE: ("", ""),
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What retrievers and rerankers have in common.

    name: as it is asked for and recorded · hub_id: where the weights lie, a Hugging Face id or a local folder; "" when
    nothing was published · revision: pinned commit · licence: "" when none is stated · architecture: `model_type` of the
    configuration · precision: of the weights on a GPU · aliases: short names beside the last part of `name` · note: what is
    not known for certain, or must be done first.
    """

    name: str
    hub_id: str
    revision: str | None = None
    licence: str = ""
    architecture: str = ""
    precision: str = "bfloat16"
    aliases: tuple[str, ...] = ()
    note: str = ""

    @property
    def folder(self) -> Path:
        """`hub_id` as a path."""
        return Path(self.hub_id)

    @property
    def is_local(self) -> bool:
        """Whether `hub_id` is a folder on this machine."""
        return self.folder.is_dir()

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Endings of the layer names that an adapter goes on."""
        return architecture_of(self.architecture).lora_targets

    @property
    def names(self) -> set[str]:
        """Everything that it answers to, in lower case."""
        return {name.lower() for name in (self.name, self.name.rsplit("/", 1)[-1], *self.aliases)}


@dataclass(frozen=True, kw_only=True)
class RetrieverPreset(Preset):
    """A bi-encoder. `*_max_length` in tokens, 0 leaves the model's own limit · dimension: width of the vectors, 0 unknown ·
    pooling: mean, cls or lasttoken, for checkpoints without sentence-transformers modules of their own."""

    pooling: str = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""
    query_max_length: int = 0
    passage_max_length: int = 0
    dimension: int = 0


@dataclass(frozen=True, kw_only=True)
class RerankerPreset(Preset):
    """A cross-encoder. `max_length`: tokens of a whole pair; 0 leaves the model's own limit."""

    max_length: int = 0

    @property
    def head(self) -> tuple[str, ...]:
        """The scoring head's modules, kept in full precision and trained whole beside LoRA."""
        return architecture_of(self.architecture).head


P = TypeVar("P", bound=Preset)


def _read(section: str, kind: type[P]) -> dict[str, P]:
    rows = yaml.safe_load((Path(__file__).parent / "presets.yaml").read_text("utf-8"))[section]
    return {row["name"]: _preset(row, kind) for row in rows}


def _preset(row: Mapping[str, Any], kind: type[P]) -> P:
    values = {name: value for name, value in row.items() if value is not None}
    values |= {"hub_id": values.get("hub_id", values["name"]), "aliases": tuple(values.get("aliases", ()))}
    if "folder" in values:
        values["hub_id"] = str(BUILTIN_DIR / values.pop("folder"))
    if "template" in values:
        names = ("query_prefix", "passage_prefix")
        values |= dict(zip(names, TemplateMode(values.pop("template")).prefixes, strict=True))
    return kind(**values)


RETRIEVERS = _read("retrievers", RetrieverPreset)
RERANKERS = _read("rerankers", RerankerPreset)


def retriever_preset(name: str) -> RetrieverPreset:
    """The preset of a known name (`bge-m3` as well as `BAAI/bge-m3`), of a local folder or of any Hugging Face id.

    `PRESET=FOLDER` loads the folder with the preset's prefixes, lengths and pooling. Raises LexError, with the names that
    are near, when it is neither a known name nor a folder nor reads as a hub id.
    """
    known = _known(name, RETRIEVERS)
    if known:
        return known
    local = _local_folder(name, RETRIEVERS)
    if local is None:
        return RetrieverPreset(name=name, hub_id=name)
    prompts = _saved_prompts(local)
    query, passage = prompts.get("query", ""), prompts.get("passage") or prompts.get("document") or ""
    model_type = _model_type(local)
    return RetrieverPreset(
        name=local.name, hub_id=str(local), architecture=model_type, query_prefix=query, passage_prefix=passage
    )


def reranker_preset(name: str) -> RerankerPreset:
    """The preset of a known name, of a local folder or of any Hugging Face id. As `retriever_preset`."""
    known = _known(name, RERANKERS)
    if known:
        return known
    local = _local_folder(name, RERANKERS)
    if local is None:
        return RerankerPreset(name=name, hub_id=name)
    return RerankerPreset(name=local.name, hub_id=str(local), architecture=_model_type(local))


def near_names(name: str, presets: Mapping[str, Preset]) -> list[str]:
    """Known names that look like `name`, best first."""
    answers = {answer: preset.name for preset in presets.values() for answer in sorted(preset.names)}
    found = get_close_matches(name.lower(), answers, n=6, cutoff=0.5)
    return list(dict.fromkeys(answers[answer] for answer in found))[:3]


def _known(name: str, presets: Mapping[str, P]) -> P | None:
    """The preset that `name` or `name=folder` names."""
    asked, _, folder = name.partition("=")
    preset = next((preset for preset in presets.values() if asked.lower() in preset.names), None)
    if preset is None:
        return None
    if folder:
        return replace(preset, hub_id=str(_model_folder(Path(folder).expanduser())), revision=None)
    if not preset.hub_id:
        raise LexError(f"{preset.name}: {preset.note}; give it as {preset.name}=FOLDER")
    return preset


def _local_folder(name: str, presets: Mapping[str, Preset]) -> Path | None:
    """The folder `name` names, None when it reads as a hub id (`owner/model`)."""
    path = Path(name).expanduser()
    if path.is_dir():
        return _model_folder(path)
    looks_local = path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1
    if looks_local:
        near = near_names(name, presets)
        meant = f"did you mean {', '.join(near)}? or " if near else ""
        raise LexError(
            f"no model folder at {name}; {meant}give an existing folder, a Hugging Face id or one of: {', '.join(presets)}"
        )
    return None


def _model_folder(path: Path) -> Path:
    if not path.is_dir():
        raise LexError(f"no model folder at {path}; check the path")
    if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
        raise LexError(f"{path} holds no model (config.json is missing); give the folder that save_pretrained wrote")
    return path


def _model_type(folder: Path) -> str:
    path = folder / "config.json"
    return json.loads(path.read_text("utf-8")).get("model_type", "") if path.is_file() else ""


def _saved_prompts(folder: Path) -> dict[str, str]:
    path = folder / "config_sentence_transformers.json"
    return json.loads(path.read_text("utf-8")).get("prompts") or {} if path.is_file() else {}
