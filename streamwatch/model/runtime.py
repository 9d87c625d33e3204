"""What runs the encoder: ONNX Runtime in int8 or fp32, or torch, behind one small interface."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streamwatch.errors import ModelError
from streamwatch.model.artifacts import built_folder
from streamwatch.model.batches import Padded
from streamwatch.model.encoder import Encoder

RuntimeName = Literal["auto", "onnx-int8", "onnx-fp32", "torch"]
MODEL_FILE = "encoder.onnx"
DATA_FILE = "encoder.onnx.data"
EXTERNAL_BYTES = 1_024
GRAPH_FILES_VERSION = 1
"""Raised whenever `graph.py` gives another graph for the same weights, so that files built before are not taken."""


class Runtime(Protocol):
    """Runs the encoder on padded batches; `precision` is part of the model's version."""

    precision: str

    def embed(self, batch: Padded) -> NDArray[np.float32]:
        """Return the unit vectors of a batch's rows, `(rows, hidden)`."""


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

    def embed(self, batch: Padded) -> NDArray[np.float32]:
        """Return the unit vectors of a batch's rows, `(rows, hidden)`."""
        vectors: NDArray[np.float32]
        (vectors,) = self._session.run(["vectors"], {"ids": batch.ids, "lengths": batch.lengths})
        return vectors


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

    def build(folder: Path) -> None:
        write_graph(encoder, folder, int8=chosen == "onnx-int8")

    name_in_cache = f"{encoder.sha256[:16]}-{chosen}-v{GRAPH_FILES_VERSION}"
    return OnnxRuntime(built_folder(cache, name_in_cache, build), chosen, threads)


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
