"""The stress lab: crashes replayed against the clearing house, one folder of figures each."""
