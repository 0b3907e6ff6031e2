"""Tests of the configuration and of how pip's own settings are read."""
