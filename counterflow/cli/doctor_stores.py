"""The doctor's looks at each web store: address, key, clock and web hooks."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urlsplit

from counterflow.cli.looks import Check, Visit, Wrong, offset
from counterflow.clock import Clock
from counterflow.config import Config, Hooks
from counterflow.errors import Trouble
from counterflow.systems.woocommerce.client import WooClient

SAFE_PORTS = {80, 443, 8080}  # WordPress's own rule (W-106).
MEND_STORE = "check url, that the shop runs, and that this machine may reach it"
HookCounts = Callable[[str], int]  # How many web hooks of a store have ever come.


def look_at_stores(visit: Visit, config: Config, clock: Clock, came: HookCounts) -> None:
    """Look at every web store of the file."""
    for name, store in config.stores.items():
        visit.look(f"address of {name}", partial(_address, store.url))
        if not visit.checks[-1].ok:
            _skip(visit, name, after=visit.checks[-1])
            continue
        client = WooClient(name, store, clock)
        answers = visit.look(f"store {name}", partial(_version, client, name), mend=MEND_STORE)
        visit.look(f"key of {name}", partial(_may_write, client, name), after=answers)
        visit.look(f"clock of {name}", partial(_clock, client, clock), after=answers)
        visit.look(f"web hooks of {name}", partial(_hooks, client, store.hooks, partial(came, name)), after=answers)


def _skip(visit: Visit, name: str, *, after: Check) -> None:
    visit.look(f"store {name}", lambda: "", after=after)


def _address(url: str) -> str:
    if not url.startswith("https://"):
        raise Wrong("url must begin with https://: WooCommerce takes its keys nowhere else (W-2)")
    return "https"


def _version(client: WooClient, name: str) -> str:
    try:
        return f"WooCommerce {client.version()}"
    except Trouble as error:
        if "certificate" in str(error):
            raise Wrong(f"{error}, stores.{name}.ca_file; or let the shop have a public certificate") from error
        raise


def _may_write(client: WooClient, name: str) -> str:
    """Send a batch of nothing: a key that may only read is refused, and nothing is written."""
    try:
        client.batch("products", [])
    except Trouble as error:
        raise Wrong(f"{error}; stores.{name}.key needs the right read and write") from error
    return "may read and write"


def _clock(client: WooClient, clock: Clock) -> str:
    header = client.date()
    if not header:
        raise Wrong("the store's answers carry no Date header; compare the clocks by hand")
    there: datetime = parsedate_to_datetime(header)
    return offset(there if there.tzinfo else there.replace(tzinfo=UTC), clock)


def _hooks(client: WooClient, hooks: Hooks | None, came: Callable[[], int]) -> str:
    if hooks is None:
        return "not used: the store is only polled"
    ours: Mapping[str, str] = {
        row["topic"]: row["status"] for row in client.page("webhooks") if row["delivery_url"] == hooks.url
    }
    off = sorted(topic for topic, status in ours.items() if status != "active")
    if off:
        raise Wrong(f"the store has switched off {', '.join(off)} (W-103); `counterflow up` switches them on again")
    count = came()
    reachable = _reachable(hooks.url)
    if reachable and not count:
        raise Wrong(reachable)
    arrived = f"; {count} have come" if count else "; none has come yet"
    return f"{len(ours)} registered and active{arrived}" if ours else "none registered yet; `counterflow up` does it"


def _reachable(url: str) -> str:
    """Say why a store would never send to this address; "" where it would."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if parts.hostname == "localhost":
        return "hooks.url names localhost, where WordPress never sends (W-106); use a name that the shop can resolve"
    if port not in SAFE_PORTS:
        return (
            f"hooks.url has port {port}, where WordPress never sends (W-106): use 80, 443 or 8080, "
            "or the filter http_allowed_safe_ports in the shop (W-107)"
        )
    return ""
