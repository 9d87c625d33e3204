"""A distributed streaming sentiment and intent monitor for finance."""

__version__ = "0.1.0"
