"""The desk's HTTP routes, one module a concern."""
