"""Messages of a training process are taken when they are whole."""

from __future__ import annotations

import json
from pathlib import Path

from lex_assets.resources.pipes_reader import WholeLines, WholeLinesReader


def test_a_line_is_taken_once_it_has_ended_however_it_was_written(tmp_path: Path) -> None:
    plot = json.dumps({"method": "report", "plot": "가" * 20_000}, ensure_ascii=False).encode() + b"\n"
    with (tmp_path / "messages").open("ab", buffering=0) as out, (tmp_path / "messages").open("rb") as file:
        lines = WholeLines(file)
        assert lines.take() == []
        out.write(b'{"n": 1}\n' + plot[:8193])
        assert lines.take() == [b'{"n": 1}']
        out.write(plot[8193:-1])
        assert lines.take() == []
        out.write(plot[-1:] + b'{"n": 2}\n{"n": 3}\n')
        assert [json.loads(line) for line in lines.take()] == [json.loads(plot), {"n": 2}, {"n": 3}]
        assert lines.take() == []


class Handler:
    """Takes messages as dagster's does."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        self.reported: list[str] = []

    def handle_message(self, message: object) -> None:
        self.messages.append(message)

    def report_pipes_framework_exception(self, origin: str, error: object) -> None:
        self.reported.append(origin)


def test_all_messages_are_there_when_the_session_ends_and_a_broken_one_is_told() -> None:
    handler, reader = Handler(), WholeLinesReader()
    with reader.read_messages(handler) as params:  # type: ignore[arg-type]
        Path(params["path"]).write_bytes(b'{"n": 1}\nno json\n{"n": 2}\n')
    assert handler.messages == [{"n": 1}]
    assert isinstance(reader.error, ValueError) and handler.reported
