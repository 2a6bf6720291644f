"""What a user may set about mining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MiningConfig(BaseModel):
    """Sizes and thresholds of hard-negative mining."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=42, description="난수 시드. Seed of the mid and random selection.")
    pool_lexical: int = Field(
        default=50, ge=0, description="어휘 검색 후보 수(질의당). Candidates per query from lexical search."
    )
    pool_dense: int = Field(
        default=50, ge=0, description="밀집 검색 후보 수(질의당). Candidates per query from dense search."
    )
    pool_sibling: int = Field(
        default=5, ge=0, description="같은 조의 다른 항 후보 수. Candidates from the positives' own articles."
    )
    pool_same_title: int = Field(
        default=5,
        ge=0,
        description="제목이 같은 다른 법령 조문 후보 수. Candidates from articles of other laws with a positive's title.",
    )
    pool_cited: int = Field(
        default=5,
        ge=0,
        description="인용으로 이어진 조문 후보 수. Candidates from articles that a citation links to one.",
    )
    keep: int = Field(
        default=32,
        ge=1,
        description="남길 생존 후보 수(질의당). Survivors kept per query, hardest first; negatives are taken from these.",
    )
    hard: int = Field(
        default=4, ge=0, description="가장 어려운 음성 수. Negatives per query taken from the top of the survivors."
    )
    mid: int = Field(
        default=3, ge=0, description="중간 난도 음성 수. Negatives per query drawn from the other survivors."
    )
    random: int = Field(
        default=0, ge=0, description="무작위 음성 수. Negatives per query drawn from outside the pools."
    )
    keep_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="지난 라운드 오답의 몫. Share of the negatives that re-mining takes from the round before; 0 keeps none.",
    )
    dense_reference: Literal["lowest", "highest", "none"] = Field(
        default="highest",
        description="밀집 임계값 기준 정답. Which positive article of a query sets the cosine threshold; `none` sets "
        "none. With a margin, `highest` gives harder negatives and mines fewer hidden positives than `lowest` at equal yield.",
    )
    rerank_reference: Literal["lowest", "highest", "none"] = Field(
        default="highest",
        description="재순위 임계값 기준 정답. Which positive article of a query sets the logit threshold; `none` sets none.",
    )
    dense_margin: float = Field(
        default=0.0,
        ge=0,
        description="밀집 점수 여유(표준편차). A candidate is dropped above reference - margin, in standard deviations of "
        "the positives' cosines. 0 leaves the judgement to the reranker; without one 0.5 is better.",
    )
    rerank_margin: float = Field(
        default=0.5,
        ge=0,
        description="재순위 점수 여유(표준편차). A candidate is dropped above reference - margin, in standard deviations "
        "of the positives' logits.",
    )
    neighbour_factor: float = Field(
        default=1.5,
        ge=1,
        description="인용 이웃의 여유 배수. Margins are this many times wider for siblings and citation neighbours.",
    )
    question_similarity: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="비슷한 질문의 기준(0 = 끔). A candidate that answers a training question this much like its own is dropped: "
        "share of a question's BM25 score for itself that the other one reaches. Synthetic questions are not compared.",
    )
    cap_quantile: float = Field(
        default=0.95,
        ge=0,
        lt=1,
        description="절대 상한의 분위(0 = 끔). A candidate is dropped at scores that this share of the answers of held-out "
        "questions (set valid) do not reach, whatever its own question's reference is.",
    )
    cap_queries: int = Field(
        default=200, ge=1, description="상한을 정하는 검증 질의 수. Held-out questions that calibrate the cap, at most."
    )
    rerank_chunk: int = Field(
        default=16,
        ge=1,
        description="재순위 한 차례의 후보 수. Candidates scored per query and round; a query with enough stops.",
    )
    rerank_depth: int = Field(
        default=48, ge=1, description="재순위 최대 후보 수(질의당). Most candidates scored per query."
    )
    enough: float = Field(
        default=1.5,
        ge=1,
        description="충분한 생존 배수. A query has enough at this many times the negatives that are wanted.",
    )
    batch_size: int = Field(default=64, ge=1, description="재순위 배치(쌍). Pairs per forward pass of the reranker.")
    examples: int = Field(default=20, ge=0, description="보고서 예시 수. Examples in the report.")

    @property
    def wanted(self) -> int:
        """Negatives per query when the pool suffices."""
        return self.hard + self.mid + self.random

    @property
    def pool_sizes(self) -> Mapping[str, int]:
        """Pool → candidates per query, in the order in which a candidate's pools are named."""
        pools = ("lexical", "dense", "sibling", "same_title", "cited")
        return {name: getattr(self, f"pool_{name}") for name in pools}

    @model_validator(mode="after")
    def _asks_for_something(self) -> MiningConfig:
        if not self.wanted or not (self.pool_lexical or self.pool_dense):
            raise ValueError("mining asks for no negatives: raise hard, mid or random, and pool_lexical or pool_dense")
        return self


class JudgeConfig(BaseModel):
    """Whether somebody reads what would become a negative."""

    model_config = ConfigDict(frozen=True)

    judge: Literal["none", "llm"] = Field(
        default="none",
        description="고른 오답을 읽는 판정자: none 또는 llm(자원 llm의 검수 모델). A judge of the chosen negatives: a full answer becomes "
        "a positive, half an answer is dropped. llm asks the judging model of the resource llm, within its budget.",
    )
