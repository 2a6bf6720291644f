"""Domain rules: a YAML list that says which documents are finance, law or precedent, and the formats set by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from lex_assets.schemas import DOMAINS, Document, LexError
from lex_assets.sources.formats import FORMATS

DEFAULT_RULES = Path(__file__).with_name("domains.yaml")
_CONDITIONS = ("source_type", "authority", "folder")


@dataclass(frozen=True)
class DomainRule:
    """One rule: empty conditions match everything; the values of one condition are alternatives."""

    domain: str
    source_type: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    folder: tuple[str, ...] = ()

    def matches(self, document: Document) -> bool:
        """Whether every condition holds. A document with several authorities matches by any of them."""
        authorities = {name.strip() for name in document.authority.split(",")}
        parent = Path(document.source_path).parent.as_posix()
        return (
            (not self.source_type or document.source_type in self.source_type)
            and (not self.authority or bool(authorities.intersection(self.authority)))
            and (not self.folder or any(fnmatch(parent, pattern) for pattern in self.folder))
        )


@dataclass(frozen=True)
class FormatRule:
    """Files whose path in the raw folder matches the shell pattern are read in this format, not in the detected one."""

    pattern: str
    format: str

    @classmethod
    def parse(cls, text: str) -> FormatRule:
        """From `pattern=format`. Raises LexError naming the formats."""
        pattern, _, name = text.rpartition("=")
        return cls.checked(pattern.strip(), name.strip(), f"format override {text!r}")

    @classmethod
    def checked(cls, pattern: str, name: str, where: str) -> FormatRule:
        """A rule with a pattern and a known format; LexError naming `where` and the formats otherwise."""
        if not pattern or name not in FORMATS:
            raise LexError(f"{where}: give a pattern and one of {', '.join(FORMATS)}, for example 'qa/*.txt=record'")
        return cls(pattern, name)

    def matches(self, source_path: str) -> bool:
        """Whether the path (relative to the raw folder) matches."""
        return fnmatch(source_path, self.pattern)


@dataclass(frozen=True)
class DomainRules:
    """Rules in order; the first that matches decides. So do `formats`, which override the autodetection."""

    rules: tuple[DomainRule, ...]
    formats: tuple[FormatRule, ...] = ()

    @classmethod
    def load(cls, path: Path | str | None = None) -> DomainRules:
        """Rules from a YAML file, the packaged ones by default. Raises LexError naming the file and the faulty rule."""
        path = Path(path) if path else DEFAULT_RULES
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LexError(f"domain rules {path}: {error.strerror}; give the path of a YAML file") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise LexError(f"domain rules {path}: not YAML ({' '.join(str(error).split())[:120]})") from None
        entries = raw.get("rules") if isinstance(raw, dict) else None
        if not isinstance(entries, list) or not entries:
            raise LexError(f"domain rules {path}: no list under `rules:`; see {DEFAULT_RULES.name} for an example")
        found = tuple(_rule(entry, position, path) for position, entry in enumerate(entries, start=1))
        return cls(found, _formats(raw.get("formats"), path))

    def with_formats(self, overrides: Iterable[str]) -> DomainRules:
        """These rules with overrides `pattern=format` before their own. Raises LexError naming the formats."""
        return replace(self, formats=(*map(FormatRule.parse, overrides), *self.formats))

    def format_of(self, source_path: str) -> str | None:
        """The format set for a file, or None for the detected one."""
        return next((rule.format for rule in self.formats if rule.matches(source_path)), None)

    def domain_of(self, document: Document) -> str | None:
        """The document's domain, or None when no rule matches."""
        return next((rule.domain for rule in self.rules if rule.matches(document)), None)

    def may_be(self, source_type: str, domain: str) -> bool:
        """Whether a document of this type could belong to `domain`, or to none: if not, it need not be parsed."""
        for rule in self.rules:
            if rule.source_type and source_type not in rule.source_type:
                continue
            if rule.domain == domain:
                return True
            if not rule.authority and not rule.folder:
                return False
        return True


def _rule(entry: Any, position: int, path: Path) -> DomainRule:
    if not isinstance(entry, dict) or entry.get("domain") not in DOMAINS:
        raise LexError(f"domain rules {path}: rule {position} needs `domain:` with one of {', '.join(DOMAINS)}")
    unknown = sorted(set(entry) - {"domain", *_CONDITIONS})
    if unknown:
        raise LexError(f"domain rules {path}: rule {position} has the unknown condition {unknown[0]!r}")
    return DomainRule(entry["domain"], **{name: _values(entry.get(name)) for name in _CONDITIONS})


def _formats(value: Any, path: Path) -> tuple[FormatRule, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise LexError(f"domain rules {path}: `formats:` is no mapping; write lines `'pattern': format`")
    where = f"domain rules {path}: formats"
    return tuple(FormatRule.checked(str(pattern), str(name), where) for pattern, name in value.items())


def _values(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)
