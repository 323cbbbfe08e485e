"""The processes: produce SYSTEM, process, consume SYSTEM. Each is put together here from the configuration."""

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from counterflow import kafka, log, pages, topic_checks
from counterflow.clock import Clock, SystemClock
from counterflow.config import Config, Store
from counterflow.config import Customers as CustomerSettings
from counterflow.errors import Transient, Trouble
from counterflow.metrics import PAUSED
from counterflow.retry import ROW
from counterflow.systems.ports import Source, Target
from schemas.names import COUNTERPOINT
from schemas.topics import CURSORS, HINTS, REQUESTS, all_topics

if TYPE_CHECKING:  # A process loads its own part only: a small shop has little memory.
    from processors.shop import Customers, Loyalty, Shop
    from producers.store_poller import HookWatch

HOOK_WATCH_S = 30.0
T = TypeVar("T")


class Stop:
    """A stop that a signal asks for."""

    def __init__(self) -> None:
        self.event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.event.set())


def _until(work: Callable[[], T], what: str, clock: Clock, stop: threading.Event) -> T:
    """Try until it works: at a start the broker or a database may not be up yet. A stop ends the process."""
    attempt = 0
    while True:
        try:
            return work()
        except Transient as error:
            attempt += 1
            log.get("start").warning(what, why=str(error))
            clock.sleep(min(2.0, ROW.delay_s(attempt) or 2.0))
            if stop.is_set():
                raise SystemExit(0) from error


def _prepare_topics(config: Config, clock: Clock, stop: threading.Event) -> None:
    def work() -> None:
        client = kafka.admin(config.kafka.servers)
        try:
            topics = all_topics(config.kafka.prefix, tuple(config.stores))
            kafka.create_topics(client, topics, replication=config.kafka.replication)
            topic_checks.check(client, config.kafka.servers, topics)
        finally:
            client.close()

    _until(work, "waiting for Kafka", clock, stop)


def group(config: Config, name: str) -> str:
    """Give the full name of a consumer group."""
    return f"{config.kafka.prefix}counterflow.{name}"


def produce(config: Config, system: str, port: int) -> None:
    """Publish what changes in one system, until told to stop."""
    from producers.asks import KafkaAsks
    from producers.runner import Runner

    stop = Stop().event
    clock = SystemClock(stop)
    servers = config.kafka.servers
    publisher = kafka.Publisher(servers, client_id=f"produce-{system}")
    pages.serve(config.process.host, port, is_ready=lambda: publisher.works)
    _prepare_topics(config, clock, stop)
    source = (
        _counterpoint_source(config, clock, stop)
        if system == COUNTERPOINT
        else _store_source(config, system, clock, stop)
    )
    topic = CURSORS.named(config.kafka.prefix)
    stored = _until(lambda: kafka.read_whole(servers, topic), "waiting for the cursors", clock, stop)
    requests, name = REQUESTS.named(config.kafka.prefix), group(config, f"again.{system}")
    reader = _until(lambda: kafka.consumer(servers, [requests], group=name), "waiting for Kafka", clock, stop)
    runner = Runner(source, publisher, prefix=config.kafka.prefix, clock=clock, stop=stop)
    runner.run(stored, KafkaAsks(reader, system, clock))


def _counterpoint_source(config: Config, clock: Clock, stop: threading.Event) -> Source:
    from counterflow.systems.counterpoint import points, sql, tracking
    from producers.counterpoint_cards import CardsSource
    from producers.counterpoint_points import PointsSource
    from producers.counterpoint_queue import QueueSource
    from producers.counterpoint_tracking import TrackingSource

    settings = config.counterpoint.sql
    engine = sql.open_engine(settings.url.get_secret_value())
    _until(lambda: sql.check_columns(engine), "waiting for Counterpoint's database", clock, stop)
    source: Source = (
        QueueSource(engine, poll_s=settings.poll_s)
        if settings.source == "trigger_queue"
        else TrackingSource(
            lambda: tracking.connect(engine), lambda versions: tracking.note(engine, versions), poll_s=settings.poll_s
        )
    )
    found, kept = config.counterpoint.points, config.counterpoint.gift_cards
    if found is not None:
        check = found
        _until(lambda: points.check(engine, check), "waiting for Counterpoint's database", clock, stop)
        source = PointsSource(source, engine, found, clock=clock)
    marker = next((store.orders.prefix for store in config.stores.values() if store.gift_cards), None)
    if kept is not None and marker is not None:
        source = CardsSource(source, engine, kept, marker=marker, clock=clock)
    return source


