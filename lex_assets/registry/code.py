"""What code made something, as one hash."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lex_assets.schemas import content_hash


@cache
def code_hash() -> str:
    """sha256 over the names and contents of the package's Python files. 64 hex digits."""
    root = Path(__file__).parents[1]
    files = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    return content_hash(
        *(part for path in files for part in (path.relative_to(root).as_posix(), path.read_text("utf-8")))
    )
