"""The desk: what analysts read, subscribe to and correct. The library behind `serve/api.py`; it knows no HTTP."""
