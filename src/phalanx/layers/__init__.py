"""Layers in which each position sees itself alone, and the blocks that join them to mixers."""
