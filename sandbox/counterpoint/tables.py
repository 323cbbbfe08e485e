"""Counterpoint's tables, as far as they are needed, on PostgreSQL (columns and lengths: docs/facts/counterpoint.md).

Beside them stand the three tables of ours that a shop's database gets too: queue, cursor and claims.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    event,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData()
Kind = TypeEngine[Any]

MONEY = Numeric(15, 4)
FLAG = String(1)


def _table(name: str, keys: dict[str, Kind], columns: dict[str, Kind]) -> Table:
    """Make a table with Counterpoint's change columns behind its own."""
    return _with_columns(name, [Column(key, kind, primary_key=True) for key, kind in keys.items()], columns)


def _numbered(name: str, key: str, columns: dict[str, Kind]) -> Table:
    """Make such a table whose key the database counts up."""
    return _with_columns(name, [Column(key, BigInteger(), Identity(), primary_key=True)], columns)


def _with_columns(name: str, own: list[Column[Any]], columns: dict[str, Kind]) -> Table:
    own += [Column(column, kind) for column, kind in columns.items()]
    change: dict[str, Kind] = {"LST_MAINT_DT": DateTime(), "LST_MAINT_USR_ID": String(10)}
    change |= {"RS_UTC_DT": DateTime(), "ROW_TS": BigInteger()}
    return Table(name, metadata, *own, *(Column(column, kind) for column, kind in change.items()))


def _texts(length: int, *names: str) -> dict[str, Kind]:
    return {name: String(length) for name in names}


