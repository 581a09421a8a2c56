"""Genrescope's domain: movies in, clusters out. What each module may import is in docs/architecture.md."""

__version__ = "0.1.0"
