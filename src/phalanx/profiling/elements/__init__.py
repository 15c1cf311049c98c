"""Element by element at a small T: the depth of each number, paths between positions, gradients."""