CUSTOMER_COLUMNS: dict[str, Kind] = {
    **_texts(40, "NAM", "NAM_UPR", "ADRS_1", "ADRS_2", "ADRS_3"),
    **_texts(25, "FST_NAM_UPR", "LST_NAM", "LST_NAM_UPR", "PHONE_1", "PHONE_2", "MBL_PHONE_1"),
    **_texts(15, "FST_NAM", "ZIP_COD"),
    **_texts(50, "EMAIL_ADRS_1", "EMAIL_ADRS_2", "COMMNT"),
    **_texts(20, "CITY", "CNTRY"),
    **_texts(10, "STATE", "CATEG_COD", "STR_ID", "TAX_COD", "LOY_PGM_COD", "SLS_REP", "TERMS_COD"),
    **{name: FLAG for name in ("CUST_TYP", "CUST_NAM_TYP", "IS_ECOMM_CUST", "INCLUDE_IN_MARKETING_MAILOUTS")},
    **_texts(30, "PROF_ALPHA_1", "PROF_ALPHA_2"),
    "LOY_PTS_BAL": Integer(),
    "TOT_LOY_PTS_EARND": Integer(),
    "TOT_LOY_PTS_RDM": Integer(),
    "TOT_LOY_PTS_ADJ": Integer(),
    "LST_SAL_DAT": DateTime(),
}
customer = _table("AR_CUST", {"CUST_NO": String(15)}, CUSTOMER_COLUMNS)
# What a new customer has of the workgroup's template where nobody says it (counterpoint 2). Which columns the real one
# copies is not known: these are the ones that would be taken for somebody's word.
OF_TEMPLATE = ("CUST_TYP", "CUST_NAM_TYP", "TAX_COD", "CATEG_COD", "LOY_PGM_COD", "INCLUDE_IN_MARKETING_MAILOUTS")
note = _table("AR_CUST_NOTE", {"CUST_NO": String(15), "NOTE_ID": String(20)}, _texts(200, "NOTE_TXT"))
address = _table(
    "AR_SHIP_ADRS",
    {"CUST_NO": String(15), "SHIP_ADRS_ID": String(10)},
    _texts(40, "NAM", "ADRS_1", "ADRS_2", "CITY", "STATE", "ZIP_COD", "CNTRY", "PHONE_1", "EMAIL_ADRS_1"),
)
item = _table(
    "IM_ITEM",
    {"ITEM_NO": String(20)},
    {
        **_texts(250, "DESCR", "LONG_DESCR"),
        **_texts(10, "CATEG_COD", "SUBCAT_COD", "STK_UNIT"),
        **{name: FLAG for name in ("ITEM_TYP", "TRK_METH", "STAT", "IS_TXBL", "IS_ECOMM_ITEM")},
        "QTY_DECS": Integer(),
        "PRC_DECS": Integer(),
        "PRC_1": MONEY,
        "REG_PRC": MONEY,
        "LST_COST": MONEY,
        "BARCOD": String(30),
    },
)
inventory = _table(
    "IM_INV",
    {"ITEM_NO": String(20), "LOC_ID": String(10)},
    {name: MONEY for name in ("QTY_ON_HND", "QTY_COMMIT", "QTY_ON_PO", "QTY_ON_ORD", "MIN_QTY", "MAX_QTY")},
)
HEADER: dict[str, Kind] = {
    "DOC_TYP": FLAG,
    "TKT_TYP": FLAG,
    **_texts(10, "STR_ID", "STA_ID", "DRW_ID", "TAX_COD", "NORM_TAX_COD", "USR_ID", "STK_LOC_ID", "PRC_LOC_ID"),
    **_texts(15, "TKT_NO", "CUST_NO"),
    "CUST_PO_NO": String(20),
    "TKT_DT": DateTime(),
    "ORD_LINS": Integer(),
    "SAL_LINS": Integer(),
    "RET_LINS": Integer(),
}
document = _table("PS_DOC_HDR", {"DOC_ID": BigInteger()}, HEADER)
posted_ticket = _table("PS_TKT_HIST", {"DOC_ID": BigInteger()}, HEADER)
posted_order = _table("PS_ORD_HIST", {"DOC_ID": BigInteger()}, HEADER)
profile = _table("PS_DOC_HDR_PROF", {"DOC_ID": BigInteger()}, _texts(30, "PROF_ALPHA_1", "PROF_ALPHA_2"))
totals = _table(
    "PS_DOC_HDR_TOT",
    {"DOC_ID": BigInteger(), "TOT_TYP": FLAG},
    {
        name: MONEY
        for name in ("SUB_TOT", "TAX_AMT", "NORM_TAX_AMT", "TOT_MISC", "TOT_GFC_AMT", "TOT", "TOT_TND", "AMT_DUE")
    },
)
line = _table(
    "PS_DOC_LIN",
    {"DOC_ID": BigInteger(), "LIN_SEQ_NO": Integer()},
    {
        "LIN_TYP": FLAG,
        "ITEM_NO": String(20),
        "DESCR": String(250),
        "STK_LOC_ID": String(10),
        "USR_ENTD_PRC": FLAG,
        **{name: MONEY for name in ("QTY_SOLD", "PRC", "REG_PRC", "EXT_PRC", "GROSS_EXT_PRC")},
    },
)
payment = _table(
    "PS_DOC_PMT",
    {"DOC_ID": BigInteger(), "PMT_SEQ_NO": Integer()},
    {"PAY_COD": String(10), "PAY_COD_TYP": FLAG, "AMT": MONEY, "FINAL_PMT": FLAG, "CARD_NO": String(20)},
)
tax = _table(
    "PS_DOC_TAX",
    {"DOC_ID": BigInteger(), "TAX_SEQ_NO": Integer()},
    {"AUTH_COD": String(10), "RUL_COD": String(10), "TAX_DOC_PART": FLAG, "TAX_AMT": MONEY, "TOT_TXBL_AMT": MONEY},
)
misc = _table(
    "PS_DOC_HDR_MISC_CHRG",
    {"DOC_ID": BigInteger(), "TOT_TYP": FLAG, "MISC_CHRG_NO": String(1)},
    {"MISC_TYP": FLAG, "MISC_AMT": MONEY},
)
document_note = _table(
    "PS_DOC_NOTE", {"DOC_ID": BigInteger(), "NOTE_SEQ_NO": Integer()}, {"NOTE_ID": String(20), "NOTE": String(500)}
)
gift_card = _table(
    "SY_GFC",
    {"GFC_NO": String(20)},
    {
        "DESCR": String(50),
        "GFC_COD": String(10),
        "ORIG_AMT": MONEY,
        "CURR_AMT": MONEY,  # The sum of the card's activity, always.
        **{name: FLAG for name in ("IS_VOID", "NO_EXP_DAT")},
        **{name: DateTime() for name in ("ORIG_DAT", "EXP_DAT", "LST_ACTIV_DAT")},
        "ORIG_DOC_ID": BigInteger(),
        "ORIG_CUST_NO": String(15),
    },
)
gift_card_code = _table("SY_GFC_COD", {"GFC_COD": String(10)}, {"DESCR": String(30), "CREATE_AS_STC": FLAG})

