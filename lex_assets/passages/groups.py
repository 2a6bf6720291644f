"""Disjoint sets of ids: what is joined, directly or through others, is one group, named by its smallest id."""

from __future__ import annotations


class Groups:
    """Disjoint sets of ids; the smallest id names its group."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, item: str) -> str:
        """The smallest id of the item's group."""
        root = item
        while (above := self.parent.setdefault(root, root)) != root:
            root = above
        while self.parent[item] != root:
            self.parent[item], item = root, self.parent[item]
        return root

    def union(self, left: str, right: str) -> None:
        """Puts two groups together."""
        a, b = self.find(left), self.find(right)
        self.parent[max(a, b)] = min(a, b)
