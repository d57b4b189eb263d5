"""The errors that a user can cause, and the one rule about them.

A `UserError` carries one line that says what is wrong and what to do. The command line prints
that line and exits with 2; for the two faults of a run that are no user's it exits with 1. Any other
exception that reaches the command line is a bug.
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave cannot be used: one line, what is wrong and what to do."""


class StoreError(UserError):
    """A place cannot be read or written (missing, full, read-only, refused, timed out)."""


class Unreachable(StoreError):
    """A server does not answer as it should; the same request may succeed later."""


class TooLarge(StoreError):
    """A file is larger than the recipe allows."""


class Incomplete(Exception):
    """Some units failed every time. The others are done; a further run tries these again."""


class LedgerError(Exception):
    """A sum does not hold: something was lost or counted twice. A bug, or an output that was changed."""
