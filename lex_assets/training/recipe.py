"""A recipe: one YAML file that says which base is trained on what, and how. Read by the command line and the pipeline.

Its sections are the settings that the stages themselves take, so that a name means the same everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.mining.config import MiningConfig
from lex_assets.passages.build import PassageConfig
from lex_assets.queries.filters import SyntheticConfig
from lex_assets.retrieval.engine import VARIABLE, LexicalConfig
from lex_assets.schemas import LexError
from lex_assets.settings import checked, names, require_known
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig


class DataFiles(BaseModel):
    """What is trained on: two files of rows, or a store of the pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str = Field(default="", description="학습 행 파일(JSONL). Training rows.")
    valid: str = Field(default="", description="검증 행 파일(JSONL). Validation rows.")
    corpus: str = Field(default="", description="말뭉치(JSONL 또는 저장소). Corpus whose ids the rows name.")
    store: str = Field(default="", description="파이프라인 저장소. Store of the pipeline, instead of files.")
    domain: str = Field(default="", description="저장소의 도메인. Domain in that store.")
    licence: str = Field(
        default="", description="데이터의 사용 허락. Licence of the rows, written into the model card."
    )


class Recipe(BaseModel):
    """What both kinds share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(default="builtin", description="기반 모델. Preset, hub id or folder.")
    out: str = Field(default="", description="결과 폴더. Folder to write the model to.")
    device: str = Field(default="cpu", description="torch 장치. Torch device.")
    trust_remote_code: bool = Field(
        default=False, description="모델 저장소의 코드 실행 허용. Whether code that comes with a hub model may run."
    )
    data: DataFiles = Field(default=DataFiles(), description="데이터. What is trained on.")
    passages: PassageConfig = Field(default=PassageConfig(), description="단락. How documents are cut.")
    questions: SyntheticConfig = Field(
        default=SyntheticConfig(), description="질문 생성. Questions made from passages."
    )
    mining: MiningConfig = Field(default=MiningConfig(), description="어려운 음성. Hard negatives.")
    lexical: LexicalConfig = Field(
        default_factory=LexicalConfig.from_environment,
        description="어휘 검색, 없으면 LEX_LEXICAL_…. Keyword search that mines; without it as the environment says.",
    )


class RetrieverRecipe(Recipe):
    """A bi-encoder."""

    kind: Literal["retriever"] = "retriever"
    training: RetrieverTrainingConfig = Field(default=RetrieverTrainingConfig(), description="학습. Training.")


class RerankerRecipe(Recipe):
    """A cross-encoder."""

    kind: Literal["reranker"] = "reranker"
    training: RerankerTrainingConfig = Field(default=RerankerTrainingConfig(), description="학습. Training.")


AnyRecipe = RetrieverRecipe | RerankerRecipe
S = TypeVar("S", bound=BaseModel)
RECIPES: dict[str, type[AnyRecipe]] = {"retriever": RetrieverRecipe, "reranker": RerankerRecipe}
_OPS = {"passages": "passages", "questions": "synthetic_qa", "mining": "hard_negative_triplets"}


def load_recipe(kind: str, path: Path | None, overrides: Sequence[str] = ()) -> AnyRecipe:
    """The recipe of a `kind` (retriever or reranker) in `path` (the defaults without one) with `overrides` like `training.epochs=5` applied.

    Raises LexError for a file that is missing, no YAML or of the other kind, for an unknown name (with the nearest), and for
    a value that its setting does not take.
    """
    values = {} if path is None else read_yaml(path)
    where = f"{path}" if path else "settings"
    if values.get("kind", kind) != kind:
        raise LexError(
            f"{where}: a recipe of a {values['kind']}, not of a {kind}; run: lex-assets train {values['kind']}"
        )
    return _overridden(RECIPES[kind], values, overrides, where)


def load_settings(settings: type[S], path: Path | None, overrides: Sequence[str] = ()) -> S:
    """`settings` as a YAML file says (the defaults without one) with `overrides` like `hard=5` applied.

    Raises LexError as `load_recipe` does."""
    values = {} if path is None else read_yaml(path)
    return _overridden(settings, values, overrides, f"{path}" if path else "settings")


def _overridden(settings: type[S], values: dict[str, Any], overrides: Sequence[str], where: str) -> S:
    for override in overrides:
        _apply(values, override, list(names(settings)))
    return checked(settings, values, where)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises LexError when there is none."""
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError as error:
        raise LexError(f"{path}: {error.strerror}; give the path of a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LexError(f"{path}: not YAML ({' '.join(str(error).split())[:120]}); correct the file") from None
    if not isinstance(values, dict):
        raise LexError(f"{path}: not a mapping of settings; see configs/")
    return values


def run_config(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The Dagster run config of a recipe's file: the settings that it names, under the assets that take them."""
    kind = values.get("kind")
    if kind not in RECIPES:
        raise LexError(f"{path}: kind is {kind!r}; write kind: {' or '.join(RECIPES)}")
    checked(RECIPES[kind], values, str(path))
    ops = {asset: values[section] for section, asset in _OPS.items() if values.get(section)}
    if values.get("training"):
        ops[f"{kind}_adapter"] = values["training"]
    return {"ops": {asset: {"config": dict(settings)} for asset, settings in ops.items()}}


def environment(values: Mapping[str, Any]) -> dict[str, str]:
    """The environment that makes the pipeline adapt a recipe's base and search as it says: set already, it stays."""
    named = {f"LEX_{str(values.get('kind')).upper()}": values["base"]} if values.get("base") else {}
    named |= {f"{VARIABLE}{name.upper()}": value for name, value in (values.get("lexical") or {}).items()}
    return {name: os.environ.get(name, str(value)) for name, value in named.items()}


def resolved(recipe: Recipe) -> str:
    """All settings as YAML, defaults included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)


def _apply(values: dict[str, Any], override: str, known: list[str]) -> None:
    name, found, value = override.partition("=")
    if not found:
        raise LexError(f"{override}: not an override; write name=value, for example training.epochs=5")
    require_known(name, known, "overrides")
    *sections, leaf = name.split(".")
    for section in sections:
        values[section] = values.get(section) or {}
        if not isinstance(values[section], dict):
            raise LexError(f"{section} is {values[section]!r}, not a mapping of settings; correct the recipe")
        values = values[section]
    try:
        values[leaf] = yaml.safe_load(value) if value.startswith("[") else value  # the setting's own type decides
    except yaml.YAMLError:
        raise LexError(f"{override}: the list is not YAML; write it like [query, value]") from None
