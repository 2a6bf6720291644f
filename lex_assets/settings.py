"""Settings that a user writes: unknown names are refused with the nearest known one, wrong values in one line."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel

from lex_assets.schemas import LexError

M = TypeVar("M", bound=BaseModel)


def checked(settings: type[M], values: Mapping[str, Any], where: str) -> M:
    """`settings` made from `values`. Raises LexError, naming `where`, for an unknown name or a value out of range."""
    known = list(names(settings))
    for name in _given(settings, values):
        require_known(name, known, where)
    try:
        return settings(**values)
    except ValueError as error:
        raise LexError(f"{where}: {first_problem(error)}; correct it") from error


def require_known(name: str, known: list[str], where: str) -> None:
    """Raise LexError when the dotted `name` is not in `known`, with the nearest that is."""
    if name in known:
        return
    leaf = name.rsplit(".", 1)[-1]
    leaves = {path.rsplit(".", 1)[-1]: path for path in known}
    near = [leaves[match] for match in get_close_matches(leaf, leaves, n=1, cutoff=0.5)]
    near = get_close_matches(name, known, n=1, cutoff=0.8) or near
    group = name.rpartition(".")[0] + "." * ("." in name)
    beside = [path for path in known if path.startswith(group) and "." not in path[len(group) :]]
    meant = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(beside or known))}"
    raise LexError(f"{where}: {name} is not a setting; {meant}")


def names(settings: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings, those of sections included."""
    for name, section in _sections(settings).items():
        yield f"{prefix}{name}"
        if section:
            yield from names(section, f"{prefix}{name}.")


def first_problem(error: ValueError) -> str:
    """What is wrong with a value, in one line."""
    if hasattr(error, "errors"):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (got {problem.get('input')!r})"
    return str(error)


def _given(settings: type[BaseModel], values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names that `values` sets, sections of `settings` followed."""
    sections = _sections(settings)
    for name, value in values.items():
        section = sections.get(name)
        if section and isinstance(value, Mapping):
            yield from _given(section, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _sections(settings: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Name → the model of a section, None for a value."""
    hints = typing.get_type_hints(settings)
    return {
        name: hints[name] if isinstance(hints[name], type) and issubclass(hints[name], BaseModel) else None
        for name in settings.model_fields
    }
