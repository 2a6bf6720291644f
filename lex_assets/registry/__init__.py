"""What is kept and what is in use: stages, adapters, champions, the promotion gate, the leaderboard."""
