"""Plain values that every room shares; they parse at the edge and never again inside."""
