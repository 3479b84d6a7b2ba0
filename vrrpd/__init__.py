"""A native VRRPv3 speaker."""

__version__ = "0.1.0"
