"""Which letters Counterpoint's columns hold, asked of the very database, and what is written where they do not.

SQL Server puts a `?` in the place of a letter that a varchar column's code page lacks, and says nothing: so a plain
form is written instead, `L` for `Ł`, or a person is asked. Not yet run on a SQL Server (docs/facts/sql-server.md 8).
"""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anyascii import anyascii
from sqlalchemy import Connection, bindparam
from sqlalchemy import text as sql

from counterflow.errors import Held

Policy = Literal["transliterate", "hold"]
_PERSON = (
    "NAM",
    "FST_NAM",
    "LST_NAM",
    "ADRS_1",
    "ADRS_2",
    "CITY",
    "STATE",
    "ZIP_COD",
    "CNTRY",
    "PHONE_1",
    "EMAIL_ADRS_1",
)
# What people's words are written to, by table.
TEXTS: Mapping[str, tuple[str, ...]] = {
    "AR_CUST": _PERSON,
    "PS_DOC_CONTACT": _PERSON,
    "PS_DOC_LIN": ("DESCR",),
    "PS_DOC_NOTE": ("NOTE",),
}
# A request's parts that stand in a table of another name.
_PARTS = {"BILL_TO_CONTACT": "PS_DOC_CONTACT", "SHIP_TO_CONTACT": "PS_DOC_CONTACT"}
_EMAIL = "EMAIL_ADRS_1"
_UNICODE = frozenset({"nvarchar", "nchar", "ntext"})
_COLUMNS = """
SELECT TABLE_NAME AS tbl, COLUMN_NAME AS col, DATA_TYPE AS kind, CHARACTER_MAXIMUM_LENGTH AS size,
       {page} AS page
FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_NAME IN :tables AND COLUMN_NAME IN :columns
""".strip()
_PAGES = {"mssql": "CAST(COLLATIONPROPERTY(COLLATION_NAME, 'CodePage') AS int)"}
_POSTGRES_PAGE = "current_setting('server_encoding')"  # The sandbox's: one for the whole database.


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one column holds."""

    codec: str = ""  # Python's name of its code page; "": it holds every letter.
    size: int | None = None  # Of characters; None: not known, or without an end.

    def holds(self, text: str) -> bool:
        """Say whether each letter of a text has a place in this column."""
        return not self.codec or text == text.encode(self.codec, "replace").decode(self.codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alphabet:
    """What the columns hold that we write people's words to."""

    columns: Mapping[tuple[str, str], Column] = field(default_factory=dict)

    def of(self, table: str, name: str) -> Column:
        """Give a column; one that our login does not see is as a customer's name."""
        seen = self.columns.get((table, name))
        return seen or Column(codec=self.columns.get(("AR_CUST", "NAM"), Column()).codec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A request as the database can hold it."""

    body: dict[str, Any]
    message: str = ""  # What was written instead of what; "": everything is held.


def ask(connection: Connection) -> Alphabet:
    """Ask which letters the columns hold, and how many."""
    page = _PAGES.get(connection.dialect.name, _POSTGRES_PAGE)
    query = sql(_COLUMNS.format(page=page)).bindparams(
        bindparam("tables", expanding=True), bindparam("columns", expanding=True)
    )
    names = sorted({name for texts in TEXTS.values() for name in texts})
    rows = connection.execute(query, {"tables": [*TEXTS], "columns": names})
    return Alphabet(
        columns={
            (row.tbl, row.col): Column(
                codec="" if row.kind in _UNICODE else _codec(str(row.page)),
                size=row.size if (row.size or 0) > 0 else None,
            )
            for row in rows
        }
    )


def _codec(page: str) -> str:
    """Give Python's codec of a code page or of an encoding of PostgreSQL's; of one that it does not know, ASCII."""
    if page in {"65001", "UTF8", "SQL_ASCII", "None"}:  # None: a column without a collation is no text.
        return ""
    name = f"cp{page}" if page.isdecimal() else page.replace("WIN", "cp")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "ascii"


def fit(body: Mapping[str, Any], alphabet: Alphabet, policy: Policy) -> Fitted:
    """Give a request's body with every text as its column can hold it.

    Raises:
        Held: A letter has no place and the shop wants to be asked, or an e-mail has one: another is another person's.
    """
    lost: dict[str, str] = {}
    fitted = _fit_part(body, "", alphabet, lost)
    said = ", ".join(f"{letter!r} as {plain!r}" for letter, plain in sorted(lost.items()))
    if said and policy == "hold":
        raise Held(f"Counterpoint's database cannot hold every letter; counterflow would write {said}")
    return Fitted(
        body=fitted, message=f"Counterpoint's database cannot hold every letter: written {said}" if said else ""
    )


def _fit_part(part: Mapping[str, Any], table: str, alphabet: Alphabet, lost: dict[str, str]) -> dict[str, Any]:
    fitted: dict[str, Any] = {}
    for name, value in part.items():
        if isinstance(value, Mapping):
            fitted[name] = _fit_part(value, _PARTS.get(name, name), alphabet, lost)
        elif isinstance(value, list):
            fitted[name] = [_fit_part(one, name, alphabet, lost) for one in value]
        elif isinstance(value, str) and name in TEXTS.get(table, ()):
            column = alphabet.of(table, name)
            fitted[name] = _fit_email(value, table, column, lost) if name == _EMAIL else _fit_text(value, column, lost)
        else:
            fitted[name] = value
    return fitted


def _fit_email(text: str, table: str, column: Column, lost: dict[str, str]) -> str:
    """Leave an e-mail as it is: out of a document's contact, where it has no place, and a customer waits."""
    if column.holds(text) and len(text) <= (column.size or len(text)):
        return text
    if table == "AR_CUST":
        raise Held("the e-mail address has letters, or more of them, that Counterpoint's column does not hold")
    lost["the e-mail address"] = ""
    return ""


def _fit_text(text: str, column: Column, lost: dict[str, str]) -> str:
    found = {one: _plain(one, column) for one in text if not column.holds(one)}
    lost |= found
    return "".join(found.get(one, one) for one in text)[: column.size]


def _plain(letter: str, column: Column) -> str:
    """Give a letter's plain form, if the column holds that."""
    plain = anyascii(letter)
    return plain if column.holds(plain) else "?"
