"""A language model that looks at each question and its passages, and how far its word can be trusted.

Every question is judged once. A sample is judged again under a differently worded prompt; Cohen's κ of the two says how
much of the verdict is the question and how much the wording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, islice

from pydantic import BaseModel, ConfigDict

from lex_assets.llm.budget import Estimate
from lex_assets.llm.chat import Chat
from lex_assets.llm.client import Ask, LlmClient, Progress, Unanswered
from lex_assets.llm.prompts import load_prompt
from lex_assets.llm.structured import read_answer
from lex_assets.queries.agreement import cohen_kappa
from lex_assets.queries.questions import Row, SyntheticQuestion
from lex_assets.queries.synthetic import Judgement, Pair
from lex_assets.schemas import content_hash

PROMPTS = ("judge", "judge_again")


class Verdict(BaseModel):
    """The judge's answer; a question is kept when all three hold."""

    model_config = ConfigDict(extra="forbid")

    answerable: bool
    self_contained: bool
    natural: bool
    reason: str

    @property
    def keep(self) -> bool:
        """Whether the question stays."""
        return self.answerable and self.self_contained and self.natural

    @property
    def complaint(self) -> str:
        """What is wrong in one line, "" when nothing is."""
        failed = [name for name in ("answerable", "self_contained", "natural") if not getattr(self, name)]
        return f"not {', not '.join(failed)}: {' '.join(self.reason.split())}" if failed else ""


class LlmJudge:
    """Judges by `client`; `sample` questions, drawn by the hash of their texts, are judged twice."""

    def __init__(self, client: LlmClient, sample: int = 50, progress: Progress | None = None) -> None:
        self.client, self.sample, self.progress = client, sample, progress

    def __call__(self, pairs: Sequence[Pair]) -> Judgement:
        """What is wrong with each question, and the agreement. A question without a verdict is not kept."""
        verdicts = self._verdicts(PROMPTS[0], pairs)
        answered = [n for n, verdict in enumerate(verdicts) if isinstance(verdict, Verdict)]
        drawn = sorted(answered, key=lambda n: content_hash(pairs[n][0].text))[: self.sample]
        again = self._verdicts(PROMPTS[1], [pairs[n] for n in drawn])
        both = [
            (one.keep, other.keep)
            for one, other in ((verdicts[n], other) for n, other in zip(drawn, again, strict=True))
            if isinstance(one, Verdict) and isinstance(other, Verdict)
        ]
        agreement = cohen_kappa([one for one, _ in both], [other for _, other in both]) if both else None
        return Judgement([_complaint(verdict) for verdict in verdicts], agreement, len(both))

    def estimate(self, passages: Iterable[Row], per_passage: int, characters: int) -> Estimate:
        """What judging costs at most: every passage gives `per_passage` questions of `characters`, and no filter drops one."""
        pairs = [(_longest(row, characters), [row]) for row in passages for _ in range(per_passage)]
        once, again = ((_ask(prompt, pair).chat for pair in pairs) for prompt in PROMPTS)
        return self.client.estimate(chain(once, islice(again, self.sample)))

    def _verdicts(self, prompt: str, pairs: Sequence[Pair]) -> list[Verdict | Unanswered]:
        return self.client.ask_all([_ask(prompt, pair) for pair in pairs], self.progress)


def _longest(row: Row, characters: int) -> SyntheticQuestion:
    return SyntheticQuestion(row["passage_id"], "가" * characters, "fact", "", "")


def _ask(name: str, pair: Pair) -> Ask[Verdict]:
    question, rows = pair
    prompt = load_prompt(name)
    text = "\n\n".join(f"{row['context']}\n{row['text']}" for row in rows)
    messages = prompt.fill({"question": question.text, "text": text})
    return Ask(Chat(messages, prompt.version, Verdict), partial(read_answer, answer=Verdict))


def _complaint(verdict: Verdict | Unanswered) -> str:
    return verdict.complaint if isinstance(verdict, Verdict) else f"no verdict: {verdict.reason}"
