"""Base models: presets, the bi-encoder, the cross-encoder, and the small Korean legal models that ship in the package.

Nothing here imports torch; `bi_encoder` and `reranker` do.
"""

import logging

# Importing bitsandbytes without a GPU warns of a missing CPU kernel that it would download; no command here needs it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
