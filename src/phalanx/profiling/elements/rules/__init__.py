"""Which elements of its inputs each element of an operator's result reads; one file a family."""
