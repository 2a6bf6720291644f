"""lex_assets: from raw Korean legal and finance documents to an evaluated retriever and reranker.

The library face: `from lex_assets import BiEncoder, Reranker, TemplateMode`. Importing this package loads no torch; the
classes arrive on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.presets import TemplateMode
    from lex_assets.models.reranker import Reranker

__all__ = ["BiEncoder", "Reranker", "TemplateMode"]

_FACE = {
    "BiEncoder": "lex_assets.models.bi_encoder",
    "Reranker": "lex_assets.models.reranker",
    "TemplateMode": "lex_assets.models.presets",
}


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'lex_assets' has no attribute {name!r}")
    return getattr(import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
