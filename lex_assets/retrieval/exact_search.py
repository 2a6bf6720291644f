"""The best passages of each query, exactly, in two steps: a scan in the fastest precision leaves few candidates, and those are
scored exactly.

How far the scan can be off is bounded by the vectors' own rounding errors and the worst case of float32 sums, so that no
passage among the best is left out. Products of float16 numbers are summed in float64, which is exact for unit vectors, and the
sum is rounded to float32 once: every device, block size and order of summation gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lex_assets.retrieval.blocks import Block, Rounded

GROUP = 8  # neighbouring passages that are looked at one by one only when their best is a candidate
_FLOAT32_UNIT = 2.0**-24


@dataclass(frozen=True)
class Banned:
    """Pairs that may not be answered: passage `passages[n]` for query `queries[n]`."""

    queries: torch.Tensor
    passages: torch.Tensor

    def within(self, block: Block) -> Banned:
        """Those of `block`, the passages by the scan's order."""
        inside = (self.passages >= block.first) & (self.passages < block.first + block.n_passages)
        return Banned(self.queries[inside], block.places(self.passages[inside]))

    def apply(self, scores: torch.Tensor, first_query: int) -> None:
        """Set the scores, (passages, n_queries), of banned pairs to -inf."""
        mine = (self.queries >= first_query) & (self.queries < first_query + scores.shape[1])
        scores[self.passages[mine], self.queries[mine] - first_query] = -torch.inf


