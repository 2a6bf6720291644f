"""What a user may set about training. One schema for Dagster, the CLI and YAML."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BOOKKEEPING = frozenset({"checkpoint_steps", "keep_checkpoints", "tracker", "tracker_dir"})
"""Settings that do not change what is learnt."""


def _hard_ratio(default: float) -> Any:
    meaning = "어려운 음성 비율. Share of the drawn negatives that were mined; the rest is random passages."
    return Field(default=default, ge=0, le=1, description=meaning)


class TrainingConfig(BaseModel):
    """What both trainings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=42, description="난수 시드. Seed of order, sampling and dropout.")
    tuning: Literal["lora", "full"] = Field(
        default="lora", description="학습 방식. `lora` trains an adapter, `full` all weights and writes a whole model."
    )
    epochs: int = Field(default=3, ge=1, description="에폭 수. Epochs over the training queries.")
    data_multiply: int = Field(
        default=1, ge=1, description="데이터 배수. Times that an epoch takes every query, with passages drawn anew."
    )
    max_steps: int = Field(default=0, ge=0, description="최대 스텝 수(0 = 제한 없음). Optimizer steps at most.")
    batch_size: int = Field(
        default=32, ge=2, description="배치(질의 수). Queries that are contrasted with one another."
    )
    accumulation: int = Field(default=1, ge=1, description="기울기 누적(배치 수). Batches per optimizer step.")
    micro_batch: int = Field(
        default=0,
        ge=0,
        description="미니 배치(최대 길이 시퀀스 수, 0 = 장치 프로필). Sequences of full length per forward pass; shorter "
        "ones share the same tokens, sorted by length. Memory only; halved when the device runs out of it.",
    )
    cached_gradients: bool = Field(
        default=False, description="기울기 캐시. Two passes per step, so that memory does not grow with batch_size."
    )
    learning_rate: float = Field(
        default=0.0,
        ge=0,
        description="학습률(0 = 모델 폭에 맞춤). Peak learning rate of AdamW; 0 takes 2e-4 (full: 2e-5) for 1,024 hidden "
        "units and more for narrower models.",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="가중치 감쇠. Decoupled weight decay of matrices.")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, description="워밍업 비율. Share of the steps with rising rate."
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="기울기 상한(L2). Gradients are clipped to this norm.")
    lora_targets: tuple[str, ...] = Field(
        default=(),
        description="LoRA 대상 층 이름(비우면 프리셋). Endings of layer names to adapt; empty = the preset's, `all` = every "
        "linear layer of the encoder. `word_embeddings` adapts the words of a small model too.",
    )
    lora_rank: int = Field(default=16, ge=1, description="LoRA 랭크. Rank of the adapter.")
    lora_alpha: int = Field(default=32, ge=1, description="LoRA 배율. The update is scaled by alpha / rank.")
    lora_dropout: float = Field(default=0.05, ge=0, lt=1, description="LoRA 드롭아웃. Dropout before the adapter.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="연산 정밀도(auto = 장치 프로필). Autocast of the encoder; logits and loss are always fp32.",
    )
    quantization: Literal["none", "nf4"] = Field(
        default="none",
        description="기반 가중치 양자화. `nf4` holds the frozen base in 4 bits with double quantisation (QLoRA); the adapter "
        "and a head stay in full precision.",
    )
    hard_ratio: float = _hard_ratio(1.0)
    evaluations: int = Field(default=3, ge=1, description="검증 횟수. Validation passes, evenly spaced over the run.")
    patience: int = Field(
        default=2, ge=0, description="조기 종료 인내(0 = 끔). Validation passes without gain before stopping."
    )
    require_gain: bool = Field(
        default=True,
        description="검증 이득 요구. Fail when no checkpoint beats the base on validation; false keeps the best anyway.",
    )
    min_queries: int = Field(default=16, ge=1, description="최소 학습 질의 수. Fewer training queries are an error.")
    valid_queries: int = Field(default=100, ge=1, description="검증 질의 수(최대). Validation queries used, at most.")
    checkpoint_steps: int = Field(
        default=200, ge=0, description="체크포인트 간격(스텝, 0 = 끔). Steps between checkpoints to resume from."
    )
    keep_checkpoints: int = Field(default=2, ge=1, description="남길 체크포인트 수. Newest checkpoints kept.")

    tracker: Literal["none", "mlflow", "tensorboard", "wandb"] = Field(
        default="none", description="실험 기록기. Where metrics are also kept, locally; each is an extra to install."
    )
    tracker_dir: str = Field(default="tracking", description="기록 폴더. Folder of the tracker's files.")

    @property
    def bits(self) -> str | None:
        """The quantisation as the loaders take it."""
        return None if self.quantization == "none" else self.quantization

    @property
    def weights_dtype(self) -> str:
        """Precision of the frozen weights: in a 4-bit base the one it computes in, else full, under autocast."""
        return "bfloat16" if self.bits and self.precision == "bf16" else "float32"

    @model_validator(mode="after")
    def _quantised_weights_are_frozen(self) -> Self:
        if self.bits and self.tuning == "full":
            raise ValueError("quantization nf4 freezes the base: set tuning to lora, or quantization to none")
        return self

    def on_device(self, precision: Literal["fp32", "bf16"] = "fp32", micro_batch: int = 16) -> Self:
        """This configuration with the device's precision and micro-batch where it leaves them open."""
        chosen = precision if self.precision == "auto" else self.precision
        return self.model_copy(update={"precision": chosen, "micro_batch": self.micro_batch or micro_batch})

    def decisive(self) -> dict[str, object]:
        """The settings that decide what is learnt."""
        return {name: value for name, value in self.model_dump().items() if name not in BOOKKEEPING}


