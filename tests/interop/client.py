"""An independent client of nakatsugi, made from its published contracts alone (schemas/).

Against a site that `nakatsugi demo --keep FOLDER` keeps running, it plays a municipal system and the
disclosure system and checks what comes back. One line per step, then one line of JSON; exit code 0
if every step held, 1 if any did not.
"""

import argparse
import base64
import hashlib
import json
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from joserfc.jwk import ECKey
from pika.exceptions import AMQPError, ChannelClosedByBroker

import envelope
from connection import CONTENT_TYPE, PERSISTENT, Connection, Delivery, Peer
from envelope import Promise
from schemas import ContractBroken, JSONObject, Schemas, check_tenant, default_folder, parse

TENANT = "142051"
OTHER_TENANT = "141003"
CATEGORY = "TM00000000000002"
UNKNOWN_CATEGORY = "TM99999999999999"
REPLY_TYPES = {
    "self-info.request": "self-info.reply",
    "record.put": "record.reply",
    "record.delete": "record.reply",
    "person.link": "person.reply",
}
LIFETIME = 600
LONGEST_LIFETIME = {"self-info.reply": 3600}
LONGEST_LIFETIME_ELSE = 14 * 86400
AHEAD = 300
JAPAN = timezone(timedelta(hours=9))


@dataclass(frozen=True)
class Message:
    """A message of ours: `payload` is what is signed, and what a repeat must sign again."""

    claims: JSONObject
    payload: bytes

    @property
    def jti(self) -> str:
        """The message's id."""
        return self.claims["jti"]


@dataclass(frozen=True)
class Reply:
    """A reply that was decrypted, verified and held against every rule, with its envelope as it came."""

    envelope: bytes
    payload: bytes
    claims: JSONObject
    promise: Promise

    @property
    def body(self) -> JSONObject:
        """What the reply says."""
        return self.claims["body"]


class Party:
    """A principal that builds messages, sends them and judges the replies."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self.connection = connection
        self.peer = connection.peer
        self.schemas = schemas

    def message(
        self, message_type: str, body: JSONObject, *, tenant: str = TENANT, jti: str | None = None, valid: bool = True
    ) -> Message:
        """Make a message. It is held against the schemas, unless it is meant to break them (`valid=False`)."""
        now = int(time.time())
        claims: JSONObject = {
            "iss": self.peer.id,
            "aud": self.peer.relay,
            "jti": jti or str(uuid.uuid4()),
            "iat": now,
            "exp": now + LIFETIME,
            "env": self.peer.env,
            "tenant": tenant,
            "type": message_type,
            "body": body,
        }
        check_tenant(tenant)
        payload = envelope.encode(claims)
        if valid:
            self.schemas.check(f"body/{message_type}", body)
            self.schemas.check("claims", parse(payload))
        return Message(claims, payload)

    def seal(self, message: Message, *, broken: bool = False) -> bytes:
        """Sign and encrypt for the relay; each call makes a new envelope. With `broken`, no one's signature."""
        signed = envelope.sign(message.payload, self.peer.signing)
        if broken:
            signed = envelope.break_signature(signed)
        return envelope.encrypt(signed, self.peer.relay_encryption)

    def send(self, message: Message, sealed: bytes) -> None:
        """Publish; return when the broker has confirmed."""
        self.connection.publish(
            sealed, tenant=message.claims["tenant"], message_type=message.claims["type"], jti=message.jti
        )

    def ask(self, message: Message, *, tries: int = 3, seconds: float = 20) -> Reply:
        """Send and wait for the reply; without one, send the same payload again. Raises ContractBroken in the end."""
        for _ in range(tries):
            self.send(message, self.seal(message))
            delivery = self.connection.receive(message.jti, seconds)
            if delivery is not None:
                reply = self.judge(message, delivery)
                self.connection.acknowledge(delivery)
                return reply
        raise ContractBroken(f"no reply to {message.jti} after {tries} tries of {seconds:g} s; see serve.log")

    def judge(self, message: Message, delivery: Delivery) -> Reply:
        """Open a reply and hold everything about it against the contract. Raises ContractBroken."""
        opened = envelope.open_envelope(delivery.body, self.peer.decryption, self.peer.relay_verification, self.schemas)
        claims, sent, properties = opened.claims, message.claims, delivery.properties
        now = int(time.time())
        lifetime = LONGEST_LIFETIME.get(claims["type"], LONGEST_LIFETIME_ELSE)
        check_tenant(claims["tenant"])
        self.schemas.check(f"body/{claims['type']}", claims["body"])
        for what, is_, must in (
            ("iss", claims["iss"], self.peer.relay),
            ("aud", claims["aud"], self.peer.id),
            ("env", claims["env"], self.peer.env),
            ("tenant", claims["tenant"], sent["tenant"]),
            ("type", claims["type"], REPLY_TYPES[sent["type"]]),
            ("re", claims["re"], sent["jti"]),
            ("jti's version", uuid.UUID(claims["jti"]).version, 8),
            ("iat in time", claims["iat"] <= now + AHEAD, True),
            ("exp to come", claims["exp"] > now, True),
            ("lifetime", 0 < claims["exp"] - claims["iat"] <= lifetime, True),
            ("exchange", delivery.exchange, "nakatsugi.out"),
            ("routing key", delivery.routing_key, f"{self.peer.id}.{claims['type']}"),
            ("message_id", properties.message_id, claims["jti"]),
            ("type property", properties.type, claims["type"]),
            ("correlation_id", properties.correlation_id, claims["re"]),
            ("user_id", properties.user_id, self.peer.relay),
            ("content_type", properties.content_type, CONTENT_TYPE),
            ("delivery_mode", properties.delivery_mode, PERSISTENT),
        ):
            if is_ != must:
                raise ContractBroken(f"reply: {what} is {is_!r}, not {must!r}")
        return Reply(delivery.body, opened.payload, claims, envelope.promise_of(opened.payload))


