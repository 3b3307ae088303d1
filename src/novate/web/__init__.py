"""Pages for people: the self-contained report of a replay."""
