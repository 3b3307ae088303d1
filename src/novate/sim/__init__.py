"""The seeded simulation: contracts and model side by side, judged after every operation."""
