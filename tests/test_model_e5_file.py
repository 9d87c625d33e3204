import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.errors import ModelError
from streamwatch.model.e5_file import read_e5_file
from streamwatch.model.weights import Q4Matrix

HIDDEN, LAYERS, HEADS, FEED, POSITIONS = 32, 2, 2, 64, 64
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", ":", "▁good", "▁bad", "a", "b", "é"]


def tiny_encoder(version: int = 1) -> bytes:
    head = b"E5S1" + struct.pack("<I", version)
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, FEED, len(PIECES), POSITIONS, 2) + struct.pack("<fi", 1e-12, 1)
    texts = [piece.encode() for piece in PIECES]
    head += struct.pack("<5iQ", len(texts), 0, 2, 1, 3, sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.array([0, 0, 0, 0, *(-float(i) for i in range(4, len(texts)))], "<f4").tobytes() + b"".join(texts)
    mapped = struct.pack("<IB1I", 9, 1, 32) + struct.pack("<IB", 127, 0)
    head += struct.pack("<iI", 2, len(mapped)) + mapped
    tensors = _tensors()
    directory_bytes = 4 + sum(2 + len(name) + 21 for name, _, _, _ in tensors)
    offset, directory, data = len(head) + directory_bytes, struct.pack("<i", len(tensors)), b""
    for name, kind, elements, content in tensors:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, elements, offset + len(data), len(content))
        data += content
    return head + directory + data


def _tensors() -> list[tuple[str, int, int, bytes]]:
    draw = np.random.default_rng(7)

    def floats(name: str, count: int, centre: float = 0.0) -> tuple[str, int, int, bytes]:
        return name, 0, count, (centre + 0.1 * draw.standard_normal(count)).astype("<f4").tobytes()

    def blocks(name: str, out: int, into: int) -> tuple[str, int, int, bytes]:
        parts = (
            np.float16(0.05).tobytes() + draw.integers(0, 256, 16, np.uint8).tobytes() for _ in range(out * into // 32)
        )
        return name, 1, out * into, b"".join(parts)

    tensors = [
        blocks("emb.word", len(PIECES), HIDDEN),
        floats("emb.pos", POSITIONS * HIDDEN),
        floats("emb.type", 2 * HIDDEN),
        floats("emb.ln.w", HIDDEN, 1.0),
        floats("emb.ln.b", HIDDEN),
    ]
    shapes = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "ao": (HIDDEN, HIDDEN)}
    shapes |= {"fi": (FEED, HIDDEN), "fo": (HIDDEN, FEED)}
    for layer in range(LAYERS):
        for name, (out, into) in shapes.items():
            tensors += [blocks(f"l{layer}.{name}.w", out, into), floats(f"l{layer}.{name}.b", out)]
        for name in ("aln", "oln"):
            tensors += [floats(f"l{layer}.{name}.w", HIDDEN, 1.0), floats(f"l{layer}.{name}.b", HIDDEN)]
    return tensors


WHOLE = tiny_encoder()


def test_a_good_file_gives_its_pieces_and_weights(tmp_path: Path) -> None:
    (tmp_path / "e5.bin").write_bytes(WHOLE)
    file = read_e5_file(tmp_path / "e5.bin")
    assert [piece for piece, _ in file.pieces.pieces] == PIECES
    assert file.pieces.normalisation == {9: " ", 127: ""}
    weights = file.weights()
    assert weights.hidden == HIDDEN
    assert weights.word_table().shape == (len(PIECES), HIDDEN)
    assert weights.layers[1].feed_in.weight.shape == (64, HIDDEN)


def test_nibbles_in_onnx_order_are_the_same_numbers() -> None:
    draw = np.random.default_rng(1)
    matrix = Q4Matrix(np.full((3, 2), 0.5, np.float16), draw.integers(0, 256, (3, 2, 16), np.uint8))
    packed = matrix.sequential()
    pairs = np.stack([packed & 15, packed >> 4], axis=2).reshape(3, 64)
    assert np.array_equal((pairs.astype(np.float32) - 8) * 0.5, matrix.dequantised())


@settings(max_examples=200, deadline=None)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_says_so(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.bin"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(ModelError, match=r"cut\.bin"):
        read_e5_file(path).weights()


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 700), value=st.integers(0, 255))
def test_a_wrong_byte_in_the_tables_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] = value
    path = tmp_path_factory.getbasetemp() / "wrong.bin"
    path.write_bytes(damaged)
    with contextlib.suppress(ModelError):
        read_e5_file(path).weights()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + WHOLE[4:], "no e5 file"),
        (tiny_encoder(version=9), "version 9"),
        (WHOLE.replace(b"l1.fo.w", b"l1.xx.w"), "tensor l1.fo.w is missing"),
        (WHOLE[:-4] + b"\x00\x00\xc0\x7f", "no numbers"),
    ],
)
def test_the_reason_is_in_the_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "e5.bin"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        read_e5_file(path).weights()


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_e5_file(tmp_path / "none.bin")
