"""What persists: the world as an explicit value, and the folder that keeps it."""
