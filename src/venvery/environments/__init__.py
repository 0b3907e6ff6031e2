"""A lock becomes a manifest, and a manifest becomes the stream of an environment."""
