"""`lex-assets` run inside the test."""

from __future__ import annotations

from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from lex_assets.cli import app


def invoke(*arguments: Any) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def done(*arguments: Any) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: Any) -> str:
    """The one line on stderr of a command that fails."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.strip().splitlines()
    return line
