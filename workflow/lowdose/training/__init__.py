"""Training loop, resume and losses; usable with any network and any source of batches."""
