"""A language model as the judge of mining: is what would be a negative an answer after all?

Its replies are stored and its spending is metered by the client: a rerun costs nothing, and goes on behind the last reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lex_assets.llm.chat import Chat
from lex_assets.llm.client import Ask, LlmClient, Progress, Unanswered
from lex_assets.llm.prompts import load_prompt
from lex_assets.llm.structured import read_answer
from lex_assets.schemas import LexError, content_hash

PROMPT = "relevance"


class Relevance(BaseModel):
    """How far a passage answers a question."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["full", "partial", "none"]


class LlmRelevanceJudge:
    """A `select.Judge` that asks `client`."""

    def __init__(self, client: LlmClient, progress: Progress | None = None) -> None:
        self.client, self.progress = client, progress

    def version(self) -> str:
        """What decides its verdicts: model, parameters and prompt."""
        return content_hash(self.client.model, repr(self.client.parameters), load_prompt(PROMPT).version)[:16]

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """The verdict on each (question, passage). Raises LexError when one brings none: half a judgement is no judgement."""
        answers = self.client.ask_all([_ask(*pair) for pair in pairs], self.progress)
        missing = [one for one in answers if isinstance(one, Unanswered)]
        if missing:
            raise LexError(
                f"mining: the judge gave no verdict on {len(missing):,} of {len(answers):,} pairs ({missing[0].reason}); "
                "run again to ask for those only, or set judge to none"
            )
        return [one.verdict for one in answers if isinstance(one, Relevance)]


def _ask(question: str, text: str) -> Ask[Relevance]:
    prompt = load_prompt(PROMPT)
    messages = prompt.fill({"question": question, "text": text})
    return Ask(Chat(messages, prompt.version, Relevance), partial(read_answer, answer=Relevance))
