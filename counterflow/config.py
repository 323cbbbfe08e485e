"""The configuration: one file, shop.yaml, read once, checked whole, frozen.

Environment variables (COUNTERFLOW_COUNTERPOINT__REST__PASSWORD) and a secrets directory come before the file, so
that secrets need not stand in it. Unknown keys are refused by name.
"""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from counterflow.errors import Broken

SECRETS_VARIABLE = "COUNTERFLOW_SECRETS_DIR"


def _store_id(value: str) -> str:
    if value == "counterpoint" or not value.replace("-", "").isalnum() or value != value.lower():
        raise ValueError(f"{value!r} must be lower-case letters, digits and dashes, and not 'counterpoint'")
    return value


def _country(value: str) -> str:
    from schemas.places import HOME, is_country

    if value != HOME and not is_country(value):
        raise ValueError(f"{value!r} is no country of ISO 3166; write its two letters, as in US or GB")
    return value


Country = Annotated[str, AfterValidator(_country)]
StoreName = Annotated[str, AfterValidator(_store_id)]


class Part(BaseModel):
    """A part of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(Part):
    """The broker."""

    servers: str = "127.0.0.1:9092"
    prefix: str = ""  # Of every topic and group: several installations may share a broker.
    replication: int = 1


class StateDatabase(Part):
    """The state database. Without a url a PostgreSQL of our own is started in `folder`."""

    url: str | None = None
    folder: Path = Path(".counterflow/state")


class Process(Part):
    """The addresses of the processes' own pages (/metrics, /healthz, /readyz)."""

    host: str = "127.0.0.1"
    port_first: int = 9100  # Each process takes the next one; 0: any free port.


Name = Annotated[str, Field(pattern=r"^\w+$")]  # Of a table or a column.


class PointsRows(Part):
    """Where rows stand that moved points: posted adjustments, or tickets (counterpoint 3; none is verified)."""

    name: str = Field(pattern=r"^[a-z]+$")  # Rows of one name and key are one, in whichever table they stand.
    table: Name
    key: Name
    customer: Name = "CUST_NO"
    header: Name | None = None  # The table that has the customer, by the same key, where this one has him not.
    points: Name
    minus: Name | None = None  # A column to be taken off.
    tag: Name | None = None  # Where our tag survives posting; None: rows that are never ours.
    version: Name = "ROW_TS"


class UnpostedPoints(Part):
    """Where point adjustments wait to be posted."""

    table: Name
    customer: Name = "CUST_NO"
    points: Name
    tag: Name  # At least 13 characters.
    at: Name | None = None  # A column for the time.
    values: dict[Name, str | int] = {}  # What else a new row needs: a batch, a reason, a user.


class Points(Part):
    """Customers' points. The names are looked for with `counterflow points tables`."""

    unposted: UnpostedPoints
    rows: list[PointsRows] = Field(min_length=1)
    unexplained_max: int = Field(0, ge=0)  # A balance that nothing explains is asked about where it is larger.
    kept_by: Literal["oldest", "newest"] = "oldest"  # Which of a customer's accounts keeps his points.
    expired_by: Literal["counterpoint", "stores"]  # Who lets points expire; the other's expiry has to be off.
    earned_by: Literal["counterpoint", "stores"]  # Who grants points for a web order; never both.


class GiftCards(Part):
    """Gift cards in Counterpoint's database (counterpoint 6)."""

    tag: Name  # A column of SY_GFC_ACTIV for our tag: at least 13 characters, not verified.
    values: dict[Name, str | int] = {}  # What else a new row of SY_GFC_ACTIV needs: a store, a station.


class CounterpointSql(Part):
    """Counterpoint's database: read for changes and look-ups, never written but for our own USR_CF_ tables."""

    url: SecretStr  # mssql+pyodbc://..., or postgresql+psycopg://... for the sandbox.
    source: Literal["change_tracking", "trigger_queue"] = "change_tracking"
    poll_s: float = Field(0.25, gt=0)
    # Where packages' tracking numbers stand, by DOC_ID: the column is not verified, and looked for. null: nowhere.
    tracking_numbers: str | None = Field("PS_DOC_PKG_TRK_NO.PKG_TRK_NO", pattern=r"^\w+\.\w+$")


class CounterpointRest(Part):
    """The NCR Counterpoint REST server."""

    url: str
    company: str
    user: str
    password: SecretStr
    api_key: SecretStr
    ca_file: Path | None = None  # Its certificate is self-signed by default: pin it here.
    timeout_s: float = Field(15.0, gt=0)
    server_timeout_s: float = Field(
        60.0, gt=0
    )  # After it, a request that was never answered can no longer take effect.
    workgroup: str = "1"


class Counterpoint(Part):
    """The point of sale."""

    sql: CounterpointSql
    rest: CounterpointRest
    points: Points | None = None  # Without this part points are left alone.
    gift_cards: GiftCards | None = None  # Without this part gift cards are left alone.
    countries: Literal["code", "alpha_3", "name"] = "code"  # What its addresses call a country: US, USA, United States.
    letters: Literal["transliterate", "hold"] = "transliterate"  # Of those that a column's code page cannot hold.
    orders_commit_stock: bool = True  # Not verified on a live database (counterpoint 9.7); doctor measures it.


