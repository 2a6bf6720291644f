"""What laws are called: one key for the ways of writing a name, well-known abbreviations, former names.

Here: names as such. Not here: which laws a corpus holds (`resolve`), or where a name stands in a text (`parse`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from lex_assets.schemas import LexError

DEFAULT_NAMES = Path(__file__).with_name("names.yaml")
_DECREE = re.compile(r"\s*(시행령|시행규칙)$")
_DROPPED = re.compile(r"[\s「」‘’“”\"']")
_DOTS = {ord(dot): "ㆍ" for dot in "·‧・･•ᆞ∙⋅"}


@lru_cache(maxsize=1 << 14)
def law_key(name: str) -> str:
    """A law's name without what its writers vary: spaces, quotation marks and the form of the middle dot.

    >>> law_key("「남녀고용평등과 일·가정 양립 지원에 관한 법률」")
    '남녀고용평등과일ㆍ가정양립지원에관한법률'
    """
    return _DROPPED.sub("", name).translate(_DOTS)


def act_name(law: str) -> str:
    """The act that a decree or rule belongs to: 은행법 시행령 → 은행법."""
    return _DECREE.sub("", law)


def decree_suffix(law: str) -> str:
    """시행령, 시행규칙 or "" at the end of a name."""
    match = _DECREE.search(law)
    return match[1] if match else ""


def same_law(law: str, kind: str, decree: str = "") -> str:
    """What 같은 법, 같은 영, 동법 시행령 mean after `law`.

    >>> same_law("은행법", "법", "시행령"), same_law("은행법 시행령", "법"), same_law("은행법", "규칙")
    ('은행법 시행령', '은행법', '은행법 시행규칙')
    """
    if kind == "규정":
        return law
    if kind in ("법", "법률"):
        return f"{act_name(law)} {decree}".strip()
    suffix = {"영": "시행령", "규칙": "시행규칙"}.get(kind, kind)
    return law if law.endswith((kind, suffix)) else f"{act_name(law)} {suffix}"


@dataclass(frozen=True)
class FormerName:
    """A name that a law bore until `until` (YYYYMMDD, promulgation of the act that renamed it)."""

    name: str
    until: str


@dataclass(frozen=True)
class OtherNames:
    """Names beside the official one, by the official name's key: abbreviations, and former names of a renamed law."""

    abbreviations: Mapping[str, tuple[str, ...]]
    former: Mapping[str, tuple[FormerName, ...]]

    @classmethod
    def load(cls, path: Path | str | None = None) -> OtherNames:
        """From a YAML file, the packaged one by default. Raises LexError naming the file and the faulty entry."""
        path = Path(path) if path else DEFAULT_NAMES
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            short = {law_key(law): tuple(map(str, names)) for law, names in raw["abbreviations"].items()}
            former = {law_key(law): tuple(_former(*pair) for pair in was.items()) for law, was in raw["former"].items()}
        except OSError as error:
            raise LexError(f"law names {path}: {error.strerror}; give the path of a YAML file") from None
        except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
            cause = " ".join(str(error).split())[:120]
            raise LexError(f"law names {path}: faulty ({cause}); see {DEFAULT_NAMES.name} for the form") from None
        return cls(short, former)


def _former(name: str, until: int) -> FormerName:
    if not re.fullmatch(r"[12]\d{7}", str(until)):
        raise ValueError(f"{name}: {until} is no YYYYMMDD")
    return FormerName(name, str(until))
