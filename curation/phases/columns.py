"""Which column of a table holds what, and a table's record as the fields of an input."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from curation.addresses import open_columns
from curation.errors import UserError
from curation.phases import ranges
from curation.recipe import Columns
from curation.store import without_secrets
from curation.tables import Row

_FIELDS = {"uri": "uri", "source_id": "id", "caption": "caption", "category": "category", "licence": "licence"}
_OF_RANGES = ("start", "end", "ranges")


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
            self._columns[field] = self._checked(wanted, names, table, f"{key}.{option}")
        asked = {option: getattr(given, option) for option in _OF_RANGES}
        self._of_ranges = {
            option: self._checked(name, names, table, f"{key}.{option}")
            for option, name in asked.items()
            if name is not None
        }

    @staticmethod
    def _checked(wanted: str, names: list[str], table: str, where: str) -> str:
        if wanted not in names:
            near = difflib.get_close_matches(wanted, names, n=1)
            advice = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(names) or "none"
            raise UserError(
                f"{without_secrets(table)}: no column {wanted!r} (set by {where}); {advice}its columns are: {listed}"
            )
        return wanted

    def row(self, record: Mapping[Any, Any]) -> Row:
        """The record's fields as text, its ranges where columns of such are named, and its other columns in `meta`."""
        row: Row = dict.fromkeys(_FIELDS)
        row |= {field: _text(record[name]) for field, name in self._columns.items() if name in record}
        taken = {*self._columns.values(), *self._of_ranges.values(), None}
        rest = {str(name): value for name, value in record.items() if name not in taken and value not in (None, "")}
        row["meta"] = json.dumps(open_columns(rest), ensure_ascii=False, sort_keys=True, default=str)
        # csv keeps cells beyond the header under None: then no cell of the row can be trusted.
        row["error"] = "the row has more cells than the header" if None in record else None
        if self._of_ranges and row["error"] is None:
            row["caption"] = None
            try:
                row["ranges"] = self._ranges(record)
            except ValueError as error:
                row["error"] = str(error)
        return row

    def _ranges(self, record: Mapping[Any, Any]) -> list[Row]:
        cells = {option: record.get(name) for option, name in self._of_ranges.items()}
        caption = record.get(self._columns.get("caption", "")) or None
        if "ranges" in cells:
            return ranges.of_film(cells["ranges"], caption)
        return [ranges.of_clip(cells["start"], cells["end"], caption)]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).strip() or None
