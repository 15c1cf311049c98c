"""This machine: its speeds, fair timing, predicted and measured times."""