class Hooks(Part):
    """Where the store sends its web hooks. Without this part the store is only polled."""

    secret: SecretStr
    url: str  # As the store reaches us.
    listen: str = "127.0.0.1:8080"  # WordPress lets itself send to ports 80, 443 and 8080 only (W-106).


class TaxRule(Part):
    """Where a tax of the store goes in Counterpoint (order-E.7)."""

    authority: str
    rule: str


class Orders(Part):
    """How this store's orders become documents (order-E.3)."""

    when: Literal["placed", "paid", "completed"] = "paid"
    prefix: str = Field(
        min_length=1, max_length=4
    )  # Before the order's id: the marker, at most 12 characters (order-E.2).
    store: str
    station: str
    drawer: str = "1"
    user: str = "WEB"
    tax_code: str
    tax_authority: str
    tax_rule: str
    taxes: dict[str, TaxRule] = {}  # The store's name of a tax -> where it goes; others as above.
    misc_charge_no: Literal["1", "2", "3", "4", "5"] = "1"
    fee_charge_no: Literal["1", "2", "3", "4", "5"] | None = None  # Of fees; without it they go with shipping.
    pay_codes: dict[str, str]  # The store's payment method -> Counterpoint's pay code; "*" for any other.
    same_email: Literal["hold", "suggest"] = "hold"  # Several customers have the order's e-mail.
    nobodys_email: Literal["ask", "create"] = "ask"  # The order's e-mail is nobody's: ask, or make its own customer.
    currency: str = "USD"  # Of Counterpoint; an order in another one is held.
    gift_cards: list[str] = []  # SKUs of gift cards that the store sells: staff sell them on a ticket (order-E.11).
    complete_released: bool = True  # An order of which everything was released is completed, which mails the shopper.
    shipment_notes: Literal["staff", "shopper"] = "staff"  # Who reads a shipment's note; a shopper's may be mailed.
    shipped_there: Literal["ask", "ignore"] = "ask"  # An order completed in the store: ask staff to release it.
    till_returns: Literal["record", "ask"] = "record"  # A return at the till: record it in the store, or have staff.


class StockRules(Part):
    """What this store may sell (order-E.9)."""

    locations: list[str] = Field(min_length=1)
    buffer: int = Field(0, ge=0)  # Safety stock of each item, never offered.
    buffers: dict[str, int] = {}  # Other safety stocks, by item number.


ProfileField = Literal["email", "first_name", "last_name", "phone", "billing", "shipping", "marketing", "group"]


class Customers(Part):
    """How this store's accounts and Counterpoint's customers are kept the same (req-C1 to C11)."""

    fields: list[ProfileField] = Field(default_factory=lambda: list(get_args(ProfileField)))
    create: Literal["never", "after_order", "at_once"] = "never"  # Of those whom Counterpoint alone has.
    adopt: Literal["by_hand", "after_purchase", "at_once"] = "after_purchase"  # Of those whom the store alone has.
    matches: Literal["create", "hold"] = "create"  # Somebody who may be known already: list him, or wait.
    away_days: int | None = Field(1095, gt=0)  # Who was not seen for longer is not mailed; null: everybody is.
    other_names: Literal["ask", "link"] = "ask"  # At a first link of two whose names are clearly other people's.
    login_email: Literal["leave", "follow"] = "leave"  # Whether an account's login follows Counterpoint's e-mail.
    per_hour: int = Field(60, gt=0)  # The store mails whom it creates: so many an hour, and so many a day.
    per_day: int = Field(500, gt=0)


class Nobody(Part):
    """Who is nobody in particular: never matched, linked or written to (req-C5)."""

    walk_ins: list[str] = ["CASH"]  # Numbers that many people buy under.
    templates: list[str] = []  # Numbers that new customers are copied from.
    emails: list[str] = []  # Addresses that only fill a field, beside the usual ones; "@example.com" for a domain.
    own_emails: list[str] = []  # The shop's own addresses, or domains.


class Loyalty(Part):
    """How this store's points and Counterpoint's are kept the same (req-L1 to L5). Needs counterpoint.points."""

    rate: Fraction = Field(Fraction(1), gt=0)  # So many points of the store are one of Counterpoint's: 10, 1/10, 3/2.
    first: Literal["ask", "keep_pos", "keep_web", "add"] = "ask"  # Of somebody who has points on both sides at first.

    @field_validator("rate", mode="before")
    @classmethod
    def _as_it_is_written(cls, rate: object) -> object:
        return str(rate) if isinstance(rate, float) else rate  # 0.1 is a tenth, and not the nearest power of two.


