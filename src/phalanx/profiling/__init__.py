"""Work, span and paths of a computation, traced; time and peaks of this machine, measured."""
