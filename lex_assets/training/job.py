"""One training as a message: what a process needs to know to carry it out. Importing it imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lex_assets.models.devices import Device, found_device, profile_named
from lex_assets.training.config import AnyTrainingConfig


class TrainingJob(BaseModel):
    """What to train, on what, and where. Paths are absolute."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Name of the run for the tracker.")
    kind: Literal["retriever", "reranker"] = Field(description="What is trained.")
    base: str = Field(description="Preset, hub id or folder.")
    trust_remote_code: bool = Field(description="Whether code that comes with a hub model may run.")
    settings: AnyTrainingConfig = Field(description="How.")
    tables: Path = Field(description="Folder with the four tables of `TrainingTables.write`.")
    out: Path = Field(description="Folder to write the adapter and result.json into.")
    checkpoints: Path = Field(description="Folder of checkpoints to go on from.")
    tracking: Path = Field(description="Folder of the tracker's files.")
    profile: str = Field(description="Device profile.")
    index: int = Field(default=0, description="First device.")
    count: int = Field(default=1, description="Devices, one process each.")
    lock_timeout_s: float = Field(default=3600.0, description="Seconds to wait for the devices.")

    def devices(self) -> list[Device]:
        """The devices. Raises LexError when one is not there, or not what the profile says."""
        profile = profile_named(self.profile)
        return [found_device(profile, self.index + n) for n in range(self.count)]
