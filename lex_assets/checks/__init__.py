"""Asset checks: what would make the next stage wrong stops the run here, and consumers assert it again."""

from lex_assets.checks.quality import QUALITY_CHECKS
from lex_assets.checks.tables import TABLE_CHECKS
from lex_assets.checks.training import TRAINING_CHECKS

ALL_CHECKS = [*TABLE_CHECKS, *QUALITY_CHECKS, *TRAINING_CHECKS]
