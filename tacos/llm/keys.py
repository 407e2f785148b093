"""The API key: from the environment or a file of its own, and from nowhere else.

It is no setting, so it stands in no config, cache, log or W&B run; messages name where it comes from, never what it is.

    api_key_env: OPENAI_API_KEY          the variable's value; unset: no key is sent
    api_key_file: ~/.config/openai.key   the file's only line
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tacos.errors import ConfigError
from tacos.llm.settings import LLMSettings


def read_key(settings: LLMSettings, environ: Mapping[str, str]) -> str | None:
    """The key for `settings`; None where none is set.

    Raises: ConfigError for a file that cannot be read or is empty, and for what can be no key.
    """
    if settings.api_key_file is not None:
        key = _from_file(Path(settings.api_key_file).expanduser())
    else:
        key = environ.get(settings.api_key_env, "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            f"{settings.key_source} holds no API key: a key is one word of printable ASCII; "
            "put the key there and nothing else"
        )
    return key or None


def _from_file(path: Path) -> str:
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"api_key_file {path} cannot be read ({why}): write the key into it, or set api_key_env"
        ) from None
    if not key:
        raise ConfigError(f"api_key_file {path} is empty: write the key into it, or set api_key_env")
    return key
