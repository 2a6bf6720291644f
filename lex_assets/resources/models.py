"""Which base models the pipeline adapts."""

import dagster as dg
from pydantic import Field


class BaseModelsResource(dg.ConfigurableResource):
    """Frozen weights under the adapters: a preset's name, a Hugging Face id, or a local folder."""

    retriever: str = Field("builtin", description="검색 기반 모델. Preset, hub id or folder of the bi-encoder.")
    reranker: str = Field("builtin", description="재순위 기반 모델. Preset, hub id or folder of the cross-encoder.")
    trust_remote_code: bool = Field(
        False, description="모델 저장소의 코드 실행 허용 여부. Whether code that comes with a hub model may run."
    )
