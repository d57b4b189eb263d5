"""The optional libraries of the trainers, checked and set up when a command needs them."""

from __future__ import annotations

import os
from importlib.util import find_spec

from curation.errors import UserError

LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


def require_libraries(command: str) -> None:
    """Check that training can be imported.

    Raises:
        UserError: a library is missing; the line says what to install.
    """
    if any(find_spec(name) is None for name in LIBRARIES):
        raise UserError(f"reelmill {command} needs extra libraries: pip install 'reelmill[train]'")


def share_cores() -> None:
    """Let torch's waiting threads give their core away. Works only before torch is imported.

    OpenMP threads spin while they wait for each other, which slows two trainers on two cores to a
    seventh (measured); alone it makes no difference.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
