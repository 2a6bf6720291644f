"""Asset checks: what would make the next stage wrong stops the run here, and consumers assert it again."""