class Best:
    """The best `k` passages found so far: scores (n_queries, at most k) float32, -inf where there are fewer, and passages,
    best first, of equal ones the lower number. most_cells: scores that are sorted at once."""

    def __init__(self, n_queries: int, k: int, device: str, most_cells: int) -> None:
        self.scores = torch.empty((n_queries, 0), device=device)
        self.passages = torch.empty((n_queries, 0), dtype=torch.int64, device=device)
        self._k, self._most_cells = k, most_cells

    def worst(self) -> torch.Tensor:
        """(n_queries,): what a passage must reach to be among them."""
        if self.scores.shape[1] < self._k:
            return self.scores.new_full((len(self.scores),), -torch.inf)
        return self.scores[:, -1]

    def add(self, query: torch.Tensor, passage: torch.Tensor, score: torch.Tensor) -> None:
        """Pairs in order of query; the passages of each ascend, beyond all that were added before."""
        fit = score >= self.worst()[query]
        query, passage, score = query[fit], passage[fit], score[fit]
        counts = torch.bincount(query, minlength=len(self.scores))
        starts, n_kept = counts.cumsum(0) - counts, self.scores.shape[1]
        column = n_kept + torch.arange(len(query), device=query.device) - starts[query]
        width = n_kept + int(counts.max())
        step = max(1, self._most_cells // max(1, width))
        bounds = [*starts[::step].tolist(), len(query)]
        merged = []
        for at, start, end in zip(range(0, len(self.scores), step), bounds, bounds[1:], strict=False):
            rows, cells = slice(at, at + step), (query[start:end] - at, column[start:end])
            merged.append(self._merged(rows, width - n_kept, cells, passage[start:end], score[start:end]))
        self.scores, self.passages = (torch.cat(parts) for parts in zip(*merged, strict=True))

    def _merged(
        self,
        rows: slice,
        added: int,
        cells: tuple[torch.Tensor, torch.Tensor],
        passage: torch.Tensor,
        score: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = torch.nn.functional.pad(self.scores[rows], (0, added), value=-torch.inf)
        passages = torch.nn.functional.pad(self.passages[rows], (0, added))
        scores[cells], passages[cells] = score, passage
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        return scores[:, : self._k], passages.gather(1, order[:, : self._k])


class ExactSearch:
    """The best `k` passages of `queries`, (n_queries, dim) float16, over the blocks that it visits in order of passages.

    tile: queries that are scanned at once · most_pairs: candidates that wait for their exact score.
    """

    def __init__(
        self,
        queries: np.ndarray,
        k: int,
        device: str,
        precision: torch.dtype,
        banned: Banned,
        tile: int,
        most_pairs: int,
    ) -> None:
        stored = torch.from_numpy(queries).to(device)
        self.exact, self.rounded = stored.double(), Rounded.of(stored, precision)
        self.best = Best(len(queries), k, device, most_pairs)
        self._precision = torch.finfo(precision)
        self._banned, self._k, self._tile, self._most_pairs = banned, k, tile, most_pairs

    def visit(self, block: Block) -> None:
        """Take the passages of `block` into account."""
        banned, margin = self._banned.within(block), self._margin(block)
        reached = self.best.worst().double() - self.exact @ block.centre.double()
        group = max(1, min(GROUP, block.n_passages // (4 * self._k)))
        room = max(len(block.rounded), _whole(block.n_passages, group))
        scratch = block.rounded.new_empty(room * min(self._tile, len(self.exact)))
        waiting: list[torch.Tensor] = []
        for at in range(0, len(self.exact), self._tile):
            tile = slice(at, at + self._tile)
            queries = self.rounded.vectors[tile]
            scores = scratch[: room * len(queries)].view(room, len(queries))
            block.scan(queries, scores)
            banned.apply(scores, at)
            scores[block.n_passages :] = -torch.inf
            groups = scores[: _whole(block.n_passages, group)].view(-1, group, len(queries))
            waiting.append(self._candidates(groups, reached[tile], margin[tile], at))
            if sum(pairs.shape[1] for pairs in waiting) > self._most_pairs:
                self._settle(block, waiting)
                waiting = []
        if waiting:
            self._settle(block, waiting)

    def _margin(self, block: Block) -> torch.Tensor:
        """(n_queries,): how far a scanned score, before it is rounded to the scan's precision, can be off the exact one."""
        query = self.rounded
        rounding = query.errors * block.norm + (query.norms + query.errors) * block.error
        longest = (query.norms + query.errors) * (block.norm + block.error + block.centre.norm())
        summing = 1.01 * (self.exact.shape[1] + 8) * _FLOAT32_UNIT * longest
        return 1.0001 * (rounding + summing)

    def _candidates(
        self, groups: torch.Tensor, reached: torch.Tensor, margin: torch.Tensor, first_query: int
    ) -> torch.Tensor:
        """(2, n_pairs): queries and places of what may be among the best. groups: (n_groups, group, n_queries) scores ·
        reached, margin: (n_queries,)."""
        best = groups.amax(1)
        least = self._least(best, reached, margin)
        group, query = (best >= least).nonzero(as_tuple=True)
        found, within = (groups[group, :, query] >= least[query, None]).nonzero(as_tuple=True)
        group, query = group[found], query[found]
        order = query.short().argsort(stable=True)
        return torch.stack([first_query + query, group * groups.shape[1] + within])[:, order]

    def _least(self, best: torch.Tensor, reached: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """(n_queries,) in the scan's precision: what the scan gives at least to a passage among the best.

        best: (n_groups, n_queries). As many groups as are asked for hold a passage each that scores what the last of them
        does, less rounding. Rounding is monotone: the comparison may be made behind it."""
        if len(best) >= self._k and not reached.isfinite().all():
            coarse = max(1, len(best) // (4 * self._k))
            best = best[: len(best) // coarse * coarse].view(-1, coarse, best.shape[1]).amax(1)
            last = best.T.contiguous().topk(self._k, dim=1).values[:, -1].double()
            reached = torch.maximum(reached, last - 0.51 * self._precision.eps * last.abs() - margin)
        return (reached - margin).to(best.dtype).clamp(min=self._precision.min)

    def _settle(self, block: Block, waiting: list[torch.Tensor]) -> None:
        """Score the candidates exactly."""
        query, place = torch.cat(waiting, dim=1)
        score, passage = block.exact(self.exact, query, place), block.numbers(place)
        if block.order is not None:
            order = (query * (block.n_passages + 1) + passage - block.first).argsort()
            query, passage, score = query[order], passage[order], score[order]
        self.best.add(query, passage, score)


def _whole(n: int, group: int) -> int:
    """The least multiple of `group` that is at least `n`."""
    return -(-n // group) * group
