"""Follow the data of a run: which kernel needs which, whose it is, and how long the chain is."""
