"""Compare a rerun of the study with a published one, item by item."""
