"""Small repairs that every text gets on its way into a pool."""

from __future__ import annotations

import unicodedata

NO_INPUT = "<noinput>"
"""What self-instruct style generators write for an empty `input` column."""


def clean_text(text: str) -> str:
    """Unicode NFC, line ends as "\\n", no white space around the text.

    >>> clean_text(" cafe\\u0301\\r\\n")
    'café'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()


def encodable(text: str) -> bool:
    """False for text with a lone surrogate, which no UTF-8 file, tokenizer or server can take."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
