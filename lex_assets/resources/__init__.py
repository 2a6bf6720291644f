"""What a user configures once for all assets: where things live, which models, which device, which search engine."""
