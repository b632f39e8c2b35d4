"""Learning: one loop, and one file for each method that it can run."""
