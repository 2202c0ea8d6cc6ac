"""AMQP 0-9-1 over mutual TLS as one principal: publish with confirms, read one's queue."""

import json
import ssl
import time
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pika
from joserfc.jwk import ECKey
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError

EXCHANGE_IN = "nakatsugi.in"
CONTENT_TYPE = "application/jose"
PERSISTENT = 2


@dataclass(frozen=True)
class Peer:
    """A principal with its keys and its way to the broker, as its `peer.toml` says."""

    id: str
    env: str
    relay: str
    queue: str
    signing: ECKey
    decryption: ECKey
    relay_verification: ECKey
    relay_encryption: ECKey
    uri: str
    user: str
    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def load(cls, folder: Path) -> "Peer":
        """Read `folder`/peer.toml and the keys it names; relative paths count from that folder."""
        said = tomllib.loads((folder / "peer.toml").read_text("utf-8"))
        broker = said["broker"]

        def jwk(member: str) -> ECKey:
            return ECKey.import_key(json.loads((folder / said[member]).read_bytes()))

        return cls(
            id=said["id"],
            env=said["env"],
            relay=said["relay"],
            queue=said["queue"],
            signing=jwk("signing_key"),
            decryption=jwk("decryption_key"),
            relay_verification=jwk("relay_verification_key"),
            relay_encryption=jwk("relay_encryption_key"),
            uri=broker["uri"],
            user=broker["user"],
            ca=folder / broker["ca"],
            certificate=folder / broker["certificate"],
            key=folder / broker["key"],
        )


@dataclass(frozen=True)
class Delivery:
    """One message as it came from the queue, not yet acknowledged."""

    body: bytes
    exchange: str
    routing_key: str
    properties: pika.BasicProperties
    tag: int


class Connection:
    """One principal's connection. Use it in a `with` statement.

    The queue belongs to this connection while it is open: what answers none of its own messages is
    left over from somebody else, acknowledged unread and counted in `strays`.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.strays = 0
        self._awaited: dict[str, list[Delivery]] = defaultdict(list)

    def __enter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self.peer.ca))
        context.load_cert_chain(self.peer.certificate, self.peer.key)
        parameters = pika.URLParameters(self.peer.uri)
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
        # SASL EXTERNAL: the broker takes the user from the certificate.
        parameters.credentials = pika.credentials.ExternalCredentials()
        try:
            self._connection = pika.BlockingConnection(parameters)
        except AMQPConnectionError as error:
            raise ConnectionError(
                f"{self.peer.uri}: no connection as {self.peer.user}: {error!r}; see that the site still runs"
            ) from error
        self._reader = self._connection.channel()
        self._reader.basic_qos(prefetch_count=64)
        self._reader.basic_consume(self.peer.queue, self._take)
        self._writer = self.channel()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._connection.is_open:
            self._connection.close()

    def channel(self) -> BlockingChannel:
        """Open a new channel with publisher confirms. What the broker refuses closes a channel, not the connection."""
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def publish(
        self,
        envelope: bytes,
        *,
        tenant: str,
        message_type: str,
        jti: str,
        user: str | None = None,
        channel: BlockingChannel | None = None,
    ) -> None:
        """Publish persistently and mandatorily, and return when the broker has confirmed.

        Raises pika's UnroutableError (no queue), NackError (not taken) or ChannelClosedByBroker (refused).
        """
        self._awaited.setdefault(jti, [])
        if self._writer.is_closed:
            self._writer = self.channel()
        (channel or self._writer).basic_publish(
            EXCHANGE_IN,
            f"{tenant}.{message_type}",
            envelope,
            pika.BasicProperties(
                message_id=jti,
                type=message_type,
                user_id=user or self.peer.user,
                content_type=CONTENT_TYPE,
                delivery_mode=PERSISTENT,
            ),
            mandatory=True,
        )

    def receive(self, jti: str, seconds: float) -> Delivery | None:
        """Wait for the next reply to the message `jti`; None if none came in time. Acknowledge it when it is judged."""
        until = time.monotonic() + seconds
        while not self._awaited[jti] and (left := until - time.monotonic()) > 0:
            self._connection.process_data_events(time_limit=min(left, 0.5))
        return self._awaited[jti].pop(0) if self._awaited[jti] else None

    def acknowledge(self, delivery: Delivery) -> None:
        """Take the message off the queue for good."""
        self._reader.basic_ack(delivery.tag)

    def _take(self, channel: BlockingChannel, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        if properties.correlation_id in self._awaited:
            self._awaited[properties.correlation_id].append(
                Delivery(body, method.exchange, method.routing_key, properties, method.delivery_tag)
            )
        else:
            self.strays += 1
            channel.basic_ack(method.delivery_tag)
