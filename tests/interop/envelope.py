"""Envelopes: claims in a JWS (ES256) in a JWE (ECDH-ES, A256GCM), and the promise in a reply."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from schemas import ContractBroken, JSONObject, Schemas, parse

MAX_ENVELOPE = 8 * 1024 * 1024
MAX_HEADER = 1024
MIN_PAYLOAD = 4096
_PROMISE = re.compile(rb',"promise":"([A-Za-z0-9_-]{43})"\}\Z')


class _SignatureRegistry(JWSRegistry):
    # joserfc refuses payloads above 128,000 bytes by default; an envelope may be much longer.
    max_header_length = MAX_HEADER
    max_payload_length = MAX_ENVELOPE


class _EncryptionRegistry(JWERegistry):
    # joserfc refuses ciphertexts above 64 KiB by default.
    max_ciphertext_length = MAX_ENVELOPE


_JWS = _SignatureRegistry(algorithms=["ES256"])
_JWE = _EncryptionRegistry(algorithms=["ECDH-ES", "A256GCM"])


@dataclass(frozen=True)
class Opened:
    """A message that was decrypted, verified and found in its form. `payload` is what was signed, byte for byte."""

    payload: bytes
    claims: JSONObject


@dataclass(frozen=True)
class Promise:
    """What a reply promises: `digest` (D), `commitment` (C) and `leaf` of schemas/README.md."""

    digest: bytes
    commitment: bytes
    leaf: bytes


def encode(claims: JSONObject) -> bytes:
    """Return the bytes of the claims that are to be signed. Keep them: a repeat must sign these very bytes."""
    return json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def sign(payload: bytes, key: ECKey) -> str:
    """Sign `payload` as a compact JWS."""
    return jws.serialize_compact({"alg": "ES256", "kid": key.kid, "typ": "nakatsugi+jwt"}, payload, key, registry=_JWS)


def encrypt(signed: str, key: ECKey) -> bytes:
    """Encrypt a compact JWS for the owner of the public `key`, under a new ephemeral key."""
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.kid, "cty": "JWT"}
    return jwe.encrypt_compact(header, signed, key, registry=_JWE).encode("ascii")


def break_signature(signed: str) -> str:
    """Return the JWS with one bit of its signature turned over: well formed, but not signed by anybody."""
    content, _, signature = signed.rpartition(".")
    broken = bytearray(base64.urlsafe_b64decode(signature + "=="))
    broken[-1] ^= 1
    return content + "." + base64.urlsafe_b64encode(bytes(broken)).rstrip(b"=").decode("ascii")


def open_envelope(envelope: bytes, decryption: ECKey, verification: ECKey, schemas: Schemas) -> Opened:
    """Decrypt with the private `decryption` key, verify with the author's `verification` key.

    Both headers and the claims with their body are held against their schemas, and both key ids must be
    those of the given keys. Raises ContractBroken. Who, whom and when is for the caller to judge.
    """
    if len(envelope) > MAX_ENVELOPE:
        raise ContractBroken(f"an envelope of {len(envelope)} bytes")
    try:
        outer = jwe.decrypt_compact(envelope, decryption, registry=_JWE)
        if outer.plaintext is None:
            raise ContractBroken("an envelope without content")
        inner = jws.deserialize_compact(outer.plaintext, verification, registry=_JWS)
    except (JoseError, ValueError) as error:
        raise ContractBroken(f"not an envelope for us from the relay: {type(error).__name__}: {error}") from error
    _check_header(schemas, "jwe-header", envelope, decryption)
    _check_header(schemas, "jws-header", outer.plaintext, verification)
    claims = parse(inner.payload)
    schemas.check("claims", claims)
    return Opened(inner.payload, claims)


def promise_of(payload: bytes) -> Promise:
    """Compute from a reply's payload what its promise binds the ledger to. Raises ContractBroken."""
    text = payload.rstrip(b" ")
    found = _PROMISE.search(text)
    if found is None:
        raise ContractBroken("the promise is not the last member")
    if len(payload) != max(MIN_PAYLOAD, padme(len(text))):
        raise ContractBroken(f"a payload of {len(payload)} bytes around {len(text)} is not padded to a Padmé size")
    digest = hashlib.sha256(text[: found.start()] + b"}").digest()
    promised = base64.urlsafe_b64decode(found.group(1) + b"=")
    commitment = hashlib.sha256(b"nakatsugi/ledger/commitment/v1\0" + digest + promised).digest()
    return Promise(digest, commitment, hashlib.sha256(b"\0" + commitment).digest())


def padme(length: int) -> int:
    """Return the smallest Padmé size that holds `length` (at least 2) bytes."""
    exponent = length.bit_length() - 1
    unit = 1 << (exponent - exponent.bit_length())
    return -(-length // unit) * unit


def _check_header(schemas: Schemas, name: str, compact: bytes, key: ECKey) -> None:
    # Read anew: the library's reader takes repeated members and escapes, which the contract does not.
    encoded = compact.partition(b".")[0]
    if len(encoded) > MAX_HEADER:
        raise ContractBroken(f"{name}: {len(encoded)} characters")
    text = base64.urlsafe_b64decode(encoded + b"==")
    if b"\\" in text:
        raise ContractBroken(f"{name}: an escape")
    header = parse(text)
    schemas.check(name, header)
    if header["kid"] != key.kid:
        raise ContractBroken(f"{name}: kid is {header['kid']}, not {key.kid}")
