"""Which column of a table holds what, and a table's record as the fields of an input."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from curation.addresses import open_columns
from curation.errors import UserError
from curation.recipe import Columns
from curation.store import without_secrets
from curation.tables import Row

_FIELDS = {"uri": "uri", "source_id": "id", "caption": "caption", "category": "category", "licence": "licence"}


class Columned:
    """Reads records of one table by the manifest's column mapping.

    Without a mapping the columns are looked up by the names uri, id, caption, category and licence.

    Raises:
        UserError: a column that the manifest names is not in the table.
    """

    def __init__(self, columns: Columns | None, names: list[str], table: str, key: str):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(f"{without_secrets(table)}: the column {twice[0]!r} stands in it twice; rename one")
        given = columns or Columns()
        self._columns: dict[str, str] = {}
        for field, option in _FIELDS.items():
            wanted = getattr(given, option)
            if wanted is None and option in names:
                wanted = option
            if wanted is None:
                continue
            if wanted not in names:
                near = difflib.get_close_matches(wanted, names, n=1)
                advice = f"did you mean {near[0]!r}? " if near else ""
                listed = ", ".join(names) or "none"
                raise UserError(
                    f"{without_secrets(table)}: no column {wanted!r} (set by {key}.{option}); {advice}"
                    f"its columns are: {listed}"
                )
            self._columns[field] = wanted

    def row(self, record: Mapping[Any, Any]) -> Row:
        """The record's fields as text, and its other columns as JSON in `meta`."""
        row: Row = dict.fromkeys(_FIELDS)
        row |= {field: _text(record[name]) for field, name in self._columns.items() if name in record}
        taken = {*self._columns.values(), None}
        rest = {str(name): value for name, value in record.items() if name not in taken and value not in (None, "")}
        row["meta"] = json.dumps(open_columns(rest), ensure_ascii=False, sort_keys=True, default=str)
        # csv keeps cells beyond the header under None: then no cell of the row can be trusted.
        row["error"] = "the row has more cells than the header" if None in record else None
        return row


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).strip() or None
