"""Reading loosely typed JSON: the same field is a string, a list, a list of lists or a dict from file to file."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any

from lex_assets.schemas import LexError

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NUMBER = 100
_MONTH, _DAY = r"(0?[1-9]|1[0-2])", r"(0?[1-9]|[12]\d|3[01])"
_DATE = re.compile(
    rf"(?<!\d)(?:(\d{{4}})\s*[-./년]\s*{_MONTH}\s*[-./월]\s*{_DAY}(?!\d)|(\d{{4}})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))",
    re.ASCII,
)


class SourceError(LexError):
    """A record that cannot be read; it becomes a quarantine row."""


def require_utf8(start: bytes) -> None:
    """Raise SourceError when the first four bytes of a file are UTF-16 or UTF-32 with its mark."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) and b"\0" in start:
        raise SourceError("not UTF-8 but UTF-16 or UTF-32; convert it, for example: iconv -f utf-16 -t utf-8")


def decode(raw: bytes) -> str:
    """UTF-8 text, byte order mark removed. Raises SourceError for other encodings and empty files."""
    if not raw.strip():
        raise SourceError("the file is empty; download it again")
    require_utf8(raw[:4])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"not UTF-8 (byte {error.start}); convert it, for example: iconv -f cp949 -t utf-8") from None


def parse_json(text: str) -> Any:
    """The JSON value, lone surrogates replaced by U+FFFD. Raises SourceError with the position of the first fault."""
    try:
        value = json.loads(text, parse_int=_integer)
        return _scrub(value) if "\\ud" in text or "\\uD" in text else value
    except json.JSONDecodeError as error:
        raise SourceError(f"not JSON: {error.msg} (line {error.lineno}); download it again") from None
    except RecursionError:
        raise SourceError("JSON nested too deeply; the file is damaged, download it again") from None


def _integer(digits: str) -> int | str:
    """The number; one longer than any that means something stays text, for `int` refuses the longest."""
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


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


def date_field(record: dict[str, Any], name: str) -> str:
    """`record[name]` as YYYYMMDD, from `2019. 5. 7.`, `2019-05-07` or `20190507`; empty when it is no date."""
    match = _DATE.search(field(record, name))
    if not match:
        return ""
    year, month, day = filter(None, match.groups())
    return f"{year}{int(month):02d}{int(day):02d}"


def first_field(record: dict[str, Any], names: Iterable[str]) -> str:
    """The first of the fields `names` that is not empty, as one line; empty without any."""
    return next(filter(None, (field(record, name) for name in names)), "")


def unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """The record inside the envelope of an API answer: `{"DetcService": {…}}`, also `{"의결서": {…}}` inside of that."""
    while len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        value = inner
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "missing", bool: "a boolean"}
    return names.get(type(value), "a number")
