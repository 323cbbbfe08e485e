"""The doctor names what is wrong with a set-up and how to mend it, one line each."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from counterflow.cli.doctor import look_at_broker, look_at_counterpoint, look_at_stores
from counterflow.clock import SystemClock
from counterflow.config import Config
from counterflow.state.server import EmbeddedServer
from sandbox.server import Sandbox, Settings


@pytest.fixture(scope="module")
def box(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    settings = Settings(folder=tmp_path_factory.mktemp("box"), database_url=postgres.url("doctor"))
    running = Sandbox(settings)
    running.start()
    yield running
    running.stop()


def config_of(box: Sandbox, **rest: Any) -> Config:
    found = box.addresses()
    own = found["counterpoint"]
    orders = {"prefix": "N-", "store": "WEBN", "station": "1", "tax_code": "T", "tax_authority": "T", "tax_rule": "T"}
    store = {
        "platform": "woocommerce",
        "ca_file": found["ca_file"],
        "orders": orders | {"pay_codes": {"*": "CARD"}},
        "stock": {"locations": ["MAIN"]},
        **found["stores"]["north"],
    }
    logins = {name: own[name] for name in ("company", "user", "password", "api_key")}
    parts: dict[str, Any] = {
        "kafka": {"servers": "127.0.0.1:1"},
        "counterpoint": {
            "sql": {"url": own["sql_url"], "source": "trigger_queue"},
            "rest": logins | {"url": own["rest_url"], "ca_file": found["ca_file"]} | rest.pop("rest", {}),
        },
        "stores": {"north": store | rest.pop("store", {})},
    }
    return Config(**parts)


def wrong(config: Config) -> dict[str, str]:
    looks = [*look_at_counterpoint(config, SystemClock()), *look_at_stores(config, SystemClock())]
    return {one.what: one.says for one in looks if not one.ok}


def test_a_good_set_up_is_well(box: Sandbox) -> None:
    assert wrong(config_of(box)) == {}


def test_a_broker_that_is_away_is_named(box: Sandbox) -> None:
    says = [one.says for one in look_at_broker(config_of(box))]
    assert "does not answer" in says[0]


def test_a_wrong_password_is_named(box: Sandbox) -> None:
    says = wrong(config_of(box, rest={"password": "wrong"}))["Counterpoint's REST server"]
    assert "check company, user and password" in says


def test_a_wrong_key_is_named(box: Sandbox) -> None:
    assert "check api_key" in wrong(config_of(box, rest={"api_key": "wrong"}))["Counterpoint's REST server"]


def test_a_wrong_secret_of_a_store_is_named(box: Sandbox) -> None:
    assert "check key, secret" in wrong(config_of(box, store={"secret": "wrong"}))["store north"]


def test_an_unknown_workgroup_is_named(box: Sandbox) -> None:
    assert "workgroup 9" in wrong(config_of(box, rest={"workgroup": "9"}))["workgroup 9"]


def test_an_untrusted_certificate_is_named(box: Sandbox) -> None:
    assert "ca_file" in wrong(config_of(box, store={"ca_file": None}))["store north"]


def test_a_missing_column_is_named(box: Sandbox, postgres: EmbeddedServer) -> None:
    engine = create_engine(postgres.url("doctor"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text('ALTER TABLE "AR_CUST" RENAME COLUMN "CITY" TO "TOWN"'))
        says = wrong(config_of(box))["Counterpoint's database"]
        connection.execute(text('ALTER TABLE "AR_CUST" RENAME COLUMN "TOWN" TO "CITY"'))
    engine.dispose()
    assert "AR_CUST.CITY" in says
