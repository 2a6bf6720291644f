"""The store's tables as folders that other tools read as they are.

Training files (FlagEmbedding, sentence-transformers, LexDPR, reranker rows) hold the sets train and valid; evaluation
files (BEIR, TREC) hold the questions that are reported. Not here: reading rows of other tools (`sources`, `training`).
"""
