"""One index per build, one alias per domain: which builds there are, and moving the alias to a new one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lex_assets.retrieval.elasticsearch.failures import patiently

ABANDONED_S = 24 * 3600
"""Seconds after which a build that is not complete was left by a killed process."""


def builds_of(client: Any, alias: str) -> dict[str, Any]:
    """The indices that builds for `alias` have made, described, by name; no other index of the server."""
    own = re.compile(rf"{re.escape(alias)}-[0-9a-f]{{16}}-[0-9a-f]{{6}}")
    found = patiently(lambda: client.indices.get(index=f"{alias}-*"))
    return {name: found[name] for name in sorted(found) if own.fullmatch(name)}


def complete_as(described: Mapping[str, Any]) -> str:
    """The content hash that a build was marked with when it was complete; "" before."""
    return str(described.get("mappings", {}).get("_meta", {}).get("content", ""))


def move(client: Any, alias: str, index: str) -> None:
    """Let `alias` name `index` alone, in one step, and remove the builds that it no longer needs.

    The build that it named before stays for who still reads it, and a build under way is left alone.
    """
    there = builds_of(client, alias)
    before = [name for name in _behind(there, alias) if name != index]
    _update(client, alias, index, before)
    if not before:
        return  # the alias was here already: the one that it named before is still wanted
    for name, described in there.items():
        if name not in (index, *before) and (complete_as(described) or _abandoned(described)):
            remove(client, name)


def remove(client: Any, index: str) -> None:
    """Delete `index`; where that fails too, a later build removes it."""
    from elasticsearch import ApiError, TransportError

    with suppress(ApiError, TransportError):
        client.indices.delete(index=index)


def _update(client: Any, alias: str, index: str, before: list[str]) -> None:
    from elasticsearch import ApiError

    actions: list[dict[str, Any]] = [{"remove": {"index": name, "alias": alias}} for name in before]
    actions.append({"add": {"index": index, "alias": alias}})
    try:
        patiently(lambda: client.indices.update_aliases(actions=actions))
    except ApiError:
        # Sent again after a lost answer, what is removed is there no more: what counts is where the alias is.
        if _behind(builds_of(client, alias), alias) != [index]:
            raise


def _behind(there: Mapping[str, Any], alias: str) -> list[str]:
    return [name for name, described in there.items() if alias in described.get("aliases", {})]


def _abandoned(described: Mapping[str, Any]) -> bool:
    return time.time() - int(described["settings"]["index"]["creation_date"]) / 1000 > ABANDONED_S
