"""Clips to decisions: the recipe's rules on columns, with every reason. Never decodes anything."""

from curation.phases.select.decide import decide
from curation.phases.select.rules import OF_CAPTION, Resolved, columns

__all__ = ["OF_CAPTION", "Resolved", "columns", "decide"]
