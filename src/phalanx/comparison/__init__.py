"""`phalanx compare`: what is parallel by structure, what is fast on this machine, side by side."""
