"""Base models: presets, the bi-encoder, the cross-encoder, and the small Korean legal models that ship in the package.

Nothing here imports torch; `bi_encoder` and `reranker` do.
"""
