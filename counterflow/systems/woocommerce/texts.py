"""Texts as people wrote them: WordPress keeps many with HTML entities in them, `A &amp; B`, and answers them so.

Each is decoded once: a `&amp;amp;` was a `&amp;` that somebody typed. Pure.
"""

import html
import re
from typing import Any

import msgspec

# With its semicolon, which WordPress never leaves away: the "&copy" in a "Smith&copyright" is no entity.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


def text(value: str) -> str:
    """Give a text with its entities decoded once."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), value) if "&" in value else value


def decoded(value: Any) -> Any:
    """Give a decoded JSON value with every text in it decoded once. JSON that stands inside a text is left whole."""
    if isinstance(value, str):
        return value if _is_json(value) else text(value)
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if isinstance(value, dict):
        return {name: decoded(one) for name, one in value.items()}
    return value


def inner(value: Any) -> Any:
    """Give what stands in a value that may be JSON as text, its own texts decoded once."""
    return decoded(msgspec.json.decode(value)) if isinstance(value, str) else value


def _is_json(value: str) -> bool:
    """Say whether a text is a list or a mapping as JSON: a quote decoded inside one of its texts would break it."""
    if not value.startswith(("[", "{")) or "&" not in value:
        return False
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        return False
    return True
