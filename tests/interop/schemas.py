"""The published contracts as checks: JSON read strictly, and every text held against its JSON Schema."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

JSONObject = dict[str, Any]
MAX_DEPTH = 16


class ContractBroken(Exception):
    """Something sent or received does not keep the published contract; the text says what and where."""


def default_folder() -> Path:
    """Return the nearest `schemas/` above this file. Raises ContractBroken if there is none."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "schemas" / "claims.schema.json").is_file():
            return folder / "schemas"
    raise ContractBroken("no folder schemas/ above the client; say where it is with --schemas")


def parse(data: bytes) -> JSONObject:
    """Read one JSON object as the contract wants it.

    Refused, besides what is not JSON in UTF-8: repeated members, numbers with fraction or exponent,
    NaN and infinities, more than 16 levels of objects and arrays.
    """

    def members(pairs: list[tuple[str, Any]]) -> JSONObject:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ContractBroken("a member stands twice")
        return found

    def no_number(text: str) -> Any:
        raise ContractBroken(f"not a whole number: {text}")

    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=members, parse_float=no_number, parse_constant=no_number
        )
    except (ValueError, RecursionError) as error:
        raise ContractBroken(f"not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise ContractBroken("not a JSON object")
    if _depth(value) > MAX_DEPTH:
        raise ContractBroken(f"deeper than {MAX_DEPTH} levels")
    return value


def check_tenant(code: str) -> None:
    """Check a tenant code's check digit, which no schema expresses. Raises ContractBroken."""
    total = sum(weight * int(digit) for weight, digit in zip((6, 5, 4, 3, 2), code[:5], strict=True))
    if (11 - total % 11) % 10 != int(code[5]):
        raise ContractBroken(f"tenant {code}: wrong check digit")


class Schemas:
    """All schemas of one folder, with formats asserted and patterns read as ECMA-262."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "claims.schema.json").is_file():
            raise ContractBroken(f"{folder}: no claims.schema.json here; give the project's schemas/ with --schemas")
        self.folder = folder
        registry: Registry = Registry()
        self._names: dict[str, str] = {}
        for file in sorted(folder.rglob("*.schema.json")):
            schema = json.loads(file.read_bytes())
            name = file.relative_to(folder).as_posix().removesuffix(".schema.json")
            # log/events has no $id; it refers only to itself, so any name will do.
            identity = schema.get("$id", f"https://nakatsugi.example/schemas/{name}.schema.json")
            registry = registry.with_resource(identity, DRAFT202012.create_resource(schema))
            self._names[name] = identity
        self._registry = registry
        self._validators: dict[str, Any] = {}

    def check(self, name: str, value: Any) -> None:
        """Hold `value` against `<name>.schema.json`. Raises ContractBroken, naming the first place that breaks it."""
        if name not in self._validators:
            if name not in self._names:
                raise ContractBroken(f"no schema {name} in {self.folder}")
            self._validators[name] = _Validator(
                {"$ref": self._names[name]}, registry=self._registry, format_checker=_FORMATS
            )
        error = jsonschema.exceptions.best_match(self._validators[name].iter_errors(value))
        if error is not None:
            raise ContractBroken(f"{name}: {error.json_path}: {error.message[:200]}")


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    # In ECMA-262 `$` is the very end of the text; in Python it also matches before a last line feed.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(Draft202012Validator, {"pattern": _pattern})
_FORMATS = FormatChecker(formats=["date"])
