"""Prompts as files: front matter with a version, then `# system` and `# user`, with {{names}} to fill in.

Whoever changes a prompt's words raises its version: it stays with every question and in every cache key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import yaml

from lex_assets.llm.chat import Message
from lex_assets.schemas import LexError

_FILE = re.compile(r"---\n(?P<head>.*?)\n---\n\s*# system\n(?P<system>.*?)\n# user\n(?P<user>.*)", re.DOTALL)
_NAME = re.compile(r"\{\{(\w+)\}\}")
_TAG = re.compile(r"<(?=/?\s*문서)")


@dataclass(frozen=True)
class Prompt:
    """A prompt file. version: like question-1."""

    version: str
    system: str
    user: str

    def fill(self, values: Mapping[str, str]) -> tuple[Message, ...]:
        """System and user message with every {{name}} replaced, in one pass: a value's own {{…}} stays text.

        A document inside <문서> tags cannot close them. Raises LexError for a name without a value.
        """
        clean = {name: _TAG.sub("＜", _sendable(value)) for name, value in values.items()}
        try:
            filled = [_NAME.sub(lambda m: clean[m[1]], part) for part in (self.system, self.user)]
        except KeyError as error:
            raise LexError(f"prompt {self.version} needs a value for {error}") from None
        return ("system", filled[0]), ("user", filled[1])


@lru_cache(maxsize=16)
def load_prompt(name: str) -> Prompt:
    """The packaged prompt `prompts/<name>.md`. Raises LexError when it is missing or has no version."""
    path = files(__name__).joinpath(f"{name}.md")
    if not path.is_file():
        raise LexError(f"prompt {name} is not packaged; choose another name")
    match = _FILE.fullmatch(path.read_text("utf-8"))
    version = (yaml.safe_load(match["head"]) or {}).get("version") if match else None
    if not match or not version:
        raise LexError(f"{path}: no prompt; write a front matter with `version:`, then `# system` and `# user`")
    return Prompt(str(version), match["system"].strip(), match["user"].strip())


def _sendable(text: str) -> str:
    """`text` without halves of surrogate pairs, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()
