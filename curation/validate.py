"""YAML files to validated configuration objects, with errors that a person can act on.

Every configuration of the project (dataset manifests, training recipes) is a pydantic model that
derives from `Config`. Errors name the file, the line, the key and the nearest valid key.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from curation.errors import UserError

Key = tuple[Union[str, int], ...]


class Config(BaseModel):
    """Base of all configuration: immutable, unknown keys refused, a docstring under each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Config)


def load(path: str | Path, model: type[Model], overrides: Sequence[str] = ()) -> Model:
    """Read a YAML file, apply `key=value` overrides, and validate.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, or a value does not fit.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from None
    return loads(text, model, overrides, name=str(path))


def loads(text: str, model: type[Model], overrides: Sequence[str] = (), *, name: str) -> Model:
    """The same for the text of a file that `name` stands for in errors."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise UserError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if data is None:
        raise UserError(f"{name}: the file is empty; it needs at least one key of {_listed(model.model_fields)}")
    if not isinstance(data, dict):
        raise UserError(f"{name}:1: expected keys and values, found {_kind(data)}")
    return parse(data, model, overrides, name=name, lines=_lines(tree))


def parse(
    data: Mapping[str, Any],
    model: type[Model],
    overrides: Sequence[str] = (),
    *,
    name: str = "",
    lines: Mapping[Key, int] | None = None,
) -> Model:
    """Validate a mapping; `name` and `lines` (from `load`) say where in a file a key stands."""
    data = {key: _copied(value) for key, value in data.items()}
    set_by_hand = {_override(data, override, model) for override in overrides}
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(_sentence(first, model, data, name, lines or {}, set_by_hand)) from None


def resolved(config: Config) -> dict[str, Any]:
    """The configuration with every default filled in, as plain YAML-ready values."""
    return config.model_dump(mode="json", by_alias=True)


def as_yaml(config: Config | Mapping[str, Any]) -> str:
    """A configuration, or the plain values of one, in the order of its keys."""
    settings = resolved(config) if isinstance(config, Config) else dict(config)
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100)


def fingerprint(*parts: Any) -> str:
    """A sha256 over JSON-ready values: equal values give equal text on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def _override(data: dict[str, Any], override: str, model: type[BaseModel]) -> Key:
    """Apply one `a.b.0.c=value`; the value is read as YAML. Returns the key that it sets.

    A list that the file does not give is first filled with its default, so that `rules.0.min` means
    the first of the default rules.
    """
    dotted, equals, text = override.partition("=")
    keys = [int(part) if part.isdigit() else part for part in dotted.strip().split(".")]
    if not equals or not all(str(key) for key in keys):
        raise UserError(f"--set {override}: expected key=value, for instance split.max_seconds=10")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: the value is not valid YAML; put quotes around it") from None
    place: Any = data
    for depth, (key, following) in enumerate(zip(keys, keys[1:]), start=1):
        if isinstance(place, dict):
            if place.get(str(key)) is None:
                place[str(key)] = _default(model, keys[:depth]) if isinstance(following, int) else {}
            place = place[str(key)]
        elif isinstance(place, list) and isinstance(key, int) and key < len(place):
            place = place[key]
        else:
            raise UserError(f"--set {override}: there is no {key!r} to set {following!r} in")
    last = keys[-1]
    if isinstance(place, dict):
        place[str(last)] = value
    elif isinstance(place, list) and isinstance(last, int) and last <= len(place):
        place[last : last + 1] = [value]
    else:
        raise UserError(f"--set {override}: there is no place for {last!r}")
    return tuple(keys)


def _default(model: type[BaseModel], keys: Sequence[str | int]) -> Any:
    """The default of a nested key in plain values; an empty mapping where there is none."""
    value: Any = model
    for key in keys:
        fields = value.model_fields if hasattr(value, "model_fields") else {}
        if key not in fields:
            return {}
        value = fields[str(key)].get_default(call_default_factory=True)
    if isinstance(value, list):
        return [item.model_dump(exclude_unset=True) if isinstance(item, BaseModel) else item for item in value]
    return {}


def _lines(node: yaml.Node | None, key: Key = ()) -> dict[Key, int]:
    """The line, from 1, on which every key of a composed YAML document stands."""
    found: dict[Key, int] = {}
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            found[(*key, name.value)] = name.start_mark.line + 1
            found.update(_lines(value, (*key, name.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found[(*key, number)] = value.start_mark.line + 1
            found.update(_lines(value, (*key, number)))
    return found


def _sentence(
    error: Any, model: type[BaseModel], data: Any, name: str, lines: Mapping[Key, int], set_by_hand: set[Key]
) -> str:
    key = tuple(part for part in error["loc"] if _in_document(part))
    dotted = ".".join(str(part) for part in key)
    if any(key[: len(hand)] == hand for hand in set_by_hand):
        where = "--set "
    else:
        line = next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), None)
        where = f"{name}:{line}: " if line else f"{name}: " if name else ""
    if error["type"] == "extra_forbidden":
        siblings = _fields(model, key[:-1])
        near = difflib.get_close_matches(str(key[-1]), siblings, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"the keys here are {_listed(siblings)}"
        return f"{where}unknown key {dotted!r}; {advice}"
    if error["type"] == "missing":
        return f"{where}{dotted!r} is required"
    if error["type"] in ("model_type", "model_attributes_type"):
        return f"{where}{dotted}: must be keys and values, not {_kind(error['input'])}"
    if error["type"] == "string_pattern_mismatch":
        return f"{where}{dotted}: {error['input']!r} does not match {error['ctx']['pattern']}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] in ("too_short", "too_long"):
        least = error["ctx"].get("min_length")
        return f"{where}{dotted}: {f'must have at least {least}' if least else 'has too many'}"
    if error["type"] == "value_error":
        return f"{where}{dotted}: {message}" if dotted else f"{where}{message}"
    return f"{where}{dotted}: must be {message}, not {_kind(error['input'])}"


def _in_document(part: str | int) -> bool:
    """Whether a part of pydantic's location is a key of the file and not a name of a type."""
    return isinstance(part, int) or not (part[:1].isupper() or "[" in part or part in ("str", "int", "float", "bool"))


def _fields(model: Any, key: Key) -> list[str]:
    """The valid keys at a place in a model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        if not key:
            return list(fields)
        return _fields(fields.get(str(key[0])), key[1:])
    if get_origin(model) in (Union, types.UnionType):
        return [name for choice in get_args(model) for name in _fields(choice, key)]
    arguments = get_args(model)
    if not arguments or not key:
        return []
    return _fields(arguments[0] if arguments[-1] is Ellipsis else arguments[-1], key[1:])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return repr(value)
