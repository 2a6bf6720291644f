"""Sequences of strings that are made when they are asked for, because all at once they would take much memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload


class MadeStrings(Sequence[str]):
    """A sequence that knows how to make each of its strings; a slice is a list."""

    @abstractmethod
    def made(self, place: int) -> str:
        """The string at `place`, from 0 to before the length."""

    def some(self, places: slice) -> list[str]:
        """The strings of a slice."""
        return [self.made(n) for n in range(*places.indices(len(self)))]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return self.some(place)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self.made(int(place))
