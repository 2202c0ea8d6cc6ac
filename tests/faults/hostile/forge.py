"""The refused vectors of schemas/vectors, made anew with the keys of a running site.

forge.py GENERATE KEYS NOW KID: GENERATE is schemas/vectors/generate.py, KEYS a keys.json in its form, NOW the site's time,
KID the name of the relay's key. Prints a list of {name, reason, envelope}.
"""

import json
import pathlib
import sys

generate, keys, now, kid = sys.argv[1:]
source = pathlib.Path(generate).read_text()
for old, new in (("NOW = 4102444800", f"NOW = {int(now)}"), ('"relay-enc"', json.dumps(kid))):
    assert old in source, old
    source = source.replace(old, new)
vectors = {"__name__": "vectors", "__file__": keys}
exec(compile(source, generate, "exec"), vectors)
made = [{"name": name, "reason": reason, "envelope": envelope} for name, _, reason, envelope in vectors["refused"]()]
json.dump(made, sys.stdout)