class RetrieverTrainingConfig(TrainingConfig):
    """Bi-encoder with masked InfoNCE."""

    temperature: float = Field(
        default=0.02, gt=0, le=1, description="온도. Cosines are divided by it: 0.02 is a scale of 50."
    )
    negatives_per_query: int = Field(
        default=2, ge=0, description="질의당 음성 수. Negatives per query and epoch; 0 = in-batch only."
    )
    matryoshka_dims: tuple[int, ...] = Field(
        default=(),
        description="마트료시카 차원(비우면 끔). Leading dimensions that are trained to work alone; name the full width too.",
    )
    matryoshka_weights: tuple[float, ...] = Field(
        default=(), description="마트료시카 가중치(비우면 1). Weight of the loss at each of matryoshka_dims."
    )
    distillation_weight: float = Field(
        default=0.0,
        ge=0,
        description="증류 가중치(0 = 끔). Weight of the KL divergence from a reranker's scores over a query's candidates.",
    )
    distillation_teacher: str = Field(
        default="builtin", description="증류 교사. Reranker that scores: preset, hub id or folder."
    )
    distillation_temperature: float = Field(
        default=1.0, gt=0, description="교사 온도. The teacher's logits are divided by it."
    )
    query_max_length: int = Field(default=0, ge=0, description="질의 최대 길이(토큰, 0 = 프리셋). Query tokens.")
    passage_max_length: int = Field(default=0, ge=0, description="단락 최대 길이(토큰, 0 = 프리셋). Passage tokens.")
    valid_pool: int = Field(
        default=500, ge=10, description="검증 후보 단락 수. Passages that validation queries are ranked against."
    )

    @model_validator(mode="after")
    def _matryoshka_fits(self) -> Self:
        if any(dim < 1 for dim in self.matryoshka_dims) or any(weight <= 0 for weight in self.matryoshka_weights):
            raise ValueError("matryoshka_dims and matryoshka_weights must be positive")
        if self.matryoshka_weights and len(self.matryoshka_weights) != len(self.matryoshka_dims):
            raise ValueError("matryoshka_weights needs one weight for each of matryoshka_dims")
        return self


class RerankerTrainingConfig(TrainingConfig):
    """Cross-encoder whose head trains in full."""

    batch_size: int = Field(default=8, ge=1, description="배치(질의 수). Queries per batch.")
    loss: Literal["margin", "ranknet", "lambda", "listwise", "bce"] = Field(
        default="listwise",
        description="손실 함수. Pairwise margin or RankNet over all positives x negatives, LambdaLoss (NDCG-Loss2++), "
        "listwise softmax, or BCE.",
    )
    margin: float = Field(default=1.0, gt=0, description="마진(로짓). Wanted distance of the pairwise margin loss.")
    positives_per_query: int = Field(
        default=2, ge=1, description="질의당 양성 수. Positives per query and epoch, at most."
    )
    negatives_per_query: int = Field(default=5, ge=1, description="질의당 음성 수. Negatives per query and epoch.")
    hard_ratio: float = _hard_ratio(0.8)
    max_length: int = Field(default=0, ge=0, description="쌍의 최대 길이(토큰, 0 = 프리셋). Tokens per pair.")
    valid_candidates: int = Field(
        default=20, ge=2, description="검증 후보 수(질의당). First-stage hits reranked per validation query."
    )


class SeedsConfig(BaseModel):
    """How often the pipeline trains the same adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    more_seeds: int = Field(
        default=0,
        ge=0,
        description="더 학습할 시드 수(seed+1, seed+2, …). Further seeds to train; the report and the gate call the adapter "
        "better only when all of them are.",
    )


AnyTrainingConfig = RetrieverTrainingConfig | RerankerTrainingConfig
