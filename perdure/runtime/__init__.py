"""Living: the step, what runs the models, and the session that keeps stepping."""
