"""The ``retrieval`` command."""

from retrieval.cli.main import app, main

__all__ = ["app", "main"]
