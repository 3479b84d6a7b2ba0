"""The configuration file: read, checked, and kept as plain values."""