@dataclass
class Play:
    """The steps, in their order; later ones use what earlier ones left here."""

    site: Path
    schemas: Schemas
    municipality: Party
    disclosure: Party
    person: str = field(default_factory=lambda: f"{secrets.randbelow(10**15):015}")
    code: str = field(
        default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode("ascii")
    )
    asked: Message | None = None
    answer: Reply | None = None

    def vectors(self) -> str:
        """Open the published replies: meet digest and commitment of the good one, refuse the bad ones."""
        folder = self.schemas.folder / "vectors"
        keys = json.loads((folder / "keys.json").read_bytes())
        ours = ECKey.import_key(keys["disclosure"]["decryption"])
        theirs = ECKey.import_key(keys["relay"]["signing"])

        def promise_in(case: JSONObject) -> Promise:
            opened = envelope.open_envelope(case["envelope"].encode("ascii"), ours, theirs, self.schemas)
            return envelope.promise_of(opened.payload)

        good = json.loads((folder / "accept" / "reply.self-info.json").read_bytes())
        promise = promise_in(good)
        _same("digest", promise.digest.hex(), good["digest"])
        _same("commitment", promise.commitment.hex(), good["commitment"])
        bad = sorted((folder / "reject").glob("reply.*.json"))
        for file in bad:
            try:
                promise_in(json.loads(file.read_bytes()))
            except ContractBroken:
                continue
            raise ContractBroken(f"{file.name} was taken")
        return f"commitment {good['commitment'][:16]}… met, {len(bad)} bad replies refused"

    def link(self) -> str:
        """As the municipal system: tie a new code to a new person."""
        body = {"person": self.person, "code": self.code, "revision": 1}
        reply = self.municipality.ask(self.municipality.message("person.link", body))
        _same("reply", reply.body, {"status": "answered", "result": "linked"})
        return "linked"

    def put(self) -> str:
        """As the municipal system: register one record of that person."""
        row = {"person": self.person, "category": CATEGORY, "revision": 1, "record": self._record()}
        reply = self.municipality.ask(self.municipality.message("record.put", {"rows": [row]}))
        _same("reply", reply.body, {"status": "answered", "rows": [{"row": 0, "result": "stored"}]})
        return "stored"

    def request(self) -> str:
        """As the disclosure system: the person sees exactly that record, without who registered it."""
        self.asked = self.disclosure.message("self-info.request", self._request([CATEGORY]))
        self.answer = self.disclosure.ask(self.asked)
        _same("status", self.answer.body["status"], "answered")
        hidden = ("registration_number", "unit", "user")
        shown = {name: value for name, value in self._record().items() if name not in hidden}
        _same(
            "categories",
            self.answer.body["categories"],
            [{"category": CATEGORY, "outcome": "provided", "records": [shown]}],
        )
        return f"1 record; commitment {self.answer.promise.commitment.hex()}, leaf {self.answer.promise.leaf.hex()}"

    def repeat(self) -> str:
        """The same payload in a new envelope: the same bytes come back, to the last one."""
        asked, answer = self._asked()
        again = self.disclosure.ask(asked)
        _same("the repeated reply's envelope", again.envelope, answer.envelope)
        return f"{len(again.envelope)} identical bytes, SHA-256 {hashlib.sha256(again.envelope).hexdigest()[:16]}…"

    def unknown_category(self) -> str:
        """A category that no catalogue has: denied, with its place."""
        body = self._request([CATEGORY, UNKNOWN_CATEGORY])
        reply = self.disclosure.ask(self.disclosure.message("self-info.request", body))
        _same("reply", reply.body, {"status": "denied", "code": "unknown-category", "place": "/categories/1"})
        return "denied, unknown-category at /categories/1"

    def conflict(self) -> str:
        """The id of the answered request with another body: denied; the first answer stands."""
        asked, answer = self._asked()
        other = self.disclosure.message("self-info.request", self._request(["TM00000000000001"]), jti=asked.jti)
        reply = self.disclosure.ask(other)
        _same("reply", reply.body, {"status": "denied", "code": "conflict"})
        _same("the first reply, asked for again", self.disclosure.ask(asked).envelope, answer.envelope)
        return "denied, conflict; the first answer stands"

    def dead_letter(self) -> str:
        """A broken signature: no reply, and the daemon's log names the reason and the body's digest."""
        message = self.disclosure.message("self-info.request", self._request([CATEGORY]))
        sealed = self.disclosure.seal(message, broken=True)
        self.disclosure.send(message, sealed)
        digest = hashlib.sha256(sealed).hexdigest()
        line = self._dead_letter(digest, seconds=20)
        self.schemas.check("log/events", line)
        _same("reason", line["reason"], "signature-invalid")
        _same("user", line["user"], self.disclosure.peer.user)
        _same("route", line["route"], f"{TENANT}.self-info.request")
        if self.disclosure.connection.receive(message.jti, 3) is not None:
            raise ContractBroken("a forged message was answered")
        return f"no reply; serve.log: {line['reason']}, digest {digest[:16]}…"

    def other_tenant(self) -> str:
        """The broker refuses another tenant's routing key, another's user_id, and another's queue."""
        party, connection = self.municipality, self.municipality.connection
        row = {"person": self.person, "category": CATEGORY, "revision": 2, "record": self._record()}
        message = party.message("record.put", {"rows": [row]}, tenant=OTHER_TENANT)
        sealed = party.seal(message)
        kind, jti = "record.put", message.jti
        attempts: list[tuple[str, int, Callable[[], object]]] = [
            (
                "routing key",
                403,
                lambda: connection.publish(
                    sealed, tenant=OTHER_TENANT, message_type=kind, jti=jti, channel=connection.channel()
                ),
            ),
            (
                "user_id",
                406,
                lambda: connection.publish(
                    sealed,
                    tenant=TENANT,
                    message_type=kind,
                    jti=jti,
                    user=f"municipal-{OTHER_TENANT}",
                    channel=connection.channel(),
                ),
            ),
            ("queue", 403, lambda: connection.channel().basic_get(f"nakatsugi.out.municipal-{OTHER_TENANT}")),
        ]
        for what, code, attempt in attempts:
            try:
                attempt()
            except ChannelClosedByBroker as refused:
                _same(f"refusal of the {what}", refused.reply_code, code)
            else:
                raise ContractBroken(f"the broker took another tenant's {what}")
        return "refused by the broker: " + ", ".join(f"{what} {code}" for what, code, _ in attempts)

    def _record(self) -> JSONObject:
        today = datetime.now(JAPAN).date()
        return {
            "data_set": "0001",
            "record_key": "2026-1",
            "layout_version": "0007",
            "publication": {"from": (today - timedelta(days=1)).isoformat()},
            "registration_number": "R-1",
            "unit": "tax",
            "user": "u42",
            "items": [
                {"code": "0200000010", "depth": 1, "value": "課税"},
                {"code": "0200000080", "depth": 1, "value": None, "reason": "not-applicable"},
            ],
        }

    def _request(self, categories: list[str]) -> JSONObject:
        authenticated = {"method": "jpki-user-certificate", "at": int(time.time())}
        return {"person": self.code, "categories": categories, "authenticated": authenticated}

    def _asked(self) -> tuple[Message, Reply]:
        if self.asked is None or self.answer is None:
            raise ContractBroken("the request before was not answered")
        return self.asked, self.answer

    def _dead_letter(self, digest: str, seconds: float) -> JSONObject:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in (self.site / "serve.log").read_bytes().splitlines():
                if digest.encode() in line:
                    return parse(line)
            time.sleep(0.2)
        raise ContractBroken(f"serve.log names no body with SHA-256 {digest} after {seconds:g} s")


