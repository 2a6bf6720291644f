"""The three jobs, in the order in which they run, and re-mining.

`ingest` (per domain) → `assemble` (all domains at once) → `train` (per domain). `remine` repeats what a new champion or
new documents change: mining → training → report → champion; it touches neither the corpus nor the leaderboard.
`ablation` stands beside them: it compares base models before one is chosen to be adapted.
`export` writes what was mined as files of other tools, whether or not anything was trained.
"""

import dagster as dg

TRAINED = (
    "hard_negative_triplets",
    "retriever_adapter",
    "reranker_adapter",
    "eval_report",
    "champion",
    "mining_rounds",
)

ingest_job = dg.define_asset_job(
    "ingest",
    dg.AssetSelection.groups("ingest"),
    description="원문 → 문서 → 검색 단위. Raw documents to passages, one run per domain.",
)
assemble_job = dg.define_asset_job(
    "assemble",
    dg.AssetSelection.groups("assemble"),
    description="말뭉치, 인용, 정답, 분할. Corpus, citations, labels and split over all domains.",
)
train_job = dg.define_asset_job(
    "train",
    dg.AssetSelection.groups("train") - dg.AssetSelection.assets("mining_model"),
    description="질문 생성, 채굴, 학습, 평가, 승격. Synthetic questions to champion and leaderboard, one run per domain.",
)
remine_job = dg.define_asset_job(
    "remine",
    dg.AssetSelection.assets(*TRAINED),
    description="다시 채굴하고 학습. Mining to champion with the current champion as the mining model.",
)

ablation_job = dg.define_asset_job(
    "ablation",
    dg.AssetSelection.assets("model_ablation"),
    description="검색기·재순위기 쌍의 비교: 품질, 파라미터, 지연, 메모리. Pairs of base models compared; see configs/ablation-korean.yaml.",
)

export_job = dg.define_asset_job(
    "export",
    dg.AssetSelection.assets("exports"),
    description="다른 도구가 읽는 파일. The mined tables as files that FlagEmbedding, sentence-transformers, BEIR, … read; no training needed.",
)

ALL_JOBS = [ingest_job, assemble_job, train_job, remine_job, ablation_job, export_job]
