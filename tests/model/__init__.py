"""The plain values that everyone shares."""
