"""Reading loosely typed JSON: the same field is a string, a list, a list of lists or a dict from file to file."""

from __future__ import annotations

import json
import re
from typing import Any

from lex_assets.schemas import LexError

_SURROGATE = re.compile("[\ud800-\udfff]")


class SourceError(LexError):
    """A record that cannot be read; it becomes a quarantine row."""


def decode(raw: bytes) -> str:
    """UTF-8 text, byte order mark removed. Raises SourceError for other encodings and empty files."""
    if not raw.strip():
        raise SourceError("the file is empty; download it again")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"not UTF-8 (byte {error.start}); convert it, for example: iconv -f cp949 -t utf-8") from None


def parse_json(text: str) -> Any:
    """The JSON value, lone surrogates replaced by U+FFFD. Raises SourceError with the position of the first fault."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(f"not JSON: {error.msg} (line {error.lineno}); download it again") from None
    except RecursionError:
        raise SourceError("JSON nested too deeply; the file is damaged, download it again") from None
    except ValueError as error:
        raise SourceError(f"not JSON: {error}") from None
    return _scrub(value) if "\\ud" in text or "\\uD" in text else value


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if isinstance(value, dict):
        return {_SURROGATE.sub("\ufffd", key): _scrub(item) for key, item in value.items()}
    return value


def as_dict(value: Any, name: str) -> dict[str, Any]:
    """`value` when it is a JSON object; SourceError naming the field otherwise."""
    if isinstance(value, dict):
        return value
    raise SourceError(f"{name} is {_kind(value)}, expected an object; the file does not follow the format")


def as_list(value: Any, name: str) -> list[Any]:
    """A list of items: one item alone is the list of itself, nothing is the empty list."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    if value is None or value == "":
        return []
    raise SourceError(f"{name} is {_kind(value)}, expected a list; the file does not follow the format")


def as_text(value: Any, name: str) -> str:
    """Text of a field that is a string, a number, a (nested) list of lines, or an object with `content`."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(as_text(item, name) for item in value)
    if isinstance(value, dict) and "content" in value:
        return as_text(value["content"], name)
    raise SourceError(f"{name} is {_kind(value)}, expected text; the file does not follow the format")


def field(record: dict[str, Any], name: str) -> str:
    """`record[name]` as one stripped line of text; empty when it is missing."""
    return " ".join(as_text(record.get(name), name).split())


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "missing", bool: "a boolean"}
    return names.get(type(value), "a number")
