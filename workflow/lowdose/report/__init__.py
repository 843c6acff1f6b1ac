"""What a reader sees: figures, each with its numbers, and tables."""
