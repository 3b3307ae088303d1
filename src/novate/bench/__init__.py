"""Measurements: what a transaction costs in gas, on a real chain."""
