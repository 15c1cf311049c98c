"""The same maths in different orders; a schedule never changes a result."""
