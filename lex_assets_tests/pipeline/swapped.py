"""Something that happens to the models of a run while they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lex_assets.resources.models import BaseModelsResource


def struck(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Let something happen just before, and just after, the models are loaded."""
    load = BaseModelsResource.load

    def loading(*arguments: Any, **options: Any) -> Any:
        before()
        loaded = load(*arguments, **options)
        after()
        return loaded

    monkeypatch.setattr(BaseModelsResource, "load", loading)


def nothing() -> None:
    """Happens."""
