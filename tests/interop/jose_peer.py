"""The other side of an envelope, written with joserfc, which shares no code with us.

Reads one JSON request per line and answers each with one JSON line. Nothing here is used outside tests.
"""

import base64
import hashlib
import json
import re
import sys

from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey

LONGEST = 8 * 1024 * 1024


class LongJWE(jwe.JWERegistry):
    """joserfc stops at 64 KiB unless told otherwise; an envelope may have 8 MiB."""

    max_ciphertext_length = LONGEST


class LongJWS(jws.JWSRegistry):
    max_payload_length = LONGEST


ENCRYPTION = ["ECDH-ES", "ECDH-ES+A256KW", "A256GCM", "A128GCM", "A256CBC-HS512", "DEF"]


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key(jwk):
    return ECKey.import_key(jwk)


def open_envelope(request):
    outer = jwe.decrypt_compact(request["jwe"], key(request["decrypt_with"]), registry=LongJWE(algorithms=["ECDH-ES", "A256GCM"]))
    inner = jws.deserialize_compact(outer.plaintext, key(request["verify_with"]), registry=LongJWS(algorithms=["ES256"]))
    answer = {"jwe_header": outer.headers(), "jws_header": inner.headers(), "payload": b64(inner.payload)}
    reply = re.fullmatch(rb'(.*),"promise":"([A-Za-z0-9_-]{43})"\} *', inner.payload, re.DOTALL)
    if reply:
        digest = hashlib.sha256(reply[1] + b"}").digest()
        promise = unb64(reply[2].decode())
        commitment = hashlib.sha256(b"nakatsugi/ledger/commitment/v1\0" + digest + promise).digest()
        answer |= {"digest": b64(digest), "promise": b64(promise), "commitment": b64(commitment)}
    return answer


def sign(request):
    header = request["jws_header"]
    signer = OctKey.import_key("0" * 32) if header["alg"] == "HS256" else key(request["sign_with"])
    return jws.serialize_compact(header, unb64(request["payload"]), signer, algorithms=["ES256", "HS256"])


def make_envelope(request):
    return {"jwe": jwe.encrypt_compact(request["jwe_header"], sign(request), key(request["encrypt_for"]), algorithms=ENCRYPTION)}


def verify_detached(request):
    signed = jws.deserialize_compact(
        request["signature"], key(request["verify_with"]), algorithms=["ES256"], payload=unb64(request["payload"])
    )
    return {"jws_header": signed.headers()}


def make_detached(request):
    return {"signature": jws.detach_content(sign(request))}


ACTIONS = {
    "open": open_envelope,
    "make": make_envelope,
    "verify-detached": verify_detached,
    "make-detached": make_detached,
}

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answered = ACTIONS[asked["do"]](asked)
    except Exception as error:  # the test reads it
        answered = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answered), flush=True)
