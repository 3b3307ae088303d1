"""Novate: an open clearing house for crypto derivatives."""

__version__ = "0.1.0"
