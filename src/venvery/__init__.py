"""venvery: a server that turns fuzzy requirements into ready virtualenvs."""

__version__ = "0.1.0"