class StoreCards(Part):
    """What this store does with gift cards (req-G1). Needs counterpoint.gift_cards; one store of all keeps them."""

    redeem: bool = True  # Counterpoint's cards go up, and are redeemed there.
    buy: bool = False  # Cards bought there are asked for in Counterpoint.

    @model_validator(mode="after")
    def _what_is_bought_can_be_redeemed(self) -> "StoreCards":
        if self.buy and not self.redeem:
            raise ValueError("buy needs redeem: a card that is bought there is on both sides")
        return self


class Store(Part):
    """One web store."""

    platform: Literal["woocommerce"]
    url: str
    key: SecretStr
    secret: SecretStr
    ca_file: Path | None = None
    hooks: Hooks | None = None
    poll_s: float = Field(5.0, gt=0)
    overlap_s: float = Field(15.0, ge=1)  # Changes are looked for this long before the last one seen (W-56).
    sweep_s: float = Field(
        900.0, gt=0
    )  # A full reading, customers included: the store cannot list their changes (W-34).
    history_days: int = Field(30, ge=0)  # How far back orders are read at the first start (mirrored, not imported).
    requests_per_s: float = Field(10.0, gt=0)
    timeout_s: float = Field(30.0, gt=0)
    orders: Orders
    stock: StockRules
    customers: Customers | None = None  # Without this part accounts and customers are left as they are.
    loyalty: Loyalty | None = None  # Without this part points are left as they are.
    gift_cards: StoreCards | None = None  # Without this part gift cards are left as they are.


class Config(BaseSettings):
    """The whole file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="COUNTERFLOW_",
        env_nested_delimiter="__",
        secrets_nested_delimiter="__",
        case_sensitive=False,
    )

    kafka: Kafka = Kafka()
    state: StateDatabase = StateDatabase()
    process: Process = Process()
    counterpoint: Counterpoint
    stores: dict[StoreName, Store] = Field(min_length=1)
    nobody: Nobody = Nobody()
    # The shop's own: what a phone without a prefix and an address without a country mean.
    home_country: Country = "US"
    log_format: Literal["console", "json"] = "console"
    lease_s: float = Field(60.0, gt=0)  # A command without an outcome for so long is sent again.
    merge_wait_s: float = Field(120.0, gt=0)  # How long the traces of a merge in Counterpoint may take to show.
    drift_s: float = Field(15.0, gt=0)  # A store's own change of stock is given so long to be explained by an order.

    @model_validator(mode="after")
    def _one_store_keeps_cards(self) -> "Config":
        keep = [name for name, store in self.stores.items() if store.gift_cards]
        if len(keep) > 1:
            raise ValueError(f"gift_cards: a card can be kept by one store only, not by {' and '.join(keep)}")
        return self

    @model_validator(mode="after")
    def _prefixes_differ(self) -> "Config":
        prefixes = [store.orders.prefix for store in self.stores.values()]
        for one in prefixes:
            if sum(other.startswith(one) for other in prefixes) > 1:
                raise ValueError(f"orders.prefix {one!r} must not begin another store's: markers would clash")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the environment first, then the secrets directory, then the file."""
        return env_settings, NestedSecretsSettingsSource(file_secret_settings), init_settings


def load(path: Path, *, secrets_dir: Path | None = None) -> Config:
    """Read and check the file.

    Raises:
        Broken: The file is missing, not YAML, or wrong; the message names every wrong key.
    """
    if secrets_dir and not secrets_dir.is_dir():
        raise Broken(f"{secrets_dir}: no such folder; {SECRETS_VARIABLE} must name the one with the secrets")
    options: dict[str, Any] = {"_secrets_dir": str(secrets_dir)} if secrets_dir else {}
    try:
        return Config(**_values(path), **options)
    except ValidationError as error:
        raise Broken(f"{path}: " + "; ".join(_problems(error))) from None
    except SettingsError as error:  # An environment variable or secret for a whole part that is not JSON.
        raise Broken(f"{path}: {error}; name a single value, as in COUNTERFLOW_COUNTERPOINT__REST__USER") from None


def _values(path: Path) -> dict[str, Any]:
    """Read the file's keys and values."""
    if not path.is_file():
        raise Broken(f"{path}: no such file; start from shop.example.yaml")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Broken(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        # The error's own text may quote a piece of the file, and so a secret.
        at = error.problem_mark
        where = f" at line {at.line + 1}, column {at.column + 1}" if at else ""
        raise Broken(f"{path}: not YAML{where}; a text that has one of : # * ! {{ [ in it needs quotes") from None
    except yaml.YAMLError as error:
        raise Broken(f"{path}: not YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise Broken(f"{path}: must hold keys and values, as shop.example.yaml does")
    return values


MOVED = {"customers.walk_ins": "write it under nobody.walk_ins, at the top of the file"}  # What a key was before.


def _problems(error: ValidationError) -> list[str]:
    """Say each problem in one line, without the values: one of them may be a secret."""
    found = []
    for one in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in one["loc"]) or "file"
        what = "unknown key, is it misspelt?" if one["type"] == "extra_forbidden" else one["msg"]
        what = next((mend for key, mend in MOVED.items() if where.endswith(f".{key}")), what)
        found.append(f"{where}: {what}")
    return found