def main() -> int:
    """Run all steps; return the exit code."""
    parser = argparse.ArgumentParser(description="Talk to a running `nakatsugi demo --keep FOLDER`.")
    parser.add_argument("--site", type=Path, required=True, help="the demo's folder")
    parser.add_argument("--schemas", type=Path, help="the schemas (default: the nearest schemas/ above this file)")
    options = parser.parse_args()
    names = (
        *("vectors", "link", "put", "request", "repeat"),
        *("unknown_category", "conflict", "dead_letter", "other_tenant"),
    )
    failed = 0
    try:
        schemas = Schemas(options.schemas or default_folder())
        with (
            Connection(Peer.load(options.site / "peers" / f"municipal-{TENANT}")) as municipal,
            Connection(Peer.load(options.site / "peers" / "disclosure")) as disclosure,
        ):
            play = Play(options.site, schemas, Party(municipal, schemas), Party(disclosure, schemas))
            for name in names:
                try:
                    print(f"ok    {name}: {getattr(play, name)()}", flush=True)
                except (ContractBroken, AMQPError) as error:
                    failed += 1
                    print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
    except (ContractBroken, AMQPError, OSError, KeyError, ValueError) as error:
        failed += 1
        print(f"FAIL  set-up: {type(error).__name__}: {error}", flush=True)
    print(json.dumps({"steps": len(names), "failed": failed}, separators=(",", ":")))
    return 1 if failed else 0


def _same(what: str, is_: object, must: object) -> None:
    if is_ != must:
        raise ContractBroken(f"{what}: {is_!r}, not {must!r}"[:500])


if __name__ == "__main__":
    sys.exit(main())
