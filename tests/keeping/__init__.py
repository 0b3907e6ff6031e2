"""Keeping the data folder within its size, and in order."""
