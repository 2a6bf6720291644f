"""Queries made longer by a language model before they are searched: a hypothetical answer (HyDE), or a rewording.

HyDE: Gao et al. (2023), Precise Zero-Shot Dense Retrieval without Relevance Labels. The question stays in front of what
the model wrote, so that a bad guess cannot replace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl
from pydantic import BaseModel, ConfigDict

from lex_assets.llm.chat import Chat
from lex_assets.llm.client import Ask, LlmClient, Progress, Unanswered
from lex_assets.llm.prompts import load_prompt
from lex_assets.llm.structured import read_answer
from lex_assets.schemas import LexError

EXPANSIONS = ("hyde", "rewrite")


class Expansion(BaseModel):
    """What the model writes."""

    model_config = ConfigDict(extra="forbid")

    text: str


@dataclass(frozen=True)
class Expanded:
    """queries: as given, their texts made longer. unanswered: query id → why its text is as it was."""

    queries: pl.DataFrame
    unanswered: Mapping[str, str]


def expand_queries(queries: pl.DataFrame, client: LlmClient, how: str, progress: Progress | None = None) -> Expanded:
    """`queries` (query_id, text, …) with what the model adds to each.

    Raises LexError for an unknown way and StoppedError when the endpoint refuses or is down.
    """
    if how not in EXPANSIONS:
        raise LexError(f"expansion {how!r} is not known; use one of {', '.join(EXPANSIONS)}")
    ids, texts = queries["query_id"].to_list(), queries["text"].to_list()
    answers = client.ask_all([_ask(how, text) for text in texts], progress)
    longer = [_longer(text, answer) for text, answer in zip(texts, answers, strict=True)]
    refused = {i: a.reason for i, a in zip(ids, answers, strict=True) if isinstance(a, Unanswered)}
    return Expanded(queries.with_columns(text=pl.Series(longer, dtype=pl.String)), refused)


def _ask(how: str, text: str) -> Ask[Expansion]:
    prompt = load_prompt(how)
    return Ask(Chat(prompt.fill({"question": text}), prompt.version, Expansion), partial(read_answer, answer=Expansion))


def _longer(text: str, answer: Expansion | Unanswered) -> str:
    return text if isinstance(answer, Unanswered) else f"{text}\n{answer.text.strip()}"
