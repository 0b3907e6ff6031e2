"""What exists: sources, listings, core metadata, freshness."""
