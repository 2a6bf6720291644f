"""Progress in the log: the time left is that of this work, not of what ran before it."""

from __future__ import annotations

import pytest

from lex_assets.assets import progress


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)


def test_the_time_left_counts_from_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.0, 110.0])  # the work was announced long before
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    log = Log()
    report = progress.spending_log(log, "검수")  # type: ignore[arg-type]
    for done in (1, 2):
        report(done, 10, "요청 2")
    assert log.lines == ["검수: 2/10 (20 %), 남은 시간 · ETA 40 s, 요청 2"]
