"""The alphabet of byte-level vocabularies: one printable character for each byte."""


def byte_alphabet() -> str:
    """Return 256 printable characters, the one at b standing for byte b in a byte-level vocabulary.

    Source: GPT-2's ``bytes_to_unicode``: printable Latin-1 stands for itself, the rest follows
    from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    shifted = {byte: 0x100 + place for place, byte in enumerate(others)}
    return "".join(chr(shifted.get(byte, byte)) for byte in range(256))


BYTE_OF = {character: byte for byte, character in enumerate(byte_alphabet())}
