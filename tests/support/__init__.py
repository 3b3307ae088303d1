"""Shared test worlds: the contracts on an in-memory chain beside the model."""
