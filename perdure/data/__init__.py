"""What was seen: scenes to learn from, clips of them, and how they are stored."""
