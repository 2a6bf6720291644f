"""Which base models the pipeline adapts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from lex_assets.models.devices import Device
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.presets import RerankerPreset, RetrieverPreset
    from lex_assets.models.reranker import Reranker
    from lex_assets.models.token_lengths import TokenLengths

AdapterPaths = tuple[Path | None, Path | None]
"""Folders of a retriever and of a reranker adapter; None means the base alone."""


class BaseModelsResource(dg.ConfigurableResource):
    """Frozen weights under the adapters: a preset's name, a Hugging Face id, or a local folder."""

    retriever: str = Field(default="builtin", description="검색 기반 모델. Preset, hub id or folder of the bi-encoder.")
    reranker: str = Field(
        default="builtin", description="재순위 기반 모델. Preset, hub id or folder of the cross-encoder."
    )
    trust_remote_code: bool = Field(
        default=False,
        description="모델 저장소의 코드 실행 허용 여부. Whether code that comes with a hub model may run.",
    )

    def presets(self) -> dict[str, RetrieverPreset | RerankerPreset]:
        """How the two bases are loaded and prompted, by kind. Raises LexError for a missing folder."""
        from lex_assets.models.presets import reranker_preset, retriever_preset

        return {"retriever": retriever_preset(self.retriever), "reranker": reranker_preset(self.reranker)}

    def identities(self) -> dict[str, str]:
        """What the frozen weights are, by content for local folders: a model swapped under the same path is another."""
        from lex_assets.models.weights import Base

        return {kind: Base(p.name, p.hub_id, p.revision).hash[:16] for kind, p in self.presets().items()}

    def trained_documents(self) -> frozenset[str]:
        """Documents that the two bases have seen, as far as they say so."""
        from lex_assets.models.weights import trained_documents

        return frozenset().union(*(trained_documents(p.hub_id) or () for p in self.presets().values()))

    def token_lengths(self) -> TokenLengths:
        """How long texts are to the retriever's base."""
        from lex_assets.models.token_lengths import TokenLengths

        return TokenLengths.of(self.retriever, self.trust_remote_code)

    def load(
        self, device: Device, adapters: AdapterPaths | None = None, expected: Mapping[str, str] | None = None
    ) -> tuple[BiEncoder, Reranker]:
        """The retriever and the reranker on `device`, with adapters where given.

        expected: `identities` that a result is filed under. Raises LexError when the bases are others by now."""
        from lex_assets.models.bi_encoder import BiEncoder
        from lex_assets.models.reranker import Reranker

        options: dict[str, Any] = {
            "device": device.torch_name,
            "dtype": device.profile.dtype,
            "trust_remote_code": self.trust_remote_code,
        }
        retriever, reranker = (str(folder) if folder else None for folder in adapters or (None, None))
        loaded = (
            BiEncoder(self.retriever, peft_adapter_path=retriever, **options),
            Reranker(self.reranker, peft_adapter_path=reranker, **options),
        )
        for model in loaded:
            model.weights_hash  # noqa: B018  taken now: what is cached later is filed under what was loaded
        if expected is not None:
            self._require(expected)
        return loaded

    def _require(self, expected: Mapping[str, str]) -> None:
        for kind, identity in self.identities().items():
            if identity != expected[kind]:
                raise LexError(
                    f"{kind} {getattr(self, kind)}: its weights were replaced while this run began; run it again, and it works with "
                    "the new ones"
                )
