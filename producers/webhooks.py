"""The web hook receiver: a hook is a hint where to look, durable in Kafka before it is answered.

It is never data: it may be lost, late, doubled, or forged (docs/facts/reliability.md 1). Answered at once (W-105).
"""

import base64
import hashlib
import hmac
import threading
from json import loads

import msgspec
import uvicorn
from kafka.errors import KafkaError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from counterflow import log
from counterflow.clock import Clock
from counterflow.errors import Transient
from counterflow.kafka import Message, Messages, Publisher, TooLarge
from counterflow.metrics import HOOKS, HOOKS_REJECTED
from producers.store_poller import Hint
from schemas.names import POINTS
from schemas.topics import HINTS

BODY_MAX = 1_048_576  # A large order has some 20 kB.
ENTITIES = {
    "order": "orders",
    "product": "products",
    "customer": "customers",
    "counterflow_points": POINTS,
    "counterflow_gift_cards": POINTS,  # Both lists of the companion are read together.
    "counterflow_customers": "customers",  # Its hook names the account.
}


class Receiver:
    """Takes one store's web hooks at POST /hooks/<store>."""

    def __init__(self, store_id: str, secret: str, publisher: Publisher, *, prefix: str, clock: Clock) -> None:
        self._store, self._secret, self._publisher = store_id, secret.encode(), publisher
        self._topic, self._clock = HINTS.named(prefix, system=store_id), clock
        self._log = log.get("webhooks").bind(source=store_id)
        self.app = Starlette(routes=[Route(f"/hooks/{store_id}", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        body = await _limited(request)
        if body is None:
            return self._refuse(413, "too large")
        signature = request.headers.get("x-wc-webhook-signature")
        if signature is None:
            if body.startswith(b"webhook_id="):
                return PlainTextResponse("pong")  # The ping at a hook's creation is not signed (W-91).
            return self._refuse(401, "not signed")
        digest = base64.b64encode(hmac.new(self._secret, body, hashlib.sha256).digest())
        if not hmac.compare_digest(digest, signature.encode()):
            return self._refuse(401, "wrong signature")
        hint = self._read(request.headers.get("x-wc-webhook-topic", ""), body)
        if isinstance(hint, Response):
            return hint
        message = Message(topic=self._topic, key=hint.id.encode(), value=msgspec.json.encode(hint))
        try:
            await run_in_threadpool(self._publisher.publish, [message])
        except Transient as error:
            self._log.warning("hint not taken", why=str(error))
            return PlainTextResponse("not now", 503)
        except TooLarge:  # Its headers are beyond all measure: polling finds what it named.
            return self._refuse(413, "too large")
        HOOKS.labels(self._store, hint.entity).inc()
        return PlainTextResponse("taken")

    def _read(self, topic: str, body: bytes) -> Hint | Response:
        """Read the record's id, and nothing else, out of a signed hook."""
        resource, _, event = topic.partition(".")
        if resource not in ENTITIES:
            return PlainTextResponse("not of interest")
        try:
            number = loads(body)["id"]
        except (KeyError, TypeError):
            return self._refuse(400, "the body has no id")
        except (ValueError, RecursionError):  # No JSON, no UTF-8, a number of thousands of digits, a bottomless list.
            return self._refuse(400, "the body is not JSON")
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            return self._refuse(400, "the id is not a number")
        return Hint(entity=ENTITIES[resource], id=str(number), event=event, received_at=self._clock.now())

    def _refuse(self, status: int, reason: str) -> Response:
        HOOKS_REJECTED.labels(self._store, reason).inc()
        self._log.warning("web hook refused", status=status, reason=reason)
        return PlainTextResponse(f"refused: {reason}", status)


async def _limited(request: Request) -> bytes | None:
    """Read the body as it came, byte for byte; None where it is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            return None
    return body


def serve(app: Starlette, listen: str) -> uvicorn.Server:
    """Serve in a thread; the caller stops it by `should_exit`."""
    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(app, host=host, port=int(port), log_level="warning", lifespan="off", http="h11")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, name="webhooks", daemon=True).start()
    return server


class KafkaHints:
    """Hints as the receiver wrote them, wherever it runs. See store_poller.Hints."""

    def __init__(self, consumer: Messages) -> None:
        self._consumer = consumer
        # Taken and not yet published: given again until they are. A doubled hint is one.
        self._open: dict[tuple[str, str], Hint] = {}
        self._taken = False

    def take(self, wait_s: float) -> list[Hint]:
        """Give what has come; waits at most so long."""
        batches = self._consumer.poll(timeout_ms=int(wait_s * 1000))
        self._taken = self._taken or bool(batches)
        for messages in batches.values():
            for message in messages:
                try:
                    hint = msgspec.json.decode(message.value, type=Hint)
                except (msgspec.MsgspecError, TypeError, ValueError):
                    continue  # Polling finds what an unreadable hint named.
                if hint.id.isdecimal() and hint.id.isascii():
                    self._open[hint.entity, hint.id] = hint
        return list(self._open.values())

    def confirm(self) -> None:
        """Commit what was taken. Not committed, it only comes again."""
        self._open = {}
        if not self._taken:
            return
        try:
            self._consumer.commit()
            self._taken = False
        except KafkaError as error:
            log.get("webhooks").warning("hints not committed", why=repr(error))


class NoHints:
    """For a store without web hooks: there is only the waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def take(self, wait_s: float) -> list[Hint]:
        """Wait."""
        self._clock.sleep(wait_s)
        return []

    def confirm(self) -> None:
        """Forget nothing."""
