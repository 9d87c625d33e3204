"""The configuration: what it takes, and what it says when something is wrong."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from streamwatch.config import Config, KafkaConfig, Secret, load_config
from streamwatch.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "streamwatch.toml"


def load(file: Path, text: str, **environ: str) -> Config:
    file.write_text(text, encoding="utf-8")
    return load_config(file, environ)


def failure(file: Path, text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(file, text, **environ)
    return caught.value


def test_without_a_file_and_variables_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}) == Config()


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "streamwatch.toml").write_text('[kafka]\nprefix = "here"\n')
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}).kafka.prefix == "here"


def test_a_named_file_wins_over_the_variable_and_that_over_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("streamwatch.toml", "variable.toml", "named.toml"):
        (tmp_path / name).write_text(f'[kafka]\nprefix = "{name}"\n')
    monkeypatch.chdir(tmp_path)
    environ = {"STREAMWATCH_CONFIG": str(tmp_path / "variable.toml")}
    assert load_config(tmp_path / "named.toml", environ).kafka.prefix == "named.toml"
    assert load_config(None, environ).kafka.prefix == "variable.toml"


def test_every_kind_of_key_is_read_from_the_file(file: Path) -> None:
    config = load(
        file,
        """
        state_dir = "state"
        [kafka]
        bootstrap_servers = "a:9092,b:9092"
        security_protocol = "SASL_SSL"
        ssl_cafile = "ca.pem"
        partitions = 8
        [store]
        url = "s3://bucket/tables"
        flush_after_s = 1
        """,
    )
    assert config.state_dir == Path("state")
    assert config.kafka.bootstrap_servers == "a:9092,b:9092"
    assert config.kafka.ssl_cafile == Path("ca.pem")
    assert config.kafka.partitions == 8
    assert config.store.flush_after_s == 1.0
    assert config.store_url() == "s3://bucket/tables"


def test_the_tables_are_in_the_state_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert Config(state_dir=tmp_path).store_url() == str(tmp_path / "tables")


def test_variables_win_over_the_file_and_take_its_types(file: Path) -> None:
    config = load(
        file,
        "[kafka]\npartitions = 8\nreplication_factor = 3\n",
        STREAMWATCH_KAFKA__PARTITIONS="2",
        STREAMWATCH_STORE__FLUSH_AFTER_S="0.5",
        STREAMWATCH_KAFKA__SASL_USERNAME="007",
        STREAMWATCH_STATE_DIR="/var/lib/streamwatch",
        STREAMWATCH_MONITORS__FILE="~/monitors.toml",
    )
    assert config.kafka.partitions == 2
    assert config.kafka.replication_factor == 3
    assert config.store.flush_after_s == 0.5
    assert config.kafka.sasl_username == "007"
    assert config.state_dir == Path("/var/lib/streamwatch")
    assert config.monitors.file == Path("~/monitors.toml").expanduser()


def test_other_variables_with_our_prefix_are_left_alone() -> None:
    """Kubernetes sets such for a Service of our name."""
    assert load_config(None, {"STREAMWATCH_PORT_8000_TCP_ADDR": "10.0.0.1", "STREAMWATCH_SERVICE_HOST": "x"})


@pytest.mark.parametrize(
    ("text", "key", "found", "expected"),
    [
        ("[kafka]\npartitions = 0", "kafka.partitions", 0, "int >= 1"),
        ('[kafka]\npartitions = "4"', "kafka.partitions", "4", "int, got str"),
        ("[kafka]\nnope = 1", "kafka.nope", "an unknown key", "one of: bootstrap_servers, security_protocol"),
        ("[nope]\nx = 1", "nope", "an unknown key", "one of: state_dir, kafka"),
        ("kafka = 3", "kafka", 3, "object, got int"),
        ("state_dir = 5", "state_dir", 5, "str, got int"),
        ('[monitors]\nfile = ""', "monitors.file", "", "a path"),
        ("[store]\nvacuum_after_h = inf", "store.vacuum_after_h", float("inf"), "float <= 100000"),
        (
            '[kafka]\nsecurity_protocol = "TLS"',
            "kafka.security_protocol",
            "TLS",
            "one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        ('[model]\nruntime = "gpu"', "model.runtime", "gpu", "one of: auto, onnx-int8, onnx-fp32, torch"),
        ('[kafka]\nprefix = "a b"', "kafka.prefix", "a b", "str matching regex"),
    ],
)
def test_a_wrong_setting_names_file_key_found_and_expected(
    file: Path, text: str, key: str, found: object, expected: str
) -> None:
    error = failure(file, text)
    assert (error.place, error.key, error.found) == (str(file), key, found)
    assert error.expected.startswith(expected)
    assert str(error) == f"{file}: {key}: found {found!r}, expected {error.expected}"


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("STREAMWATCH_KAFKA__PARTITIONS", "seven", "kafka.partitions"),
        ("STREAMWATCH_KAFKA__SASL_MECHANISM", "MD5", "kafka.sasl_mechanism"),
        ("STREAMWATCH_KAFKA__NOPE", "1", "kafka.nope"),
        ("STREAMWATCH_STORE__FLUSH_AFTER_S", "nan", "store.flush_after_s"),
        ("STREAMWATCH_MONITORS__FILE", "", "monitors.file"),
    ],
)
@pytest.mark.parametrize("text", ["", "[kafka]\npartitions = 3\n"])
def test_a_wrong_variable_is_named(file: Path, text: str, variable: str, value: str, key: str) -> None:
    error = failure(file, text, **{variable: value})
    assert error.key == key
    assert error.place == variable


@pytest.mark.parametrize(
    ("text", "found"),
    [("[kafka", "end of a table declaration"), ("a = 1\na = 2", "overwrite"), ("\x00", "Invalid")],
)
def test_a_file_that_is_no_toml_says_where(file: Path, text: str, found: str) -> None:
    error = failure(file, text)
    assert error.place == str(file)
    assert found in str(error.found)


def test_a_file_that_is_not_utf8_or_not_there_says_so(file: Path) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="valid TOML"):
        load_config(file, {})
    with pytest.raises(ConfigError, match="No such file"):
        load_config(None, {"STREAMWATCH_CONFIG": str(file.with_name("nowhere.toml"))})


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ('[kafka]\nsasl_password = "hunter2"', "STREAMWATCH_KAFKA__SASL_PASSWORD"),
        ('[mask]\nauthor_key = "hunter2"', "STREAMWATCH_MASK__AUTHOR_KEY"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(file: Path, text: str, variable: str) -> None:
    error = failure(file, text)
    assert variable in str(error)
    assert "hunter2" not in str(error)


def test_a_secret_comes_from_a_variable_or_a_file(file: Path) -> None:
    from_variable = load(file, "", STREAMWATCH_KAFKA__SASL_PASSWORD="hunter2")
    assert from_variable.kafka.password() == Secret("hunter2")
    secret = file.with_name("password")
    secret.write_text("hunter3\n")
    from_file = load(file, f'[kafka]\nsasl_password_file = "{secret}"')
    assert from_file.kafka.password() == Secret("hunter3")
    assert KafkaConfig().password() is None
    secret.unlink()
    with pytest.raises(ConfigError, match=r"kafka\.sasl_password_file.*No such file"):
        from_file.kafka.password()


def test_a_secret_never_shows(file: Path) -> None:
    config = load(file, "", STREAMWATCH_KAFKA__SASL_PASSWORD="hunter2")
    assert "hunter2" not in f"{config} {config!r} {config.kafka.sasl_password}"
    error = failure(file, "", STREAMWATCH_KAFKA__SASL_PASSWORD="hunter2", STREAMWATCH_KAFKA__PARTITIONS="x")
    assert "hunter2" not in str(error)


def test_a_config_and_its_errors_go_to_other_processes(file: Path) -> None:
    config = load(file, "", STREAMWATCH_KAFKA__SASL_PASSWORD="hunter2")
    assert pickle.loads(pickle.dumps(config)) == config
    error = failure(file, "x = 1")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_environment_of_this_process_can_be_given() -> None:
    assert load_config(None, {name: os.environ[name] for name in os.environ if not name.startswith("STREAMWATCH_")})
