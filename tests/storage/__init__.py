"""Blobs and the database."""
