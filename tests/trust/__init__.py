"""Tests of what can be trusted: versions written down, moved environments, signatures, verification."""
