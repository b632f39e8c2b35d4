"""Sizes. A preset is a function that returns a config."""
