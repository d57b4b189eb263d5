"""A manifest with one threshold moved, everything else in it as it was."""

from __future__ import annotations

import io
import re
from typing import Any

from curation import validate
from curation.errors import UserError
from curation.phases.select.what_if import End
from curation.recipe import Recipe
from curation.recipe_select import Bound


def moved(text: str, field: str, end: End, bound: Bound | None, *, name: str) -> str:
    """The YAML of a manifest in which one bound of the first rule that has it is another; comments stay.

    Where no rule has the bound, a rule on the column takes it, or else a new one does.

    Args:
        bound: None takes the bound away, and the rule with it where nothing else is left of it.
        name: of the manifest, for errors.

    Raises:
        UserError: ruamel.yaml is missing, or what would come out is no manifest.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.comments import CommentedMap
    except ImportError:
        raise UserError("writing manifests needs ruamel.yaml: pip install 'reelmill[notebooks]'") from None
    before = validate.loads(text, Recipe, name=name)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    if re.search(r"^sources:[^\n]*\n(?:\s*#[^\n]*\n)*\s+- ", text, re.MULTILINE):
        yaml.indent(mapping=2, sequence=4, offset=2)
    document: Any = yaml.load(text)
    chosen = document.setdefault("select", CommentedMap())
    if "rules" not in chosen:
        chosen["rules"] = [rule.model_dump(mode="json", exclude_defaults=True) for rule in before.select.rules]
    rules = chosen["rules"]
    having = [rule for rule in rules if rule["field"] == field]
    rule = next((rule for rule in having if _bound(rule, end) is not None), None)
    if rule is None:
        rule = next((rule for rule in having if _on_numbers(rule)), None)
    if rule is None and bound is None:
        return text
    if rule is None:
        rule = CommentedMap(field=field)
        rule.fa.set_flow_style()
        rules.append(rule)
    low, high = _bound(rule, "min"), _bound(rule, "max")
    low, high = (bound, high) if end == "min" else (low, bound)
    if low is None and high is None:
        rules.remove(rule)
    else:
        _put(rule, low, high)
    written = io.StringIO()
    yaml.dump(document, written)
    validate.loads(written.getvalue(), Recipe, name=name)
    return written.getvalue()


def _on_numbers(rule: dict[str, Any]) -> bool:
    return any(rule.get(name) is not None for name in ("min", "max", "between"))


def _bound(rule: dict[str, Any], end: End) -> Bound | None:
    if rule.get("between") is not None:
        return rule["between"][0 if end == "min" else 1]
    return rule.get(end)


def _put(rule: dict[str, Any], low: Bound | None, high: Bound | None) -> None:
    """Write the bounds of a rule in the way in which they stand there already."""
    if rule.get("between") is not None and low is not None and high is not None:
        rule["between"][0], rule["between"][1] = low, high
        return
    rule.pop("between", None)
    for end, bound in (("min", low), ("max", high)):
        if bound is None:
            rule.pop(end, None)
        else:
            rule[end] = bound
