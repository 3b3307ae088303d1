"""The demo: a real crash cleared through real contracts on a local chain."""