# No public source names the table of unposted point adjustments or its columns, the history's EVENT_NO, BAT_ID, DOC_NO
# and REF, the table behind the posted tickets' points, or a REF in SY_GFC_ACTIV: they are the sandbox's own assumption
# (what is known: docs/facts/counterpoint.md 3 and 6).
card_activity = _table(
    "SY_GFC_ACTIV",
    {"GFC_NO": String(20), "SEQ_NO": Integer()},
    {
        "DAT": DateTime(),
        "DOC_ID": BigInteger(),
        "ACTIV_TYP": FLAG,  # I: issued, and put on again; R: redeemed, and given back.
        "AMT": MONEY,  # Below 0 takes money off the card.
        "REF": String(50),
    },
)
ADJUSTMENT: dict[str, Kind] = {
    "BAT_ID": String(10),
    **_texts(15, "CUST_NO", "DOC_NO"),
    "TRX_DAT": DateTime(),
    "NO_OF_PTS": Integer(),
    "REF": String(50),
}
point_adjustment = _numbered("AR_LOY_PT_ADJ", "SEQ_NO", ADJUSTMENT)
posted_adjustment = _numbered("AR_LOY_PT_ADJ_HIST", "EVENT_NO", ADJUSTMENT)
TICKET_POINTS: dict[str, Kind] = {name: Integer() for name in ("LOY_PTS_EARND_NET", "LOY_PTS_RDM", "LOY_PTS_BAL")}
ticket_points = _table("PS_DOC_HDR_LOY_PGM", {"DOC_ID": BigInteger()}, TICKET_POINTS)
posted_ticket_points = _table("PS_TKT_HIST_LOY_PGM", {"DOC_ID": BigInteger()}, TICKET_POINTS)
document_card = _table(
    "PS_DOC_GFC",
    {"DOC_ID": BigInteger(), "GFC_SEQ_NO": Integer()},
    {"GFC_COD": String(10), "GFC_NO": String(20), "AMT": MONEY},
)
package = _table("PS_DOC_PKG_TRK_NO", {"DOC_ID": BigInteger(), "SEQ_NO": Integer()}, {"PKG_TRK_NO": String(40)})
contact = _table(
    "PS_DOC_CONTACT",
    {"DOC_ID": BigInteger(), "CONTACT_ID": Integer()},
    _texts(50, "NAM", "ADRS_1", "ADRS_2", "CITY", "STATE", "ZIP_COD", "CNTRY", "PHONE_1", "EMAIL_ADRS_1")
    | _texts(25, "FST_NAM", "LST_NAM")
    | {"NAM_TYP": FLAG},
)
pay_code = _table("SY_PAY_COD", {"PAY_COD": String(10)}, {"DESCR": String(30), "PAY_TYP": FLAG})
workgroup = _table("SY_WRKGRP", {"WRKGRP_ID": String(10)}, {"NXT_CUST_NO": BigInteger(), "TMPLT_CUST_NO": String(15)})
store = _table("PS_STR", {"STR_ID": String(10)}, {"DESCR": String(30), "STK_LOC_ID": String(10)})
station = _table("PS_STA", {"STR_ID": String(10), "STA_ID": String(10)}, {"DESCR": String(30)})
location = _table("IM_LOC", {"LOC_ID": String(10)}, {"DESCR": String(30)})
database = _table("DB_CTL", {"DB_ID": Integer()}, {"DB_VER": String(20)})

