"""A taxonomy as one file of safetensors: vectors as tensors, names and keys as JSON in one of them; no code in it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamwatch.desk.taxonomy import Parts, Taxonomy
from streamwatch.errors import TaxonomyError


class Header(msgspec.Struct, frozen=True):
    """What stands beside the vectors.

    Attributes:
        model_version: Which model's vectors they are; those of another say nothing here.
        labels: The labels, in the order of the columns of `targets`.
        keys: What each example goes by, in the order of the rows.
    """

    model_version: str
    labels: list[str]
    keys: list[str]


def dump_taxonomy(taxonomy: Taxonomy, model_version: str) -> bytes:
    """Return a taxonomy as bytes that `parse_taxonomy` reads."""
    header = msgspec.json.encode(Header(model_version, taxonomy.labels, taxonomy.keys))
    tensors: dict[str, NDArray[Any]] = {
        "background": taxonomy.background.astype(np.float32),
        "header": np.frombuffer(header, np.uint8),
        **taxonomy.parts._asdict(),
    }
    return save(tensors)


def parse_taxonomy(data: bytes, model_version: str) -> Taxonomy:
    """Return the taxonomy that these bytes hold.

    Args:
        data: What `dump_taxonomy` gave.
        model_version: The model whose vectors it is going to be asked about.

    Raises:
        TaxonomyError: It is damaged, or its vectors come from another model.
    """
    try:
        tensors = load(data)
        header = msgspec.json.decode(tensors["header"].tobytes(), type=Header)
        background, parts = tensors["background"], Parts(tensors["vectors"], tensors["targets"])
    except (SafetensorError, KeyError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        message = f"not a taxonomy: {error}"
        raise TaxonomyError(message) from error
    if header.model_version != model_version:
        message = (
            f"the taxonomy was made with the model {header.model_version}, and {model_version} is running: "
            "make it again from the texts of its examples"
        )
        raise TaxonomyError(message)
    _check_shapes(header, background, parts)
    return Taxonomy.restore(background, header.labels, header.keys, parts)


def _check_shapes(header: Header, background: NDArray[np.float32], parts: Parts) -> None:
    expected = (len(header.keys), len(header.labels))
    wide = background.ndim == 2 and parts.vectors.shape == (len(header.keys), background.shape[1])
    if not wide or parts.targets.shape != expected or not np.isfinite(parts.vectors).all():
        shapes = f"{parts.vectors.shape} and {parts.targets.shape}"
        message = f"not a taxonomy: shapes {shapes} do not fit {expected[0]} examples and {expected[1]} labels"
        raise TaxonomyError(message)
