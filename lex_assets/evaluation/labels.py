"""Names of what a report shows, Korean and English: domains, regimes, origins, systems, verdicts, kinds of error."""

from __future__ import annotations

from collections.abc import Mapping

Label = tuple[str, str]

DOMAIN_LABELS: dict[str, Label] = {
    "finance": ("금융", "Finance"),
    "law": ("법률", "Law"),
    "precedent": ("판례", "Precedent"),
}
REGIME_LABELS: dict[str, Label] = {"unseen_query": ("새 질의", "unseen query"), "unseen_law": ("새 법령", "unseen law")}
REGIME_NOTES: dict[str, Label] = {
    "unseen_query": ("학습이 아는 법령에 대한 처음 보는 질문", "new questions about law that training has cited"),
    "unseen_law": ("학습이 한 번도 인용하지 않은 법령", "law families that training never cited"),
}
ORIGIN_LABELS: dict[str, Label] = {
    "citation": ("판시사항·질의 → 인용된 조문·판례", "issue or question → cited law"),
    "holding": ("판시사항 → 판결요지", "issue → holding"),
    "interpretation": ("질의 → 회답", "question → official reply"),
    "mrc": ("기계독해 질문 → 지문", "MRC question → context"),
    "pair": ("주어진 질문 → 정답 단락", "given question → its passages"),
    "delegation": ("하위법령 → 위임한 조문", "decree → act article"),
    "synthetic": ("합성 질문", "synthetic"),
}
SET_LABELS: dict[str, Label] = {
    "train": ("학습", "train"),
    "valid": ("검증", "valid"),
    "promotion": ("승격", "promotion"),
    "test": ("시험", "test"),
    "dropped": ("제외", "dropped"),
}
SYSTEM_LABELS: dict[str, Label] = {
    "bm25": ("BM25", "lexical"),
    "base_dense": ("기본 임베딩", "base, dense"),
    "base_hybrid": ("기본 혼합", "base, hybrid"),
    "base_hybrid_rerank": ("기본 혼합 + 재순위", "base, hybrid + reranker"),
    "champion_dense": ("챔피언 임베딩", "champion, dense"),
    "champion_hybrid": ("챔피언 혼합", "champion, hybrid"),
    "champion_hybrid_rerank": ("챔피언 혼합 + 재순위", "champion, hybrid + reranker"),
    "adapter_dense": ("어댑터 임베딩", "adapter, dense"),
    "adapter_hybrid": ("어댑터 혼합", "adapter, hybrid"),
    "adapter_hybrid_rerank": ("어댑터 혼합 + 재순위", "adapter, hybrid + reranker"),
    "base_oracle": ("기본 혼합 재순위 상한", "base, reranking ceiling"),
    "champion_oracle": ("챔피언 혼합 재순위 상한", "champion, reranking ceiling"),
    "adapter_oracle": ("어댑터 혼합 재순위 상한", "adapter, reranking ceiling"),
}
VERDICT_LABELS: dict[str, Label] = {
    "better": ("나음", "better"),
    "worse": ("나쁨", "worse"),
    "insufficient": ("증거 부족", "insufficient evidence"),
}
STAGE_LABELS: dict[str, Label] = {"retriever": ("검색기", "retriever"), "reranker": ("재순위기", "reranker")}
MINING_LABELS: dict[str, Label] = {
    "queries": ("질의", "queries"),
    "candidates": ("후보", "candidates"),
    "negatives": ("어려운 오답", "hard negatives"),
    "negatives_per_query": ("질의당 오답", "negatives per query"),
    "drops": ("후보가 빠진 이유", "why candidates were dropped"),
    "fill": ("질의가 채워진 정도", "how queries were filled"),
    "pools": ("어디서 찾았나", "where negatives came from"),
    "survivors": ("질의당 생존 후보", "survivors per query"),
    "together": ("두 곳에서 함께 찾은 후보", "candidates that two pools share"),
    "cap_dense": ("임베딩 점수의 절대 상한", "absolute cap of the dense score"),
    "cap_rerank": ("재순위 점수의 절대 상한", "absolute cap of the reranker score"),
    "hidden_gold": ("숨긴 정답 시험", "hidden-gold test"),
    "score_dense": ("임베딩 점수", "dense score"),
    "score_rerank": ("재순위 점수", "reranker score"),
    "held_out": ("시험용으로 떼어 둔 법령", "held out for testing"),
    "own_document": ("질의가 나온 판결 자신", "the query's own document"),
    "equivalent": ("정답과 같은 단락", "equivalent of a positive"),
    "question": ("질의와 같은 글", "the question itself"),
    "duplicate": ("다른 후보와 같은 단락", "duplicate of a candidate"),
    "surplus": ("남길 수를 넘음", "beyond the number to keep"),
    "judged_positive": ("판정: 정답", "judged an answer"),
    "judged_partial": ("판정: 일부 정답", "judged half an answer"),
    "not_reranked": ("예산 밖", "beyond the reranking budget"),
    "false_negative_dense": ("정답일 수 있음 (임베딩)", "suspected by the retriever"),
    "false_negative_rerank": ("정답일 수 있음 (재순위)", "suspected by the reranker"),
    "false_negative_dense_cap": ("절대 상한을 넘음 (임베딩)", "above the retriever's cap"),
    "false_negative_rerank_cap": ("절대 상한을 넘음 (재순위)", "above the reranker's cap"),
    "false_negative_similar": ("비슷한 질문의 정답", "answers a similar question"),
    "full": ("다 채움", "full"),
    "budget": ("재순위 예산이 모자람", "reranking budget too small"),
    "filtered": ("거른 뒤 모자람", "too few survivors"),
    "pool_short": ("후보가 모자람", "too few candidates"),
    "no_candidates": ("후보 없음", "no candidate"),
    "sibling": ("같은 조의 다른 항", "sibling"),
    "same_title": ("같은 제목의 다른 법령", "same title"),
    "cited": ("인용으로 이어짐", "cited"),
    "lexical": ("어휘 검색", "lexical"),
    "dense": ("임베딩 검색", "dense"),
    "random": ("무작위", "random"),
    "hard": ("어려움", "hard"),
    "mid": ("중간", "mid"),
    "positive": ("정답", "positive"),
    "negative": ("오답", "negative"),
    "false_negative": ("오답이 아닐 수 있음", "suspected"),
}
QUALITY_LABELS: dict[str, Label] = {
    "duplicate_passages": ("글이 같은 단락", "passages that repeat another"),
    "duplicate_queries": ("글이 같은 질의", "queries that repeat another"),
    "duplicate_pairs": ("글이 같은 쌍", "pairs that repeat another"),
    "truncated_passages": ("기반의 한도를 넘는 단락", "passages beyond the base's limit"),
    "truncated_queries": ("기반의 한도를 넘는 질의", "queries beyond the base's limit"),
    "truncated_positives": ("기반의 한도를 넘는 정답", "pairs whose positive is beyond the limit"),
    "uncovered_documents": ("질의가 묻지 않는 문서", "documents that no query asks for"),
    "queries_without_positive": ("정답 없는 질의", "queries without a positive"),
    "positives_outside_corpus": ("말뭉치에 없는 정답", "positives that the corpus lacks"),
    "passage": ("단락", "passage"),
    "query": ("질의", "query"),
    "characters": ("글자", "characters"),
    "tokens": ("토큰", "tokens"),
}
PATTERN_LABELS: dict[str, Label] = {
    "converged": ("수렴", "converged"),
    "overfit": ("과적합 조짐", "overfitting after the best step"),
    "no_convergence": ("학습되지 않음", "the loss stayed at chance"),
    "loss_only": ("손실만 줄고 검증은 그대로", "loss fell, validation did not"),
}


def label(table: Mapping[str, Label], key: str) -> Label:
    """(Korean, English) of a known key; an unknown key stands for itself."""
    return table.get(key, (key, ""))


def both(pair: Label) -> str:
    """`한국어 · English` in one line."""
    return f"{pair[0]} · {pair[1]}" if pair[1] and pair[1] != pair[0] else pair[0]
