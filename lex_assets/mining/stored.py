"""What mining leaves on a disk: one file per table, and the audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lex_assets.mining.mine import Mined

MINED_TABLES = ("triplets", "candidates", "qrels", "positives")
REPORT_FILE = "report.json"


def write_mined(mined: Mined, folder: Path) -> None:
    """Write the tables and the report of `mined` into `folder`."""
    for name in MINED_TABLES:
        getattr(mined, name).write_parquet(folder / f"{name}.parquet")
    (folder / REPORT_FILE).write_text(json.dumps(mined.report, ensure_ascii=False), "utf-8")
