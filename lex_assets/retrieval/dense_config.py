"""What a user may set about dense search. Neither setting changes an answer, so that neither is part of a stage's key."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DenseConfig(BaseModel):
    """Where vectors are compared, and in how much memory."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[str, ...] = Field(
        default=("cpu",),
        min_length=1,
        description="밀집 검색의 torch 장치들, 단락을 나누어 맡음. Torch devices that share the passages of a dense search.",
    )
    memory_mib: int = Field(
        default=1024,
        ge=1,
        description="장치마다 검색에 쓰는 메모리(MiB); 벡터가 더 크면 캐시 폴더의 파일에 둠. Memory of a search on each device; "
        "larger vectors lie in a file of the cache folder.",
    )
