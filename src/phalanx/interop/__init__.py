"""Weights that others made, moved to phalanx and back."""
