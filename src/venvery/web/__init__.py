"""Pages: server-rendered, readable without scripts, nothing from outside."""
