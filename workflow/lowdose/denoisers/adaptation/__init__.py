"""A trained network brought closer to one frame, with that frame alone."""
