"""An independent verifier of a ledger: its newest signed tree head, and its tree from the tiles on disk.

Usage: verify.py KEY NOTE LEDGER. From RFC 6962 and C2SP signed-note, tlog-checkpoint, tlog-tiles; shares nothing with
nakatsugi. Prints the size; ends with 1 and a reason if anything does not hold.
"""

import base64
import hashlib
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


def refuse(why):
    print(why, file=sys.stderr)
    sys.exit(1)


def note(key, text):
    """The size and root of a note that this key signed."""
    name, key_id, material = key.split("+", 2)
    material = base64.b64decode(material, validate=True)
    if material[0] != 1 or len(material) != 33:
        refuse("not an Ed25519 key")
    if hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() != key_id:
        refuse("the key's id is not its own")
    body, signatures = text.rsplit("\n\n", 1)
    body += "\n"
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        value = base64.b64decode(value, validate=True)
        if dash == "\u2014" and signer == name and value[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(material[1:]).verify(value[4:], body.encode())
            except InvalidSignature:
                refuse("the signature does not hold")
            break
    else:
        refuse("not signed by this key")
    origin, size, root = body.splitlines()
    if origin != name:
        refuse("another origin")
    return int(size), base64.b64decode(root, validate=True)


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree(hashes):
    """RFC 6962 section 2.1, as it is written."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node(tree(hashes[:split]), tree(hashes[split:]))


def path(number):
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


def level(tiles, height, count):
    """All hashes of a level."""
    hashes = []
    for tile in range((count + WIDTH - 1) // WIDTH):
        width = min(WIDTH, count - tile * WIDTH)
        name = path(tile) if width == WIDTH else f"{path(tile)}.p/{width}"
        data = (tiles / str(height) / name).read_bytes()
        if len(data) != 32 * width:
            refuse(f"tile {height}/{name} has {len(data)} bytes")
        hashes += [data[at : at + 32] for at in range(0, len(data), 32)]
    return hashes


def entries(ledger, count):
    """The commitments that stand beside the tiles."""
    found = []
    for tile in range((count + WIDTH - 1) // WIDTH):
        data = (ledger / "entries" / path(tile)).read_bytes()
        for _ in range(min(WIDTH, count - tile * WIDTH)):
            length = int.from_bytes(data[:4], "big")
            found.append(data[4:36])
            data = data[4 + length :]
    return found


def main():
    key, text, ledger = sys.argv[1], Path(sys.argv[2]).read_text(), Path(sys.argv[3])
    size, root = note(key, text)
    leaves = level(ledger / "tile", 0, size)
    if tree(leaves) != root:
        refuse("the tiles have another root")
    for index, commitment in enumerate(entries(ledger, size)):
        if hashlib.sha256(b"\x00" + commitment).digest() != leaves[index]:
            refuse(f"entry {index} is not what the tree has")
    below, height, count = leaves, 1, size // WIDTH
    while count:
        hashes = level(ledger / "tile", height, count)
        for index, found in enumerate(hashes):
            if tree(below[index * WIDTH : (index + 1) * WIDTH]) != found:
                refuse(f"hash {index} of level {height} is not that of its tile")
        below, height, count = hashes, height + 1, count // WIDTH
    print(size)


main()
