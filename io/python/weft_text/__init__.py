"""Text in, text out for Weft: prompts to request shards, results to text."""

__version__ = "0.1.0"
