"""What one kernel costs: FLOPs, scalar depth and products, by a formula for each operator."""
