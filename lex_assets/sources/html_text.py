"""Readable text of HTML and of tables: one line per row, cells apart by ` | `."""

from __future__ import annotations

import re
from typing import Any

from lex_assets.sources.annex import SEPARATOR
from lex_assets.sources.text import tidy, unescape

# Up to the next tag, not to the closing one: looking for that from every opening one would cost quadratic time.
_HIDDEN = re.compile(r"<(?:script|style)\b[^<>]*>[^<]*", re.IGNORECASE)
_ROW = re.compile(r"<tr\b[^<>]*>\s*(?:<t[dh]\b[^<>]*>)?", re.IGNORECASE)
_CELL = re.compile(r"(?:</t[dh]\s*>\s*)?<t[dh]\b[^<>]*>", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/p|/tr|/div|/li|/h[1-6]|/caption|/table|table)\b[^<>]*>", re.IGNORECASE)
_NAMES = (
    "a|abbr|article|b|blockquote|body|br|caption|center|code|col|colgroup|dd|div|dl|dt|em|figure|font|footer|h[1-6]|head|header"
    "|hr|html|i|img|input|label|li|link|main|meta|nav|ol|option|p|pre|s|script|section|small|span|strong|style|sub|sup|table"
    "|tbody|td|tfoot|th|thead|title|tr|tt|u|ul"
)
# Only the names of HTML: `<별표 1>` and `<KOSPI>` are text.
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*|/)?>", re.IGNORECASE)
_TABLE_KEYS = (
    "caption",
    "title",
    "html",
    "table",
    "content",
    "text",
    "value",
    "header",
    "headers",
    "rows",
    "data",
    "cells",
)


def readable(html: str) -> str:
    """`html` without tags and entities; block ends are line ends, table rows are lines."""
    if "<" in html:
        html = _HIDDEN.sub("", html)
        html = _CELL.sub(SEPARATOR, _ROW.sub("\n", html))
        html = _TAG.sub("", _BREAK.sub("\n", html))
    return tidy(unescape(html))


def table_text(value: Any) -> str:
    """A table of any shape as text: HTML, rows of cells, or an object around one of them."""
    if isinstance(value, dict):
        known = [value[name] for name in _TABLE_KEYS if name in value]
        return table_text(known or list(value.values()))
    if not isinstance(value, list):
        return readable(_scalar(value))
    if all(not isinstance(cell, list | dict) for cell in value) and not any("<t" in _scalar(cell) for cell in value):
        return SEPARATOR.join(filter(None, (readable(_scalar(cell)).replace("\n", " ") for cell in value)))
    return "\n".join(filter(None, map(table_text, value)))


def _scalar(value: Any) -> str:
    return "" if value is None or isinstance(value, bool) else str(value)
