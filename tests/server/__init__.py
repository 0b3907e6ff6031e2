"""HTTP, part by part."""
