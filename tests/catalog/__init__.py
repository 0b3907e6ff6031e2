"""The catalog against real servers and folders."""
