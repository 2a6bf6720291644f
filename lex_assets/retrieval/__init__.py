"""Search over a corpus: lexical (embedded BM25, Elasticsearch), dense exact, their fusion, and reranking.

Nothing here imports torch or bm25s at import.
"""
