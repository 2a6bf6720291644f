"""Where the raw documents are and which domain each belongs to."""

from pathlib import Path

import dagster as dg
from pydantic import Field


class RawDocumentsResource(dg.ConfigurableResource):
    """Raw files as downloaded: law.go.kr JSON, replies, AI-Hub MRC JSON, Markdown statutes, JSONL, pairs; formats are
    detected per file."""

    root: str = Field(default="data/sample", description="원문 폴더. Folder that is read recursively.")
    domain_rules: str = Field(
        default="",
        description="도메인 규칙 YAML 경로; 비우면 기본 규칙. Domain rule file; empty means the packaged one.",
    )
    formats: list[str] = Field(
        default=[],
        description="형식을 지정할 파일, '경로패턴=형식'. Overrides of the autodetection, for example 'qa/*.txt=record'.",
    )
    workers: int = Field(default=1, ge=1, description="파일을 읽는 프로세스 수. Processes that parse files.")

    @property
    def path(self) -> Path:
        """The raw folder, absolute."""
        return Path(self.root).expanduser().resolve()

    @property
    def rules_path(self) -> Path | None:
        """The domain rule file, or None for the packaged rules."""
        return Path(self.domain_rules).expanduser().resolve() if self.domain_rules else None
