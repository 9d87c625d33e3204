"""The files in `infra/` are what they say."""

import tomllib
from pathlib import Path

import msgspec

from streamwatch.config import Config, load_config

INFRA = Path(__file__).parents[1] / "infra"


def test_sample_configuration_holds_every_default() -> None:
    assert load_config(INFRA / "streamwatch.toml", {}) == Config()


def test_sample_configuration_names_every_key() -> None:
    text = (INFRA / "streamwatch.toml").read_text()
    written = tomllib.loads(text)
    defaults = msgspec.to_builtins(Config(), enc_hook=str)
    for section, value in defaults.items():
        for key in value if isinstance(value, dict) else ():
            named = key in written.get(section, {}) or f"# {key} = " in text
            assert named or f"STREAMWATCH_{section}__{key}".upper() in text, f"{section}.{key} is not in the sample"
