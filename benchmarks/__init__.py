"""Measurements against other implementations, and what they need."""
