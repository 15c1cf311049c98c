"""Text in, batches out: sources, tokenizers, sample order and windows.

Importing this package imports none of its parts, so that reading text never waits for torch.
"""