def _store_source(config: Config, system: str, clock: Clock, stop: threading.Event) -> Source:
    from counterflow.systems.woocommerce.client import WooClient
    from producers.store_poller import HookWatch, StorePoller
    from producers.webhooks import KafkaHints, NoHints, Receiver, serve

    settings = _kept_here(config, system)
    client = WooClient(system, settings, clock)
    if settings.hooks is None:
        return StorePoller(system, client, NoHints(clock), settings, clock)
    servers, prefix = config.kafka.servers, config.kafka.prefix
    publisher = kafka.Publisher(servers, client_id=f"hooks-{system}")
    secret = settings.hooks.secret.get_secret_value()
    serve(Receiver(system, secret, publisher, prefix=prefix, clock=clock).app, settings.hooks.listen)
    topic = HINTS.named(prefix, system=system)
    name = group(config, f"hints.{system}")
    reader = _until(lambda: kafka.consumer(servers, [topic], group=name), "waiting for Kafka", clock, stop)
    poller = StorePoller(system, client, KafkaHints(reader), settings, clock)
    reader.on_gap = poller.look_everywhere
    watch = HookWatch(client, url=settings.hooks.url, secret=secret)
    threading.Thread(target=_watch_hooks, args=(watch, poller.look_again, clock, stop), daemon=True).start()
    return poller


def _kept_here(config: Config, system: str) -> Store:
    """Give a store's settings less what stays off at Counterpoint: what is not taken must not count as read."""
    settings = config.stores[system]
    off = [] if config.counterpoint.points else ["loyalty"]
    off += [] if config.counterpoint.gift_cards else ["gift_cards"]
    return settings.model_copy(update=dict.fromkeys(off))


def _watch_hooks(watch: "HookWatch", look_again: Callable[[], None], clock: Clock, stop: threading.Event) -> None:
    """Keep the store's web hooks alive; hooks that were off have lost something, so the store is polled at once."""
    while not stop.is_set():
        wait_s = HOOK_WATCH_S
        try:
            if watch.mend():
                look_again()
        except Trouble as error:  # The store is polled all the same.
            log.get("hooks").warning("web hooks not checked", why=str(error))
            wait_s = 2.0
        clock.sleep(wait_s)


def consume(config: Config, system: str, port: int) -> None:
    """Carry out the commands for one system, until told to stop."""
    from consumers.runner import Runner, topics

    stop = Stop().event
    clock = SystemClock(stop)
    servers, prefix = config.kafka.servers, config.kafka.prefix
    publisher = kafka.Publisher(servers, client_id=f"consume-{system}")
    pages.serve(config.process.host, port, is_ready=lambda: publisher.works)
    PAUSED.labels(system).set(0)
    _prepare_topics(config, clock, stop)
    target = (
        _counterpoint_target(config, clock)
        if system == COUNTERPOINT
        else _store_target(system, config.stores[system], clock, home=config.home_country)
    )
    name = group(config, f"consume.{system}")
    consumer = _until(
        lambda: kafka.consumer(servers, topics(prefix, system), group=name, most=100),
        "waiting for Kafka",
        clock,
        stop,
    )
    Runner(target, consumer, publisher, prefix=prefix, clock=clock, stop=stop).run()
    consumer.close()


