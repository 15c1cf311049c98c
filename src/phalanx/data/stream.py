"""Text from tokens that arrive one at a time."""

import codecs

from phalanx.data.tokenizers import Tokenizer


class StreamDecoder:
    """Turns tokens into text as they come, never splitting a UTF-8 character.

    A token of a byte-level vocabulary may end in the middle of a character; its bytes wait for the
    rest. What ``feed`` and ``flush`` return, joined, equals ``tokenizer.decode`` of all the tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """Take one token id; return the text that is complete now, perhaps none.

        Raises:
            UsageError: the id is outside the vocabulary.
        """
        return self._decoder.decode(self._tokenizer.bytes_of(token))

    def flush(self) -> str:
        """Return what is left at the end: a character cut short becomes U+FFFD. Starts afresh."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text
