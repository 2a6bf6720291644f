"""Settings: what is unknown names the nearest that is known."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from lex_assets.schemas import LexError
from lex_assets.settings import checked, names


class Inner(BaseModel):
    learning_rate: float = Field(default=1e-3, gt=0)
    epochs: int = 1


class Outer(BaseModel):
    base: str = ""
    training: Inner = Inner()


def test_names_are_dotted() -> None:
    assert list(names(Outer)) == ["base", "training", "training.learning_rate", "training.epochs"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"training": {"learnin_rate": 1}},
            "training.learnin_rate is not a setting; did you mean training.learning_rate",
        ),
        ({"epochs": 3}, "epochs is not a setting; did you mean training.epochs"),
        ({"bse": "x"}, "bse is not a setting; did you mean base"),
        ({"qqqq": 1}, "qqqq is not a setting; known are: base, training$"),
        (
            {"training": {"qqqq": 1}},
            "training.qqqq is not a setting; known are: training.epochs, training.learning_rate$",
        ),
        ({"training": {"epochs": "two"}}, "training.epochs: Input should be a valid integer.*got 'two'"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate: Input should be greater than 0"),
        ({"training": 3}, "training: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values, message) -> None:
    with pytest.raises(LexError, match=f"^here: {message}"):
        checked(Outer, values, "here")


def test_values_take_the_type_of_their_setting() -> None:
    made = checked(Outer, {"training": {"learning_rate": "1e-5", "epochs": "5"}}, "here")
    assert made.training == Inner(learning_rate=1e-5, epochs=5)