def _counterpoint_target(config: Config, clock: Clock) -> Target:
    from consumers.counterpoint import CounterpointTarget
    from counterflow.systems.counterpoint import sql
    from counterflow.systems.counterpoint.client import CounterpointClient
    from counterflow.systems.counterpoint.requests import Manner

    rest = config.counterpoint.rest
    return CounterpointTarget(
        CounterpointClient(rest, clock),
        sql.open_engine(config.counterpoint.sql.url.get_secret_value()),
        clock=clock,
        manner=Manner(
            workgroup=rest.workgroup,
            home=config.home_country,
            countries=config.counterpoint.countries,
            letters=config.counterpoint.letters,
            nobody=frozenset([*config.nobody.walk_ins, *config.nobody.templates]),
        ),
        server_timeout_s=rest.server_timeout_s,
        tracking=config.counterpoint.sql.tracking_numbers or "",
        points=config.counterpoint.points,
        gift_cards=config.counterpoint.gift_cards,
    )


def _store_target(system: str, settings: Store, clock: Clock, *, home: str) -> Target:
    from consumers.stores import StoreTarget
    from counterflow.systems.woocommerce.client import WooClient
    from counterflow.systems.woocommerce.companion import Companion
    from counterflow.systems.woocommerce.loyalty import CompanionCards, CompanionLoyalty

    client = WooClient(system, settings, clock)
    companion = Companion(client)
    loyalty = CompanionLoyalty(companion) if settings.loyalty else None
    cards = CompanionCards(companion) if settings.gift_cards and settings.gift_cards.redeem else None
    return StoreTarget(system, client, clock=clock, loyalty=loyalty, cards=cards, home=home)


def process(config: Config, port: int, *, worker: int = 1) -> None:
    """Decide what follows from changes, until told to stop. Does not return."""
    from counterflow.state.database import migrate, open_database
    from counterflow.systems.registry import readers
    from processors.batch import Batches
    from processors.engine import Engine, prepare

    stop = threading.Event()
    clock = SystemClock(stop)
    _prepare_topics(config, clock, stop)
    engine = open_database(state_url(config))
    _until(lambda: migrate(engine), "waiting for the state database", clock, stop)
    instance, servers = f"{config.kafka.prefix}process-{worker}", config.kafka.servers
    settings = shop(config)
    for store, policy in settings.customers.items():
        left = sorted(set(policy.fields) - settings.abilities[COUNTERPOINT].fields)
        log.get("process").info("Counterpoint keeps no such fields, they are left alone", store=store, fields=left)
    batches = Batches(
        engine,
        kafka.Publisher(servers, client_id=instance),
        settings,
        readers=readers({name: store.platform for name, store in config.stores.items()}),
        prefix=config.kafka.prefix,
        origin=instance,
        clock=clock,
    )
    name = group(config, "process")
    _until(
        lambda: prepare(batches, engine=engine, servers=servers, group=name, instance=instance), "waiting", clock, stop
    )
    folder = config.state.folder.resolve().parent / "faust"
    worker_engine = Engine(batches, servers=servers, group=name, instance=instance, folder=folder, clock=clock)
    pages.serve(config.process.host, port, is_ready=lambda: worker_engine.is_ready)
    worker_engine.run()


def state_url(config: Config) -> str:
    """Give the state database's address; without one, the server in our own folder is started, or found running."""
    if config.state.url:
        return config.state.url
    from counterflow.state.server import embedded

    return embedded(config.state.folder).url("counterflow")


