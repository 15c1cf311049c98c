"""Training: optimizers, schedule, the loop, and what it leaves on disk."""
