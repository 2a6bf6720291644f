"""The store: one folder that holds tables, stages, adapters, reports and champions."""

from pathlib import Path

import dagster as dg
from pydantic import Field


class StoreResource(dg.ConfigurableResource):
    """Where everything that the assets write is kept."""

    root: str = Field(
        default="data/store", description="저장소 폴더. Folder for tables, caches, adapters, reports and champions."
    )

    @property
    def path(self) -> Path:
        """The store's folder, absolute."""
        return Path(self.root).expanduser().resolve()

    def tables_folder(self, asset: str, partition: str | None) -> Path:
        """Folder of an asset's tables."""
        folder = self.path / "tables" / asset
        return folder / partition if partition else folder

    @property
    def stages(self) -> Path:
        """Results of expensive stages, by the hash of what they were made from."""
        return self.path / "stages"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of trainings that have not finished; safe to delete."""
        return self.path / "checkpoints"

    @property
    def embeddings(self) -> Path:
        """Vectors and reranker scores by weights and text; safe to delete."""
        return self.path / "cache" / "embeddings"

    @property
    def terms(self) -> Path:
        """Terms of texts and keyword indices, by content; safe to delete."""
        return self.path / "cache" / "terms"

    @property
    def replies(self) -> Path:
        """Answers of language models, paid for once; deleted only at the price of asking again."""
        return self.path / "cache" / "llm" / "replies.sqlite"

    @property
    def registry(self) -> Path:
        """Adapters, champions and the leaderboard."""
        return self.path / "registry"
