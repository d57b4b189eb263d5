"""Heads: small networks that turn an embedding into one number, read from public layouts without running their code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from curation.errors import UserError
from curation.models import weights

# Where the linear layers stand in the `nn.Sequential` of improved-aesthetic-predictor; dropouts are between them.
_FIVE = ("layers.0", "layers.2", "layers.4", "layers.6", "layers.7")


@dataclass(frozen=True)
class Head:
    """Linear layers on an embedding of length one, in float64.

    Known layouts:
      - one linear layer, `weight` and `bias`: LAION-AI/aesthetic-predictor (`sa_0_4_vit_l_14_linear.pth`);
      - five of them and nothing between, `layers.0` to `layers.7`: christophschuhmann/improved-aesthetic-predictor
        (`sac+logos+ava1-l14-linearMSE.pth`). They are multiplied into one when they are read;
      - `norm.mean`, `norm.variance` and `linear_1`, `linear_2`, … with rectifiers between them and a logistic at
        the end: LAION-AI/CLIP-based-NSFW-Detector in the form for PyTorch (`clip_autokeras_binary_nsfw.pth`).
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Weights (out, in) and biases (out); a rectifier stands between any two."""
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None
    logistic: bool = False

    @property
    def inputs(self) -> int:
        return int(self.layers[0][0].shape[1])

    def __call__(self, embeddings: np.ndarray) -> np.ndarray:
        """One number for each row of (n, inputs)."""
        values = embeddings
        if self.mean is not None and self.deviation is not None:
            values = (values - self.mean) / self.deviation
        for number, (weight, bias) in enumerate(self.layers):
            values = (np.maximum(values, 0) if number else values) @ weight.T + bias
        numbers: np.ndarray = values[:, 0]
        return 0.5 * (1 + np.tanh(numbers / 2)) if self.logistic else numbers


def head(address: str, key: str, inputs: int) -> Head:
    """The head in a file, by path or URL.

    Args:
        key: of the recipe, for errors.
        inputs: numbers in an embedding.

    Raises:
        UserError: the file is missing, is no file of weights, holds code, or is made for other embeddings.
    """
    file = weights.found(address, key)
    told = weights.without_secrets(address) if weights.is_url(address) else address
    read = _head(_tensors(file, f"{key}: {told}"), f"{key}: {told}")
    if read.inputs != inputs:
        raise UserError(
            f"{key}: {told} is made for embeddings of {read.inputs} numbers, those of score.clip have {inputs}; "
            "give the head that belongs to the model"
        )
    return read


def _tensors(file: Path, told: str) -> Mapping[str, np.ndarray]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.numpy import load_file

            tensors: Mapping[str, np.ndarray] = load_file(str(file))
        else:
            import torch

            state = torch.load(str(file), map_location="cpu", weights_only=True)
            tensors = {name: tensor.detach().float().numpy() for name, tensor in state.items()}
    except ImportError as error:
        raise UserError(f"{told} needs PyTorch to be read; pip install 'reelmill[models]'") from error
    except Exception as error:  # a damaged file raises anything
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{told} is no file of weights, or holds more than weights: {reason}") from error
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def _head(tensors: Mapping[str, np.ndarray], told: str) -> Head:
    try:
        if tensors.keys() == {"weight", "bias"}:
            return _checked(Head((_layer(tensors, ""),)))
        if tensors.keys() == {f"{layer}.{part}" for layer in _FIVE for part in ("weight", "bias")}:
            return _checked(Head((reduce(_after, (_layer(tensors, f"{layer}.") for layer in _FIVE)),)))
        numbered = sorted({name for name in tensors if re.fullmatch(r"linear_\d\.weight", name)})
        expected = {f"{name[:8]}.{part}" for name in numbered for part in ("weight", "bias")}
        if numbered and tensors.keys() == expected | {"norm.mean", "norm.variance"}:
            layers = tuple(_layer(tensors, f"{name[:8]}.") for name in numbered)
            return _checked(Head(layers, tensors["norm.mean"], np.sqrt(tensors["norm.variance"]), logistic=True))
    except ValueError as error:
        raise UserError(f"{told}: its layers do not fit together: {error}") from None
    names = ", ".join(sorted(tensors)[:6])
    raise UserError(f"{told}: no known layout of a head; it holds {names}; docs/scores.md lists the layouts")


def _layer(tensors: Mapping[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    return tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]


def _after(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Two linear layers as one."""
    return second[0] @ first[0], second[0] @ first[1] + second[1]


def _checked(head: Head) -> Head:
    """Raise a ValueError unless the layers give one number."""
    size = head(np.zeros((1, head.inputs))).shape
    if size != (1,) or head.layers[-1][0].shape[0] != 1:
        raise ValueError("the last one gives more than one number")
    return head