def shop(config: Config) -> "Shop":
    """Give the settings that the flows need."""
    from counterflow.systems.registry import KEPT
    from processors.rules.documents import Site
    from processors.rules.nobody import Nobody
    from processors.rules.profiles import Abilities
    from processors.shop import Shelves, Shop

    sites = {
        name: Site(
            store_id=name,
            when=store.orders.when,
            prefix=store.orders.prefix,
            store=store.orders.store,
            station=store.orders.station,
            drawer=store.orders.drawer,
            user=store.orders.user,
            tax_code=store.orders.tax_code,
            tax_authority=store.orders.tax_authority,
            tax_rule=store.orders.tax_rule,
            misc_charge_no=store.orders.misc_charge_no,
            fee_charge_no=store.orders.fee_charge_no or "",
            taxes={tax: (goes.authority, goes.rule) for tax, goes in store.orders.taxes.items()},
            pay_codes=store.orders.pay_codes,
            currency=store.orders.currency,
            takes_suggestion=store.orders.same_email == "suggest",
            makes_nobodys=store.orders.nobodys_email == "create",
            gift_cards=frozenset(store.orders.gift_cards),
            completes=store.orders.complete_released,
            tells_shopper=store.orders.shipment_notes == "shopper",
            asks_to_release=store.orders.shipped_there == "ask" and store.orders.when != "completed",
            records_returns=store.orders.till_returns == "record",
        )
        for name, store in config.stores.items()
    }
    shelves = {
        name: Shelves(locations=tuple(store.stock.locations), buffer=store.stock.buffer, buffers=store.stock.buffers)
        for name, store in config.stores.items()
    }
    platforms = {COUNTERPOINT: "counterpoint"} | {name: store.platform for name, store in config.stores.items()}
    return Shop(
        sites=sites,
        shelves=shelves,
        orders_commit_stock=config.counterpoint.orders_commit_stock,
        lease=timedelta(seconds=config.lease_s),
        drift=timedelta(seconds=config.drift_s),
        customers={name: _customers(store.customers) for name, store in config.stores.items() if store.customers},
        abilities={
            name: Abilities(fields=KEPT[platform][0], lengths=KEPT[platform][1]) for name, platform in platforms.items()
        },
        merge_wait=timedelta(seconds=config.merge_wait_s),
        nobody=Nobody(
            numbers=frozenset([*config.nobody.walk_ins, *config.nobody.templates]),
            emails=frozenset(one.lower() for one in [*config.nobody.emails, *config.nobody.own_emails]),
        ),
        home=config.home_country,
        loyalty=_loyalty(config),
        **_cards(config),
        unexplained_max=config.counterpoint.points.unexplained_max if config.counterpoint.points else 0,
        kept_by=config.counterpoint.points.kept_by if config.counterpoint.points else "oldest",
    )


def _cards(config: Config) -> dict[str, Any]:
    """Give which store keeps the gift cards: none before the point of sale's part is there."""
    found = [(name, store.gift_cards) for name, store in config.stores.items() if store.gift_cards]
    if config.counterpoint.gift_cards is None or not found:
        return {}
    (name, policy), *_ = found
    return {"cards_at": name, "cards_redeem": policy.redeem, "cards_buy": policy.buy}


def _loyalty(config: Config) -> "dict[str, Loyalty]":
    """Give the stores whose points are kept the same: none before the point of sale's tables are named."""
    from processors.shop import Loyalty

    if config.counterpoint.points is None:
        return {}
    return {
        name: Loyalty(first=store.loyalty.first, rate=store.loyalty.rate)
        for name, store in config.stores.items()
        if store.loyalty
    }


def _customers(settings: CustomerSettings) -> "Customers":
    from processors.rules.qualification import Terms
    from processors.shop import Customers

    away = None if settings.away_days is None else timedelta(days=settings.away_days)
    return Customers(
        create=settings.create,
        adopt=settings.adopt,
        matches=settings.matches,
        fields=tuple(settings.fields),
        terms=Terms(away=away),
        other_names=settings.other_names,
        login_email=settings.login_email,
        per_hour=settings.per_hour,
        per_day=settings.per_day,
    )


def roles(config: Config) -> list[list[str]]:
    """Give the processes of an installation, each as the words of its command."""
    systems = [COUNTERPOINT, *config.stores]
    return [["process"], *(["produce", one] for one in systems), *(["consume", one] for one in systems)]