# Ours. On SQL Server the same three stand under the same names (docs/facts/sql-server.md 5.2 and 5.5).
queue = Table(
    "USR_CF_QUEUE",
    metadata,
    Column("SEQ", BigInteger, Identity(), primary_key=True),
    Column("TBL", String(128), nullable=False),
    Column("K", String(200), nullable=False),
    Column("OP", String(1), nullable=False),
    Column("AT_UTC", DateTime, nullable=False),
)
cursor = Table(
    "USR_CF_CURSOR",
    metadata,
    Column("TBL", String(128), primary_key=True),
    Column("VER", BigInteger, nullable=False),
    Column("AT_UTC", DateTime, nullable=False),
)
claim = Table(
    "USR_CF_CLAIM",
    metadata,
    Column("CLAIM_KEY", String(200), primary_key=True),
    Column("STATE", String(10), nullable=False),
    Column("REMOTE", String(60)),
    Column("AT_UTC", DateTime, nullable=False),
)

TRACKED = (customer, item, inventory, document)

# What is searched by. A card's activity is found by the table's key, which begins with GFC_NO.
SEARCHED = {
    "AR_CUST": ('lower("EMAIL_ADRS_1")', '"COMMNT"'),
    "PS_DOC_HDR": ('"CUST_PO_NO"',),
    "AR_LOY_PT_ADJ": ('"DOC_NO"', '"REF"', '"CUST_NO"'),
    "AR_LOY_PT_ADJ_HIST": ('"DOC_NO"', '"REF"', '"CUST_NO"', '"ROW_TS"'),
    "PS_TKT_HIST": ('"CUST_NO"',),
    "PS_TKT_HIST_LOY_PGM": ('"ROW_TS"',),
    "SY_GFC": ('"ROW_TS"',),
    "SY_GFC_ACTIV": ('"REF"', '"ROW_TS"'),
}

# Posted tickets with points. Counterpoint's own view shows all posted tickets and more columns.
VIEW = """
CREATE VIEW "VI_PS_TKT_HIST" AS
SELECT header."DOC_ID", header."CUST_NO", points."LOY_PTS_EARND_NET", points."LOY_PTS_RDM", points."ROW_TS"
FROM "PS_TKT_HIST" AS header JOIN "PS_TKT_HIST_LOY_PGM" AS points ON points."DOC_ID" = header."DOC_ID"
"""

# The trigger in the till's transaction: one insert, and housekeeping columns alone are no change (counterpoint 1).
TRIGGERS = """
CREATE SEQUENCE IF NOT EXISTS row_ts;
CREATE OR REPLACE FUNCTION set_row_ts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW."ROW_TS" := nextval('row_ts');
  NEW."RS_UTC_DT" := timezone('utc', clock_timestamp());
  NEW."LST_MAINT_DT" := timezone('utc', clock_timestamp());
  RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  noise text[] := ARRAY['ROW_TS', 'RS_UTC_DT', 'RS_STAT', 'LST_MAINT_DT', 'LST_MAINT_USR_ID', 'LST_LCK_DT'];
  row jsonb := to_jsonb(COALESCE(NEW, OLD));
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - noise = to_jsonb(OLD) - noise THEN RETURN NULL; END IF;
  INSERT INTO "USR_CF_QUEUE" ("TBL", "K", "OP", "AT_UTC") VALUES (
    TG_TABLE_NAME,
    (SELECT jsonb_agg(row ->> key ORDER BY at)::text FROM unnest(TG_ARGV) WITH ORDINALITY AS keys (key, at)),
    left(TG_OP, 1), timezone('utc', clock_timestamp()));
  RETURN NULL;
END $$;
"""


