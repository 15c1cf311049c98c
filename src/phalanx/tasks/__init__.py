"""What models are trained to do: the loss of a batch, and the score of a whole text."""
