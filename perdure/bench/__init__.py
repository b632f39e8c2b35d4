"""Measurements of the whole, through its own doors: `perdure bench NAME`."""
