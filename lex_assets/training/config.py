"""What a user may set about training. One schema for Dagster, the CLI and YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """What both trainings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=42, description="난수 시드. Seed of order, sampling and dropout.")
    epochs: int = Field(default=3, ge=1, description="에폭 수. Passes over the training queries.")
    max_steps: int = Field(default=0, ge=0, description="최대 스텝 수(0 = 제한 없음). Optimizer steps at most.")
    batch_size: int = Field(default=32, ge=2, description="배치(질의 수). Queries per optimizer step.")
    micro_batch: int = Field(
        default=16, ge=1, description="미니 배치(시퀀스 수). Sequences per forward pass, sorted by length; memory only."
    )
    cached_gradients: bool = Field(
        default=False, description="기울기 캐시. Two passes per step, so that memory does not grow with batch_size."
    )
    learning_rate: float = Field(
        default=0.0,
        ge=0,
        description="학습률(0 = 모델 폭에 맞춤). Peak learning rate of AdamW; 0 takes 2e-4 for 1,024 hidden units and more "
        "for narrower models.",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="가중치 감쇠. Decoupled weight decay.")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, description="워밍업 비율. Share of the steps with rising rate."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="기울기 상한(L2). Gradients are clipped to this norm.")
    lora_targets: tuple[str, ...] = Field(
        default=(),
        description="LoRA 대상 층 이름(비우면 프리셋). Endings of layer names to adapt; empty = the preset's, `all` = every "
        "linear layer of the encoder.",
    )
    lora_rank: int = Field(default=16, ge=1, description="LoRA 랭크. Rank of the adapter.")
    lora_alpha: int = Field(default=32, ge=1, description="LoRA 배율. The update is scaled by alpha / rank.")
    lora_dropout: float = Field(default=0.05, ge=0, lt=1, description="LoRA 드롭아웃. Dropout before the adapter.")
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="연산 정밀도. Autocast of the encoder; logits and loss are always fp32."
    )
    evaluations: int = Field(default=3, ge=1, description="검증 횟수. Validation passes, evenly spaced over the run.")
    patience: int = Field(
        default=2, ge=0, description="조기 종료 인내(0 = 끔). Validation passes without gain before stopping."
    )
    min_queries: int = Field(default=16, ge=1, description="최소 학습 질의 수. Fewer training queries are an error.")
    valid_queries: int = Field(default=100, ge=1, description="검증 질의 수(최대). Validation queries used, at most.")


class RetrieverTrainingConfig(TrainingConfig):
    """Bi-encoder with LoRA and masked InfoNCE."""

    temperature: float = Field(
        default=0.02, gt=0, le=1, description="온도. Cosines are divided by it: 0.02 is a scale of 50."
    )
    negatives_per_query: int = Field(
        default=2, ge=0, description="질의당 어려운 음성 수. Hard negatives per query and epoch; 0 = in-batch only."
    )
    query_max_length: int = Field(default=0, ge=0, description="질의 최대 길이(토큰, 0 = 프리셋). Query tokens.")
    passage_max_length: int = Field(default=0, ge=0, description="단락 최대 길이(토큰, 0 = 프리셋). Passage tokens.")
    valid_pool: int = Field(
        default=500, ge=10, description="검증 후보 단락 수. Passages that validation queries are ranked against."
    )


class RerankerTrainingConfig(TrainingConfig):
    """Cross-encoder with LoRA and its head trained in full."""

    batch_size: int = Field(default=8, ge=1, description="배치(질의 수). Queries per optimizer step.")
    loss: Literal["margin", "ranknet", "listwise", "bce"] = Field(
        default="listwise",
        description="손실 함수. Pairwise margin or RankNet over all positives x negatives, listwise softmax, or BCE.",
    )
    margin: float = Field(default=1.0, gt=0, description="마진(로짓). Wanted distance of the pairwise margin loss.")
    positives_per_query: int = Field(
        default=2, ge=1, description="질의당 양성 수. Positives per query and epoch, at most."
    )
    negatives_per_query: int = Field(default=5, ge=1, description="질의당 음성 수. Negatives per query and epoch.")
    random_share: float = Field(
        default=0.2, ge=0, le=1, description="무작위 음성 비율. Share of the negatives drawn from the whole corpus."
    )
    max_length: int = Field(default=0, ge=0, description="쌍의 최대 길이(토큰, 0 = 프리셋). Tokens per pair.")
    valid_candidates: int = Field(
        default=20, ge=2, description="검증 후보 수(질의당). First-stage hits reranked per validation query."
    )
