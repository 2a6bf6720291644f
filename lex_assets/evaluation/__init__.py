"""What a system is worth: metrics, significance, TREC files and the report. No torch, no dagster."""
