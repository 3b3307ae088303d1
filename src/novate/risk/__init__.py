"""Float64 analytics beside the integer model: they propose, the model's integers decide."""
