"""How tables are stored between assets."""
