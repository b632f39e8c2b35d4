"""How good it is: figures that can be asked for again, each against a truth that is known."""
