"""Directing: what happens in a clip of the playground, where, and to whom."""
