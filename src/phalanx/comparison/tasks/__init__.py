"""Comparing models on a task that generates nothing: tagging, classification."""
