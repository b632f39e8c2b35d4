"""Where clips come from: one file a source."""
