"""Limits on what clients may send, store and request."""
