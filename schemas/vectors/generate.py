#!/usr/bin/env python3
"""Makes the vectors of envelopes and replies, and the directory that they are judged by: an implementation of schemas/README.md that
shares no code with nakatsugi.

    pip install cryptography joserfc
    python3 schemas/vectors/generate.py

Always: what is written follows from keys.json alone, byte for byte, so that running it again changes nothing; every
accepted envelope (but one) is also opened by joserfc, which knows nothing of this file. keys.json is made only if it is missing.
Ephemeral keys, initialisation vectors and signatures are derived from the name of the case: right for vectors, never for
real messages.
"""

import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).resolve().parent
NOW = 4102444800  # 2100-01-01T00:00:00Z: the relay's clock in every vector
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


# --- JOSE, from the RFCs ---------------------------------------------------------------------------------------------


def b64(data):
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def raw(header):
    return b64((header if isinstance(header, str) else compact(header)).encode())


def private_key(jwk):
    return ec.derive_private_key(int.from_bytes(unb64(jwk["d"])), ec.SECP256R1())


def coordinates(key):
    point = key.public_key().public_numbers()
    return {"x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}


def sign(header, payload, jwk):
    """A compact JWS (RFC 7515 §7.1); ES256 is r ‖ s (RFC 7518 §3.4), here with the nonce of RFC 6979."""
    message = f"{raw(header)}.{b64(payload)}"
    der = private_key(jwk).sign(message.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return f"{message}.{b64(r.to_bytes(32) + s.to_bytes(32))}"


def content_key(shared, enc=b"A256GCM"):
    """Concat KDF with one round (RFC 7518 §4.6.2): AlgorithmID, no party infos, 256 bits."""
    lengths = lambda data: len(data).to_bytes(4) + data
    return hashlib.sha256((1).to_bytes(4) + shared + lengths(enc) + lengths(b"") + lengths(b"") + (256).to_bytes(4)).digest()


def derived(name, use):
    return hmac.digest(b"nakatsugi test vector", f"{use}:{name}".encode(), "sha256")


def ephemeral_key(name):
    return ec.derive_private_key(1 + int.from_bytes(derived(name, "epk")) % (ORDER - 1), ec.SECP256R1())


def jwe_header(name, kid="relay-enc"):
    epk = {"kty": "EC", "crv": "P-256", **coordinates(ephemeral_key(name))}
    return {"alg": "ECDH-ES", "enc": "A256GCM", "kid": kid, "epk": epk, "cty": "JWT"}


def encrypt(name, content, header=None, to=None):
    """A compact JWE (RFC 7516 §7.1) under direct key agreement: its encrypted key is empty."""
    encoded = raw(jwe_header(name) if header is None else header)
    shared = ephemeral_key(name).exchange(ec.ECDH(), private_key(to or RELAY["decryption"]).public_key())
    iv = derived(name, "iv")[:12]
    sealed = AESGCM(content_key(shared)).encrypt(iv, content if isinstance(content, bytes) else content.encode(), encoded.encode())
    return f"{encoded}..{b64(iv)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


# --- The world: keys and directory -----------------------------------------------------------------------------------


def new_key(kid, use):
    key = ec.generate_private_key(ec.SECP256R1())
    d = b64(key.private_numbers().private_value.to_bytes(32))
    alg = {"sig": "ES256", "enc": "ECDH-ES"}[use]
    return {"kty": "EC", "crv": "P-256", "kid": kid, **coordinates(key), "d": d, "use": use, "alg": alg}


def load_keys():
    path = HERE / "keys.json"
    if not path.exists():
        signing = lambda kid: new_key(kid, "sig")
        keys = {
            "note": "TEST KEYS. Everybody has them: never let a real directory name one. Made by generate.py.",
            "now": NOW,
            "authority": signing("authority"),
            "relay": {"id": "relay", "signing": signing("relay-sig"), "decryption": new_key("relay-enc", "enc")},
            "disclosure": {
                "id": "disclosure",
                "signing": signing("disclosure-sig"),
                "expired": signing("disclosure-sig-expired"),
                "not_yet_valid": signing("disclosure-sig-later"),
                "revoked": signing("disclosure-sig-revoked"),
                "long": signing("disclosure-sig-" + "k" * 49),
                "decryption": new_key("disclosure-enc", "enc"),
                "revoked_decryption": new_key("disclosure-enc-revoked", "enc"),
            },
            "municipal": {
                "id": "fujisawa-juki",
                "signing": signing("fujisawa-sig"),
                "decryption": new_key("fujisawa-enc", "enc"),
            },
            "stranger": {"id": "stranger", "signing": signing("stranger-sig"), "decryption": new_key("stranger-enc", "enc")},
        }
        path.write_text(json.dumps(keys, indent=2) + "\n")
    return json.loads(path.read_text())


KEYS = load_keys()
RELAY, DISCLOSURE, MUNICIPAL, STRANGER = (KEYS[name] for name in ("relay", "disclosure", "municipal", "stranger"))


def directory():
    def dated(jwk, **other):
        key = {member: jwk[member] for member in ("kty", "crv", "kid", "x", "y", "use", "alg")}
        validity = {"not_before": "2099-01-01T00:00:00Z", "not_after": "2101-01-01T00:00:00Z"}
        return {"key": key, "env": "trial", **validity, **other}

    def principal(keys, role, may, tenants, more=(), **other):
        revoked = [keys["revoked_decryption"]] if "revoked_decryption" in keys else []
        return {
            "id": keys["id"],
            "role": role,
            "signing": [dated(keys["signing"]), *more],
            "encryption": [dated(keys["decryption"]), *(dated(key, revoked_at="2099-06-01T00:00:00Z") for key in revoked)],
            "tenants": tenants,
            "may": may,
            **other,
        }

    replies = ["person.reply", "record.reply", "self-info.reply"]
    more = [
        dated(DISCLOSURE["expired"], not_after="2099-12-31T23:59:59Z"),
        dated(DISCLOSURE["not_yet_valid"], not_before="2100-06-01T00:00:00Z"),
        dated(DISCLOSURE["revoked"], revoked_at="2099-06-01T00:00:00Z"),
        dated(DISCLOSURE["long"]),
    ]
    network = {"broker": "national-1", "user": "network"}
    own = {"broker": "national-1", "user": "fujisawa"}
    unit = {
        "id": "tax",
        "name": {"ja": "税務課", "latin": "Tax"},
        "affairs": [{"code": "JM00000000000016", "from": "2099-04-01", "until": "2110-03-31"}],
        "categories": ["TM00000000000002"],
        "officials": [],
    }
    fujisawa = {
        "code": "142051",
        "name": {"ja": "藤沢市", "latin": "Fujisawa"},
        "env": "trial",
        "partition": 3,
        "functions": {"self_info": "2099-07-18", "copies": "2099-04-01"},
        "categories": ["TM00000000000002", "TM00000000000004", "TM00000000000020"],
        "units": [unit],
    }
    return {
        "format": "nakatsugi.directory/1",
        "version": 7,
        "env": "trial",
        "issued_at": "2099-12-01T00:00:00Z",
        "files": {"catalogue": "0" * 64, "configuration": "0" * 64},
        "principals": [
            principal(RELAY, "relay", replies, "all"),
            principal(
                DISCLOSURE,
                "disclosure-system",
                ["self-info.request"],
                "all",
                more,
                carriers=[network],
                replies={"broker": "national-1", "queue": "disclosure"},
            ),
            principal(
                MUNICIPAL,
                "municipal-system",
                ["person.link", "record.delete", "record.put"],
                ["142051"],
                carriers=[own],
                replies={"broker": "national-1", "queue": "fujisawa-juki"},
            ),
        ],
        "tenants": [fujisawa],
    }


# --- Messages --------------------------------------------------------------------------------------------------------

CODE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
REQUEST = {
    "person": CODE,
    "categories": ["TM00000000000002", "TM00000000000020"],
    "authenticated": {"method": "jpki-user-certificate", "at": NOW - 60},
}
RECORD = {
    "data_set": "0001",
    "record_key": "2100-1",
    "layout_version": "0007",
    "publication": {"from": "2099-06-01"},
    "registration_number": "R-0001",
    "unit": "tax",
    "user": "u0042",
    "items": [
        {"code": "0200000010", "depth": 1, "value": "令和81年度 課税"},
        {"code": "0200000080", "depth": 1, "value": None, "reason": "not-applicable"},
    ],
}
PUT = {"rows": [{"person": "000000123456789", "category": "TM00000000000002", "revision": 1, "record": RECORD}]}
DELETE = {
    "rows": [
        {
            "person": "000000123456789",
            "category": "TM00000000000002",
            "revision": 2,
            "data_set": "0001",
            "record_key": "2100-1",
        }
    ]
}
LINK = {"person": "000000123456789", "code": CODE, "revision": 1}

SELF_INFO, RECORDS = ("self-info.request", REQUEST), ("record.put", PUT)


def claims(name, what=SELF_INFO, **changes):
    """The claims of a case; a change to None takes a claim away."""
    (kind, body), keys = what, DISCLOSURE if what[0] == "self-info.request" else MUNICIPAL
    uuid = derived(name, "jti")[:16]
    uuid = bytes([*uuid[:6], uuid[6] & 0x0F | 0x40, uuid[7], uuid[8] & 0x3F | 0x80, *uuid[9:]]).hex()
    jti = "-".join([uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]])
    made = {
        "iss": keys["id"],
        "aud": "relay",
        "jti": jti,
        "iat": NOW,
        "exp": NOW + 300,
        "env": "trial",
        "tenant": "142051",
        "type": kind,
        "body": body,
    }
    made.update(changes)
    return {member: value for member, value in made.items() if value is not None}


def jws_header(jwk, **changes):
    return {"alg": "ES256", "kid": jwk["kid"], "typ": "nakatsugi+jwt", **changes}


def message(name, payload=None, *, key=None, header=None, jwe=None):
    """A whole envelope: claims, text or bytes; signed by the disclosure system unless another key is given."""
    payload = claims(name) if payload is None else payload
    payload = compact(payload) if isinstance(payload, dict) else payload
    payload = payload if isinstance(payload, bytes) else payload.encode()
    key = key or DISCLOSURE["signing"]
    return encrypt(name, sign(jws_header(key) if header is None else header, payload, key), jwe)


def accepted():
    """name → (description, envelope, claims)"""

    def case(name, description, made, key=None, payload=None, **other):
        return name, description, message(name, payload(compact(made)) if payload else made, key=key, **other), made

    own = MUNICIPAL["signing"]
    fortnight = NOW + 14 * 24 * 3600
    yield case("self-info-request", "a person asks for two categories", claims("self-info-request"))
    yield case("record-put", "a municipal system registers a record; the text is not ASCII", claims("record-put", RECORDS), own)
    yield case("record-delete", "a municipal system takes it back", claims("record-delete", ("record.delete", DELETE)), own)
    yield case("person-link", "a municipal system ties a code to its number", claims("person-link", ("person.link", LINK)), own)
    yield case(
        "padded", "white space before and after the claims", claims("padded"), payload=lambda text: f"\n {text}" + " " * 512 + "\r\n\t"
    )
    backwards = lambda members: dict(reversed(members.items()))
    yield case(
        "order-is-free",
        "claims and header members stand in the opposite order",
        backwards(claims("order-is-free")),
        header=backwards(jws_header(DISCLOSURE["signing"])),
        jwe=backwards(jwe_header("order-is-free")),
    )
    yield case(
        "white-space-in-headers",
        "both headers are written over several lines",
        claims("white-space-in-headers"),
        header=" " + json.dumps(jws_header(DISCLOSURE["signing"]), indent=1) + "\n",
        jwe=" " + json.dumps(jwe_header("white-space-in-headers"), indent=1) + "\n",
    )
    yield case("iat-five-minutes-ahead", "the author's clock is 5 minutes ahead", claims("iat-five-minutes-ahead", iat=NOW + 300, exp=NOW + 301))
    yield case("longest-life", "valid for exactly one hour", claims("longest-life", exp=NOW + 3600))
    yield case("longest-life-of-records", "valid for exactly 14 days", claims("longest-life-of-records", RECORDS, exp=fortnight), own)
    yield case("longest-key-id", "a key id of 64 characters", claims("longest-key-id"), DISCLOSURE["long"])
    escaped = lambda text: text.replace('"trial"', '"\\u0074rial"')
    yield case("escaped-value", "a claim's value spelt with an escape: the value counts", claims("escaped-value"), payload=escaped)


def refused():
    """name → (description, reason, envelope)"""
    yield from refused_outside()
    yield from refused_header()
    yield from refused_cryptography()
    yield from refused_inside()
    yield from refused_author()
    yield from refused_claims()
    yield from refused_body()


def refused_outside():
    good = message("outside")
    header, key, iv, text, tag = good.split(".")
    jws = sign(jws_header(DISCLOSURE["signing"]), compact(claims("outside")).encode(), DISCLOSURE["signing"])
    yield "too-large", "one byte more than 8 MiB", "too-large", {"repeat": "A", "times": 8 * 1024 * 1024 + 1}
    yield "empty", "no byte at all", "malformed-jwe", ""
    yield "four-parts", "a JWE without its tag", "malformed-jwe", f"{header}.{key}.{iv}.{text}"
    yield "six-parts", "a JWE with one part more", "malformed-jwe", f"{good}.AAAA"
    yield "only-signed", "a JWS that nobody encrypted", "malformed-jwe", jws
    yield "encrypted-key", "direct key agreement has no encrypted key", "malformed-jwe", f"{header}.AAAA.{iv}.{text}.{tag}"
    yield "short-iv", "an IV of 11 bytes", "malformed-jwe", f"{header}.{key}.{b64(unb64(iv)[:11])}.{text}.{tag}"
    yield "short-tag", "a tag of 12 bytes", "malformed-jwe", f"{header}.{key}.{iv}.{text}.{b64(unb64(tag)[:12])}"
    yield "line-feed", "a line feed at the end", "bad-alphabet", good + "\n"
    yield "base64-padding", "base64 with padding", "bad-alphabet", good + "=="
    yield "base64-standard-alphabet", "the other alphabet of base64", "bad-alphabet", f"{header}.{key}.{iv}.{text[:-2]}+/.{tag}"
    flattened = {"protected": header, "iv": iv, "ciphertext": text, "tag": tag}
    yield "json-serialization", "the flattened JSON serialization", "bad-alphabet", compact(flattened)
    spare = {"A": "B", "Q": "R", "g": "h", "w": "x"}[tag[-1]]
    yield "spare-bits-in-tag", "a second spelling of the same tag", "bad-encoding", f"{header}.{key}.{iv}.{text}.{tag[:-1]}{spare}"
    yield "header-of-one-character-too-many", "a header that no base64url has", "bad-encoding", f"{header}{'A' * (5 - len(header) % 4)}.{key}.{iv}.{text}.{tag}"


def refused_header():
    def case(name, description, reason, **changes):
        header = {member: value for member, value in {**jwe_header(name), **changes}.items() if value is not None}
        return name, description, reason, message(name, jwe=header)

    def text(name, description, reason, change):
        return name, description, reason, message(name, jwe=change(compact(jwe_header(name))))

    no, algorithm = "header-not-allowed", "algorithm-not-allowed"
    yield case("alg-none", "no encryption at all", algorithm, alg="none")
    yield case("alg-dir", "a shared key", algorithm, alg="dir")
    yield case("alg-key-wrap", "key agreement with key wrapping", algorithm, alg="ECDH-ES+A256KW")
    yield case("alg-rsa", "RSA with PKCS #1 v1.5", algorithm, alg="RSA1_5")
    yield case("alg-lower-case", "names are case-sensitive", algorithm, alg="ecdh-es")
    yield case("alg-absent", "no algorithm is named", algorithm, alg=None)
    yield case("enc-a128gcm", "a shorter key", algorithm, enc="A128GCM")
    yield case("enc-cbc", "CBC with HMAC", algorithm, enc="A256CBC-HS512")
    yield case("enc-absent", "no content encryption is named", algorithm, enc=None)
    yield case("pbes2", "a password, and a count of iterations to keep us busy", no, alg="PBES2-HS256+A128KW", p2s="AAAA", p2c=2**31)
    yield case("zip", "compressed content", no, zip="DEF")
    yield case("jwk", "a key that the message brings along", no, jwk=jwe_header("jwk")["epk"])
    yield case("jku", "a key to be fetched", no, jku="https://example.com/keys")
    yield case("x5u", "a certificate to be fetched", no, x5u="https://example.com/cert")
    yield case("x5c", "a certificate that the message brings along", no, x5c=["AAAA"])
    yield case("crit", "an extension that must be understood", no, crit=["exp"], exp=NOW)
    yield case("apu", "party info, which this suite leaves empty", no, apu="AAAA")
    yield case("outer-typ", "a member that belongs in the other header", no, typ="JWT")
    yield case("extra-header-member", "a member nobody knows", no, note="x")
    yield text("repeated-header-member", "a kid twice", no, lambda json: json.replace('"kid"', '"kid":"stranger-enc","kid"', 1))
    yield text("escaped-header-member", "a member's name spelt with an escape", no, lambda json: json.replace('"kid"', '"\\u006bid"', 1))
    yield text("header-array", "the members' values as an array", no, lambda json: compact(list(jwe_header("header-array").values())))
    yield text("header-not-json", "a header that is no JSON", no, lambda json: json[:-1])
    yield text("header-too-large", "a header of 769 bytes, padded with white space", "header-too-large", lambda json: json + " " * (769 - len(json)))
    yield case("kid-absent", "no key is named", no, kid=None)
    yield case("cty-absent", "no content type", no, cty=None)
    yield case("kid-malformed", "a key id that cannot be one", "bad-key-id", kid="relay/enc")
    yield case("kid-of-somebody-else", "encrypted for another recipient's key id", "unknown-recipient-key", kid="stranger-enc")
    yield case("cty-json", "content of another type", "wrong-type", cty="json")
    yield case("cty-lower-case", "the type in lower case", "wrong-type", cty="jwt")

    def epk(name, description, **changes):
        return case(name, description, no, epk={**jwe_header(name)["epk"], **changes})

    yield epk("epk-private", "the ephemeral private key goes along", d="A" * 43)
    yield epk("epk-p-384", "another curve", crv="P-384")
    yield epk("epk-short", "a coordinate of 31 bytes", x="A" * 42)
    yield epk("epk-kty-object", "a text spelt as an object", kty={"EC": None})


def refused_cryptography():
    def point(name, description, x, y):
        header = jwe_header(name)
        header["epk"].update(x=b64(x.to_bytes(32)), y=b64(y.to_bytes(32)))
        return name, description, "bad-ephemeral-key", message(name, jwe=header)

    numbers = ephemeral_key("epk-off-curve").public_key().public_numbers()
    yield point("epk-off-curve", "a point beside the curve (invalid curve attack)", numbers.x, numbers.y ^ 1)
    yield point("epk-zero", "the point (0, 0)", 0, 0)
    yield point("epk-not-reduced", "a coordinate that is not smaller than the prime", PRIME, numbers.y)
    failed = "decryption-failed"
    header, key, iv, text, tag = message("tampered").split(".")
    flipped = b64(bytes([unb64(text)[0] ^ 1]) + unb64(text)[1:])
    yield "ciphertext-changed", "one bit of the ciphertext is another", failed, f"{header}.{key}.{iv}.{flipped}.{tag}"
    yield "tag-changed", "one bit of the tag is another", failed, f"{header}.{key}.{iv}.{text}.{b64(bytes([unb64(tag)[0] ^ 1]) + unb64(tag)[1:])}"
    spaced = raw(compact(jwe_header("tampered")) + " ")
    yield "header-changed", "the same header with a space more: it is authenticated byte for byte", failed, f"{spaced}.{key}.{iv}.{text}.{tag}"
    name = "encrypted-for-another"
    jws = sign(jws_header(DISCLOSURE["signing"]), compact(claims(name)).encode(), DISCLOSURE["signing"])
    yield name, "encrypted for another key, under the relay's key id", failed, encrypt(name, jws, to=STRANGER["decryption"])


def refused_inside():
    key = DISCLOSURE["signing"]

    def content(name, description, reason, make):
        payload = compact(claims(name)).encode()
        return name, description, reason, encrypt(name, make(sign(jws_header(key), payload, key)))

    def header(name, description, reason, change):
        return name, description, reason, message(name, header=change(jws_header(key)))

    shape, no, algorithm = "malformed-jws", "header-not-allowed", "algorithm-not-allowed"
    yield content("not-signed", "bare claims without a signature", "bad-alphabet", lambda jws: unb64(jws.split(".")[1]))
    yield content("encrypted-twice", "an envelope in an envelope", shape, lambda jws: message("inner"))
    yield content("inner-two-parts", "a JWS without its signature", shape, lambda jws: jws.rsplit(".", 1)[0])
    yield content("inner-four-parts", "a JWS with one part more", shape, lambda jws: jws + ".AAAA")
    yield content("detached-payload", "a JWS without its payload", shape, lambda jws: "..".join(jws.split(".")[::2]))
    yield content("inner-line-feed", "a line feed after the signature", "bad-alphabet", lambda jws: jws + "\n")
    yield content("inner-empty", "nothing inside", shape, lambda jws: b"")
    unsigned = lambda jws: f"{raw(jws_header(key, alg='none'))}.{jws.split('.')[1]}."
    yield content("inner-alg-none", "an unsecured JWS", algorithm, unsigned)

    def keyed_with_public(jws):
        message = f"{raw(jws_header(key, alg='HS256'))}.{jws.split('.')[1]}"
        secret = unb64(key["x"]) + unb64(key["y"])
        return f"{message}.{b64(hmac.digest(secret, message.encode(), 'sha256'))}"

    yield content("inner-alg-hs256", "a MAC keyed with the public key", algorithm, keyed_with_public)
    yield header("inner-alg-es384", "an algorithm that the key is not for", algorithm, lambda header: {**header, "alg": "ES384"})
    yield header("inner-jwk", "a key that the message brings along", no, lambda header: {**header, "jwk": {"kty": "EC"}})
    yield header("inner-crit", "an extension that must be understood", no, lambda header: {**header, "b64": False, "crit": ["b64"]})
    yield header("inner-cty", "a member that belongs in the other header", no, lambda header: {**header, "cty": "JWT"})
    yield header("inner-repeated-kid", "a kid twice", no, lambda header: compact(header).replace('"kid"', '"kid":"fujisawa-sig","kid"'))
    without = lambda member: lambda header: {name: value for name, value in header.items() if name != member}
    yield header("inner-typ-absent", "no explicit type", no, without("typ"))
    yield header("inner-kid-absent", "no key is named", no, without("kid"))
    yield header("inner-typ-jwt", "any JWT", "wrong-type", lambda header: {**header, "typ": "JWT"})
    directory = lambda header: {**header, "typ": "nakatsugi-directory+jws"}
    yield header("inner-typ-directory", "a signature over a directory", "wrong-type", directory)
    yield header("inner-kid-malformed", "a key id that cannot be one", "bad-key-id", lambda header: {**header, "kid": "a b"})
    last = lambda jws: jws[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[jws[-1]]
    yield content("inner-spare-bits", "a second spelling of the same signature", "bad-encoding", last)


def refused_author():
    def signed(name, description, reason, key, **other):
        return name, description, reason, message(name, key=key, **other)

    yield signed("unknown-kid", "a key that is not in the directory", "unknown-kid", STRANGER["signing"])
    yield signed("key-expired", "a key that no longer counts", "key-expired", DISCLOSURE["expired"])
    yield signed("key-not-yet-valid", "a key that does not count yet", "key-not-yet-valid", DISCLOSURE["not_yet_valid"])
    yield signed("key-revoked", "a key that was withdrawn", "key-revoked", DISCLOSURE["revoked"])
    invalid = "signature-invalid"
    borrowed = jws_header(DISCLOSURE["signing"])
    yield signed("signed-by-another", "signed by another principal's key", invalid, MUNICIPAL["signing"], header=borrowed)
    yield signed("signed-by-a-stranger", "signed by a key nobody knows", invalid, STRANGER["signing"], header=borrowed)

    def forged(name, description, reason, change):
        key = DISCLOSURE["signing"]
        parts = sign(jws_header(key), compact(claims(name)).encode(), key).split(".")
        return name, description, reason, encrypt(name, ".".join(change(*parts)))

    flip = lambda text: b64(bytes([unb64(text)[0] ^ 1]) + unb64(text)[1:])
    yield forged("signature-changed", "one bit of the signature is another", invalid, lambda h, p, s: (h, p, flip(s)))
    yield forged("signature-zero", "r and s are 0 (CVE-2022-21449)", invalid, lambda h, p, s: (h, p, b64(bytes(64))))
    yield forged("signature-empty", "no signature", invalid, lambda h, p, s: (h, p, ""))
    other = compact(claims("payload-changed", tenant="140007"))
    yield forged("payload-changed", "other claims under the same signature", invalid, lambda h, p, s: (h, b64(other.encode()), s))

    def der(header, payload, signature):
        half = lambda part: b"\x02" + bytes([len(part)]) + part
        whole = unb64(signature)
        r, s = (b"\0" * (part[0] >> 7) + part for part in (whole[:32], whole[32:]))
        return header, payload, b64(b"\x30" + bytes([len(half(r) + half(s))]) + half(r) + half(s))

    yield forged("signature-der", "the signature as ASN.1", invalid, der)


def refused_claims():
    def case(name, description, reason, what=SELF_INFO, **changes):
        key = DISCLOSURE["signing"] if what is SELF_INFO else MUNICIPAL["signing"]
        return name, description, reason, message(name, claims(name, what, **changes), key=key)

    def text(name, description, reason, change):
        return name, description, reason, message(name, change(compact(claims(name))))

    value, json_fault = "invalid-value", "malformed-json"
    latin = lambda text: text.replace('"trial"', '"trial\u00e9"').encode("latin-1")
    yield text("not-utf-8", "the payload is ISO 8859-1", "not-utf8", latin)
    deep = lambda text: text.replace('"body":{', '"body":{"x":' + "[" * 15 + "]" * 15 + ",")
    yield text("depth-17", "objects and arrays nest 17 deep, the claims being the first", "too-deep", deep)
    yield text("truncated-json", "the last brace is missing", json_fault, lambda text: text[:-1])
    yield text("two-values", "a second object after the first", json_fault, lambda text: text + "{}")
    yield text("byte-order-mark", "a byte order mark before the claims", json_fault, lambda text: "\ufeff" + text)
    yield text("trailing-comma", "a comma after the last member", json_fault, lambda text: text[:-1] + ",}")
    yield text("claims-as-array", "the claims' values as an array", value, lambda text: compact(list(json.loads(text).values())))
    yield text("no-break-space", "padding that is not JSON's white space", json_fault, lambda text: text + "\u00a0")
    yield text("repeated-claim", "a tenant twice", "repeated-member", lambda text: text.replace('"tenant"', '"tenant":"140007","tenant"'))
    yield text("repeated-claim-escaped", "a tenant twice, once with an escape", "repeated-member", lambda text: text.replace('"tenant"', '"\\u0074enant":"140007","tenant"'))
    yield case("unknown-claim", "a claim that does not belong", "unknown-member", nbf=NOW)
    yield case("claim-in-upper-case", "names are case-sensitive", "unknown-member", TENANT="142051")
    for claim in ("iss", "aud", "jti", "iat", "exp", "env", "tenant", "type", "body"):
        yield case(f"{claim}-absent", f"no {claim}", "missing-member", **{claim: None})
    yield text("float-iat", "a time with a fraction of zero", value, lambda text: text.replace(f'"iat":{NOW}', f'"iat":{NOW}.0'))
    yield text("exponent-exp", "a time with an exponent", value, lambda text: text.replace(f'"exp":{NOW + 300}', '"exp":4.1024451e9'))
    yield case("text-iat", "a time as a text", value, iat=str(NOW))
    yield case("negative-iat", "a time before 1970", value, iat=-1)
    yield case("milliseconds-iat", "a time in milliseconds lies beyond the year 9999", value, iat=NOW * 1000, exp=NOW * 1000 + 1)
    yield case("upper-case-jti", "a second spelling of an id", value, jti=claims("upper-case-jti")["jti"].upper())
    yield case("jti-without-hyphens", "a third one", value, jti=claims("jti-without-hyphens")["jti"].replace("-", ""))
    yield case("tenant-check-digit", "a tenant code with a wrong check digit", value, tenant="142050")
    yield case("tenant-as-number", "a tenant code as a number", value, tenant=142051)
    yield case("aud-array", "several recipients", value, aud=["relay", "stranger"])
    yield case("iss-upper-case", "an author's name with a capital letter", value, iss="Disclosure")
    yield case("env-upper-case", "an environment with a capital letter", value, env="Trial")
    yield case("env-object", "a text spelt as an object", value, env={"trial": None})
    yield case("unknown-type", "a type that nobody knows", value, type="self-info.everything")
    yield text("null-re", "null is not another way to leave a member out", value, lambda text: text.replace('"body"', '"re":null,"body"'))
    yield case("wrong-recipient", "for another relay", "wrong-recipient", aud="relay-2")
    yield case("wrong-environment", "a message of production at a relay for trials", "wrong-environment", env="production")
    yield case("issuer-mismatch", "signed by one principal in the name of another", "issuer-mismatch", iss="fujisawa-juki")
    yield case("iat-ahead", "a second more than 5 minutes ahead", "issued-ahead", iat=NOW + 301, exp=NOW + 600)
    yield case("life-too-long", "valid for a second more than an hour", "lifetime", exp=NOW + 3601)
    yield case("life-of-records-too-long", "valid for a second more than 14 days", "lifetime", RECORDS, exp=NOW + 14 * 24 * 3600 + 1)
    yield case("no-life", "expires when it is issued", "lifetime", exp=NOW)
    yield case("expires-before-issued", "expires before it is issued", "lifetime", exp=NOW - 1)
    denied = {"status": "denied", "code": "conflict"}
    yield case("reply-as-command", "a type that only the relay sends", "not-a-command", type="self-info.reply", body=denied)
    yield case("command-that-answers", "a command with the claim re", "not-a-command", re=claims("x")["jti"])
    yield case("command-with-promise", "a command with a promise", "not-a-command", promise=CODE)


def refused_body():
    def body(name, description, reason, change):
        kind = SELF_INFO[0]
        return name, description, reason, message(name, compact(claims(name)).replace(compact(REQUEST), change(compact(REQUEST))))

    value = "invalid-value"
    yield body("unknown-body-member", "a member that does not belong", "unknown-member", lambda text: text.replace("{", '{"purpose":"x",', 1))
    twice = lambda text: text.replace("{", '{"person":"' + "A" * 43 + '",', 1)
    yield body("repeated-body-member", "two persons in one request", "repeated-member", twice)
    nested = lambda text: text.replace('"method"', '"at":0,"method"')
    yield body("repeated-nested-member", "two times of authentication", "repeated-member", nested)
    yield body("missing-body-member", "nobody says how the person was authenticated", "missing-member", lambda text: text[: text.index(',"authenticated"')] + "}")
    yield body("body-text", "a text as the body", value, lambda text: '"' + CODE + '"')
    yield body("body-null", "no body", value, lambda text: "null")
    yield body("body-array", "the members' values as an array", value, lambda text: compact(list(REQUEST.values())))
    nested = lambda text: text.replace(compact(REQUEST["authenticated"]), compact(list(REQUEST["authenticated"].values())))
    yield body("nested-array", "the values of an inner object as an array", value, nested)
    method = lambda text: text.replace('"jpki-user-certificate"', '{"jpki-user-certificate":null}')
    yield body("method-object", "a text spelt as an object", value, method)
    yield body("person-spare-bits", "a second spelling of a person code", value, lambda text: text.replace(CODE, CODE[:-1] + "9"))
    yield body("lone-surrogate", "half a character", "malformed-json", lambda text: text.replace(CODE, "\\ud800"))


def replies():
    """folder, name → a reply of the relay to the disclosure system, with its promise or what is wrong with it."""
    request = claims("self-info-request")
    body = {"status": "denied", "code": "not-in-service"}
    reply = {
        **claims("reply"),
        "iss": "relay",
        "aud": "disclosure",
        "exp": NOW + 3600,
        "type": "self-info.reply",
        "re": request["jti"],
    }
    reply["body"] = body  # behind re, where the relay writes it; the order is free
    text = compact(reply)
    salt, entry = derived("reply", "salt"), b"what the ledger says"
    promise = hashlib.sha256(salt + entry).digest()
    digest = hashlib.sha256(text.encode()).digest()
    commitment = hashlib.sha256(b"nakatsugi/ledger/commitment/v1\0" + digest + promise).digest()

    def case(name, description, payload, **other):
        header = jwe_header(name, DISCLOSURE["decryption"]["kid"])
        signed = sign(jws_header(RELAY["signing"]), payload.encode(), RELAY["signing"])
        envelope = encrypt(name, signed, header, DISCLOSURE["decryption"])
        return {"description": description, "keys": "keys.json", "envelope": envelope, "promise": b64(promise), **other}

    member = f',"promise":"{b64(promise)}"'
    whole = (text[:-1] + member + "}").ljust(4096)
    known = {"salt": b64(salt), "entry": entry.decode(), "digest": digest.hex(), "commitment": commitment.hex()}
    yield "accept", "self-info", case("self-info", "a reply with its promise, padded to 4 KiB", whole, **known)
    reason = {"reason": "promise-misplaced"}
    first = "{" + member[1:] + "," + text[1:]
    yield "reject", "promise-first", case("promise-first", "the promise is not the last member", first, **reason)
    inside = text[:-2] + member + "}}"
    yield "reject", "promise-in-body", case("promise-in-body", "the promise stands in the body", inside, **reason)
    spaced = text[:-1] + member.replace(":", ": ") + "}"
    yield "reject", "promise-spaced", case("promise-spaced", "a space before the promise's value", spaced, **reason)
    fed = text[:-1] + member + "}\n"
    yield "reject", "padded-with-line-feed", case("padded-with-line-feed", "padding that is no space", fed, **reason)


# --- Writing ---------------------------------------------------------------------------------------------------------


def write(folder, name, case):
    path = HERE / folder / f"{name}.json"
    path.write_text(json.dumps(case, ensure_ascii=False, indent=2) + "\n")


def open_with_joserfc(envelope):
    """What an unsuspecting library makes of it. (joserfc 1.6 authenticates a JWE header as it would write it itself, and not
    as it came, so it cannot open one with white space.)"""
    from joserfc import jwe, jws
    from joserfc.jwk import ECKey

    outer = jwe.decrypt_compact(envelope, ECKey.import_key(RELAY["decryption"]), algorithms=["ECDH-ES", "A256GCM"])
    keys = {jwk["kid"]: jwk for jwk in [*DISCLOSURE.values(), *MUNICIPAL.values()] if isinstance(jwk, dict)}
    header = json.loads(unb64(outer.plaintext.decode().split(".")[0]))
    key = {member: keys[header["kid"]][member] for member in ("kty", "crv", "x", "y")}
    return json.loads(jws.deserialize_compact(outer.plaintext, ECKey.import_key(key), algorithms=["ES256"]).payload)


def made_by_joserfc():
    """Its ephemeral key is random, so it is made only if it is missing."""
    from joserfc import jwe, jws
    from joserfc.jwk import ECKey

    made = claims("made-by-joserfc")
    key = {member: value for member, value in DISCLOSURE["signing"].items()}
    signed = jws.serialize_compact(jws_header(key), compact(made), ECKey.import_key(key))
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "relay-enc", "cty": "JWT"}
    return jwe.encrypt_compact(header, signed, ECKey.import_key(RELAY["decryption"]), algorithms=["ECDH-ES", "A256GCM"]), made


def main():
    for folder in ("accept", "reject"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).glob("envelope.*.json"):
            if old.name != "envelope.made-by-joserfc.json":
                old.unlink()
    write("accept", "directory", {"description": "a relay, the disclosure system and a municipal system of one tenant", "schema": "directory", "instance": directory()})
    for name, description, envelope, made in accepted():
        if name != "white-space-in-headers":
            assert open_with_joserfc(envelope) == made, name
        write("accept", f"envelope.{name}", {"description": description, "keys": "keys.json", "envelope": envelope, "claims": made})
    if not (HERE / "accept/envelope.made-by-joserfc.json").exists():
        envelope, made = made_by_joserfc()
        description = "made by joserfc alone, with nothing but its public functions"
        write("accept", "envelope.made-by-joserfc", {"description": description, "keys": "keys.json", "envelope": envelope, "claims": made})
    for folder, name, case in replies():
        write(folder, f"reply.{name}", case)
    names = set()
    for name, description, reason, envelope in refused():
        assert name not in names, name
        names.add(name)
        write("reject", f"envelope.{name}", {"description": description, "keys": "keys.json", "envelope": envelope, "reason": reason})


if __name__ == "__main__":
    main()