def create(engine: Engine) -> None:
    """Create every table, its triggers and the rows a fresh company has."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(TRIGGERS)
        for table in metadata.tables.values():
            if "ROW_TS" in table.c:
                connection.exec_driver_sql(_trigger(table.name, "BEFORE INSERT OR UPDATE", "set_row_ts()"))
        for table in TRACKED:
            keys = ", ".join(f"'{column.name}'" for column in table.primary_key)
            connection.exec_driver_sql(_trigger(table.name, "AFTER INSERT OR UPDATE OR DELETE", f"note_change({keys})"))
        connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS doc_id START 100001")
        connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS ticket_no START 5001")
        connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS card_no START 900001")
        for name, columns in SEARCHED.items():
            for column in columns:
                connection.exec_driver_sql(f'CREATE INDEX ON "{name}" ({column})')
        connection.exec_driver_sql(VIEW)
        _fill(connection)


def _trigger(table: str, when: str, function: str) -> str:
    name = f"{table}_{function.partition('(')[0]}"
    return f'CREATE TRIGGER "{name}" {when} ON "{table}" FOR EACH ROW EXECUTE FUNCTION {function}'


def _fill(connection: Connection) -> None:
    """Enter what every company has: a workgroup with its template, stores, stations, locations, pay codes."""
    execute = connection.execute
    execute(database.insert(), [{"DB_ID": 1, "DB_VER": "8.5.7.2"}])
    template = {"CUST_NO": "TEMPLATE", "NAM": "Template", "CUST_TYP": "C", "CUST_NAM_TYP": "P", "TAX_COD": "TAX"}
    template |= {"CATEG_COD": "RETAIL", "LOY_PGM_COD": "REWARDS", "INCLUDE_IN_MARKETING_MAILOUTS": "Y"}
    execute(customer.insert(), [template])
    execute(customer.insert(), [{"CUST_NO": "CASH", "NAM": "Walk-in", "CUST_TYP": "C", "IS_ECOMM_CUST": "N"}])
    execute(workgroup.insert(), [{"WRKGRP_ID": "1", "NXT_CUST_NO": 200001, "TMPLT_CUST_NO": "TEMPLATE"}])
    execute(location.insert(), [{"LOC_ID": "MAIN", "DESCR": "Main street"}, {"LOC_ID": "WH2", "DESCR": "Warehouse"}])
    stores = [("MAIN", "The shop"), ("WEBN", "Web store north"), ("WEBS", "Web store south")]
    execute(store.insert(), [{"STR_ID": no, "DESCR": what, "STK_LOC_ID": "MAIN"} for no, what in stores])
    execute(station.insert(), [{"STR_ID": no, "STA_ID": "1", "DESCR": what} for no, what in stores])
    codes = [("CASH", "Cash", "B"), ("CARD", "Card", "E"), ("COD", "On delivery", "B"), ("GIFT", "Gift card", "G")]
    execute(pay_code.insert(), [{"PAY_COD": code, "DESCR": what, "PAY_TYP": kind} for code, what, kind in codes])
    cards = [("GC", "Gift card", "N"), ("STC", "Store credit", "Y")]
    execute(
        gift_card_code.insert(),
        [{"GFC_COD": code, "DESCR": what, "CREATE_AS_STC": is_stc} for code, what, is_stc in cards],
    )


def lose_letters(engine: Engine, code_page: str) -> None:
    """Have this Counterpoint keep texts in a code page, as one with varchar columns does: what that lacks becomes `?`.

    SQL Server does so without a word. What it does with a letter that it finds a likeness for is not verified.
    """

    def kept(value: Any) -> Any:
        return value.encode(code_page, "replace").decode(code_page) if isinstance(value, str) else value

    def lose(_connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, _many: bool) -> Any:
        if isinstance(given, dict):
            return statement, {name: kept(value) for name, value in given.items()}
        return statement, [{name: kept(value) for name, value in row.items()} for row in given]

    event.listen(engine, "before_cursor_execute", lose, retval=True)
