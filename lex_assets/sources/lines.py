"""JSON objects of a text file, one per line, gzipped or not; what is wrong is said with its line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lex_assets.schemas import LexError

Types = Mapping[str, tuple[type, ...]]


def read_objects(path: Path, required: Types | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) of every line that is not empty. Raises LexError with the first line that is no object or lacks
    one of `required` (name → types)."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    where = f"{path}:{number}"
                    yield where, _object(line, where, required or {})
    except FileNotFoundError:
        raise LexError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError:
        raise LexError(f"{path}: not UTF-8 text; convert it, for example with iconv") from None
    except (OSError, EOFError, zlib.error) as error:
        raise LexError(f"{path}: cannot read ({error}); check the file") from error


def _object(line: str, where: str, required: Types) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LexError(f"{where}: not JSON ({error}); write one object per line") from None
    if not isinstance(value, dict):
        raise LexError(f"{where}: {type(value).__name__}, not an object; write one object per line")
    for name, kinds in required.items():
        if value.get(name) is None:
            raise LexError(f"{where}: {name} is missing; every line needs {', '.join(required)}")
        if not isinstance(value[name], kinds):
            raise LexError(f"{where}: {name} is a {type(value[name]).__name__}; write it as a string")
    return value
