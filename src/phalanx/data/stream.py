"""Text from tokens that arrive one at a time."""

import codecs

from phalanx.data.tokenizers import Tokenizer


class StreamDecoder:
    """Turns tokens into text as they come, never splitting a UTF-8 character.

    A token of a byte-level vocabulary may end in the middle of a character; its bytes wait for the
    rest. What ``feed`` and ``flush`` return, joined, equals ``tokenizer.decode`` of all the tokens.

    Args:
        tokenizer: that which made the tokens.
        inside: the tokens go on with a text, so that a first word keeps the space before it where
            words bring one (``tokenizer.leading_space``). Otherwise they begin a text.
    """

    def __init__(self, tokenizer: Tokenizer, *, inside: bool = False) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begins = tokenizer.leading_space and not inside

    def feed(self, token: int) -> str:
        """Take one token id; return the text that is complete now, perhaps none.

        Raises:
            UsageError: the id is outside the vocabulary.
        """
        data = self._tokenizer.bytes_of(token)
        if self._begins and data:
            data, self._begins = data.removeprefix(b" "), False
        return self._decoder.decode(data)

    def flush(self) -> str:
        """Return what is left at the end: a character cut short becomes U+FFFD.

        What comes then begins a text.
        """
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        self._begins = self._tokenizer.leading_space
        return text
