"""Tests of the lock writers and readers and of the texts that requirements come in."""
