"""What a database refuses for good, told by its SQL state: data that does not fit, rules of a table that are broken.

The same record is refused again, however often it comes. The drivers' own words quote values, which are somebody's: so
only the names of constraints, tables and columns are taken from them.
"""

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

# Of SQL states: data that does not fit, a rule of the table, what is too large for the database (an index row, 54000).
LASTING = ("22", "23", "54")
# SQL Server's own numbers for the same, where a driver gives only a general state: conversion, no NULL, a foreign key
# or a check, a key too long for its index, an index or a key that is taken, cut off or overflowing (three).
NUMBERS = {245, 515, 547, 1946, 2601, 2627, 2628, 8114, 8115, 8152}
GENERAL = {"42000", "HY000"}
STATE = re.compile(r"[0-9A-Z]{5}")
NAMED = re.compile(r"\b(constraint|table|relation|object|index|column)\b ['\"]([\w.$-]+)['\"]")


def state_of(error: BaseException | None) -> str:
    """Give a driver's SQL state: psycopg's attribute, or pyodbc's first argument; "" where there is none."""
    words = error.args if error else ()
    found = str(getattr(error, "sqlstate", None) or (words[0] if words else ""))
    return found if STATE.fullmatch(found) else ""


def numbers_of(error: BaseException | None) -> set[int]:
    """Give SQL Server's own numbers, as ODBC's text has them: in brackets behind each message."""
    words = [str(one) for one in error.args[1:]] if error else []
    return {int(found) for found in re.findall(r"\((\d{3,5})\)", " ".join(words))}


def refusal(error: DBAPIError) -> str | None:
    """Say what the database refuses for good, without anybody's values; None where it refuses nothing."""
    state, numbers = state_of(error.orig), numbers_of(error.orig) & NUMBERS
    is_lasting = state.startswith(LASTING) or (state in GENERAL and bool(numbers))
    if not is_lasting and not isinstance(error, DataError | IntegrityError):
        return None
    line = str(error.orig.args[-1] if error.orig and error.orig.args else "").partition("\n")[0]  # Further ones quote.
    names = ", ".join(f"{kind} {name}" for kind, name in dict.fromkeys(NAMED.findall(line)))
    number = f" ({min(numbers)})" if numbers else ""
    said = f"SQL state {state}{number}" if state else "a value that no column takes"
    return f"{said}: {names}" if names else said
