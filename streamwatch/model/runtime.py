"""What runs the encoder: ONNX Runtime in int8 or fp32, or torch, behind one small interface."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streamwatch.errors import ModelError
from streamwatch.model.artifacts import built_folder
from streamwatch.model.batches import Padded
from streamwatch.model.encoder import Encoder

RuntimeName = Literal["auto", "onnx-int8", "onnx-fp32", "torch"]
OnnxName = Literal["onnx-int8", "onnx-fp32"]
NAME_FILE = "encoder.txt"
MODEL_FILE = "encoder.onnx"
DATA_FILE = "encoder.onnx.data"
EXTERNAL_BYTES = 1_024
GRAPH_FILES_VERSION = 4
"""Raised whenever `graph.py` gives another graph for the same weights, so that files built before are not taken."""


class Vectors(NamedTuple):
    """The mean over each text's tokens `(rows, hidden)`; for each entity that over its own beside its text's.

    Shape of the second: `(entities, 2 * hidden)`.
    """

    texts: NDArray[np.float32]
    entities: NDArray[np.float32]


class Runtime(Protocol):
    """Runs the encoder on padded batches; `precision` is part of the model's version."""

    precision: str

    def embed(self, batch: Padded) -> Vectors:
        """Return the vectors of a batch's rows and entities."""


class OnnxRuntime:
    """Runs an encoder graph with ONNX Runtime on the CPU.

    Args:
        folder: Holds the graph and its weights, which are mapped rather than read.
        name: `onnx-int8` or `onnx-fp32`.
        threads: Threads of one batch; 0: as many as there are cores.
    """

    def __init__(self, folder: Path, name: str, threads: int) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as failures

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads sleep: on a machine that also runs a broker, spinning ones take the cores from it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the largest batch's memory for ever, and a batch's shapes differ from the next one's.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
        except (
            failures.Fail,
            failures.InvalidArgument,
            failures.InvalidGraph,
            failures.InvalidProtobuf,
            failures.NoSuchFile,
            failures.NotImplemented,
            failures.RuntimeException,
        ) as error:
            message = f"{folder}: ONNX Runtime cannot load it; delete the folder to build it again: {error}"
            raise ModelError(message) from error
        self.precision = name.removeprefix("onnx-")

    def embed(self, batch: Padded) -> Vectors:
        """Return the vectors of a batch's rows and entities."""
        texts: NDArray[np.float32]
        inputs = {"ids": batch.ids, "lengths": batch.lengths, "own": batch.own}
        if not len(batch.entities):
            (texts,) = self._session.run(["vectors"], inputs)
            return Vectors(texts, np.empty((0, 2 * texts.shape[1]), np.float32))
        texts, tokens = self._session.run(["vectors", "tokens"], inputs)
        rows, starts, ends = batch.entities.T
        places = np.arange(tokens.shape[1])
        named = (places >= starts[:, None]) & (places < ends[:, None])
        shares = (named / named.sum(axis=1, keepdims=True)).astype(np.float32)
        means = (shares[:, None, :] @ tokens[rows])[:, 0]
        return Vectors(texts, np.concatenate([means, texts[rows]], axis=1))


def open_runtime(encoder: Encoder, name: RuntimeName, *, threads: int, cache: Path) -> Runtime:
    """Make an encoder ready to run.

    Args:
        encoder: What to run.
        name: Which runtime; `auto`: torch where there is a CUDA GPU, else int8.
        threads: Threads of one batch on the CPU; 0: as many as there are cores.
        cache: Where the ONNX files are kept once built.

    Raises:
        ModelError: The runtime cannot run this encoder, or the cache cannot be used.
    """
    chosen = _best() if name == "auto" else name
    if chosen == "torch":
        from streamwatch.model.torch_runtime import TorchRuntime

        return TorchRuntime(encoder.module(), threads)
    return OnnxRuntime(graph_folder(encoder, chosen, cache), chosen, threads)


def graph_folder(encoder: Encoder, name: OnnxName, cache: Path) -> Path:
    """Return the folder of an encoder's ONNX files, built first if the cache does not hold them.

    Raises:
        ModelError: ONNX cannot run this encoder, or the cache cannot be written.
    """

    def build(folder: Path) -> None:
        write_graph(encoder, folder, int8=name == "onnx-int8")
        (folder / NAME_FILE).write_text(encoder.name, encoding="utf-8")

    return built_folder(cache, graph_folder_name(encoder.sha256, name), build)


def graph_folder_name(sha256: str, name: str) -> str:
    """Return what the folder of ONNX files is called in the cache: it says all that they depend on.

    Args:
        sha256: Of the encoder.
        name: Of the runtime.

    >>> graph_folder_name("f" * 64, "onnx-int8").rpartition("-v")[0]
    'ffffffffffffffff-onnx-int8'
    """
    return f"{sha256[:16]}-{name}-v{GRAPH_FILES_VERSION}"


def write_graph(encoder: Encoder, folder: Path, *, int8: bool) -> None:
    """Write the encoder's ONNX graph and, beside it, its weights, to be mapped."""
    import onnx

    from streamwatch.model.graph import encoder_graph

    onnx.save_model(
        encoder_graph(encoder.weights(), int8=int8),
        str(folder / MODEL_FILE),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=DATA_FILE,
        size_threshold=EXTERNAL_BYTES,
    )


def _best() -> Literal["torch", "onnx-int8"]:
    if not _cuda_driver():
        return "onnx-int8"
    import torch

    return "torch" if torch.cuda.is_available() else "onnx-int8"


def _cuda_driver() -> bool:
    """Say whether a CUDA driver is installed, without the seconds and megabytes of importing torch."""
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
