"""Language models behind OpenAI-compatible endpoints: one client with limits, a budget, and a cache that is never paid twice.

Nothing here imports openai at import. Not here: what is asked (`queries`, `retrieval`).
"""
