"""The configuration: one TOML file and the environment, parsed once into frozen classes.

The file is `--config FILE`, else `STREAMWATCH_CONFIG`, else `streamwatch.toml` in the working directory, else
defaults. Any key may come from the environment as `STREAMWATCH_SECTION__KEY`, which wins over the file. Secrets
come only from the environment, or from a file that a `..._file` key names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from streamwatch.errors import ConfigError

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Port = Annotated[int, Meta(ge=0, le=65_535)]

DEFAULT_FILE = "streamwatch.toml"
ENV_PREFIX = "STREAMWATCH_"
SECRET_KEYS = ("kafka.sasl_password", "mask.author_key")


class Secret:
    """A string that shows itself only when asked: printing or logging it gives `***`.

    >>> Secret("hunter2")
    Secret('***')
    >>> Secret("hunter2").reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value


class KafkaConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach Kafka, in Kafka's own words. Empty `bootstrap_servers`: the local broker of `state_dir`."""

    bootstrap_servers: str = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: Secret | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "streamwatch"
    partitions: Annotated[int, Meta(ge=1, le=1_000)] = 4
    replication_factor: Annotated[int, Meta(ge=1, le=9)] = 1

    def password(self) -> Secret | None:
        """Return the SASL password from the environment or from the file that `sasl_password_file` names."""
        if self.sasl_password is not None or self.sasl_password_file is None:
            return self.sasl_password
        return _read_secret("kafka.sasl_password_file", self.sasl_password_file)


class MaskConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The key that turns authors into pseudonyms; none: one is made and kept in `state_dir`."""

    author_key: Secret | None = None
    author_key_file: Path | None = None

    def key(self) -> Secret | None:
        """Return the key from the environment or from the file that `author_key_file` names."""
        if self.author_key is not None or self.author_key_file is None:
            return self.author_key
        return _read_secret("mask.author_key_file", self.author_key_file)


class StoreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the Delta tables are and when they are tidied. Empty `url`: the folder `tables` of `state_dir`."""

    url: str = ""
    flush_after_s: Seconds = 2.0
    flush_rows: Positive = 50_000
    compact_every_commits: Positive = 50
    vacuum_after_h: Annotated[float, Meta(ge=0, le=1e5)] = 24.0


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which encoder runs, and how. `threads` 0: as many as there are cores for each replica.

    `weights` is a folder that `streamwatch.learn.train` wrote; none: the model that comes with streamwatch. What is
    built from it once is kept in `cache_dir`; none: the user's cache folder. Of a text the first `max_tokens` are
    read, and of the post that it answers the first `context_tokens`; 0: replies are read alone.
    """

    base: str = "multilingual-e5-small"
    weights: Path | None = None
    cache_dir: Path | None = None
    runtime: Literal["auto", "onnx-int8", "onnx-fp32", "torch"] = "auto"
    threads: Annotated[int, Meta(ge=0)] = 0
    micro_batch_tokens: Annotated[int, Meta(ge=512)] = 2_048
    max_tokens: Annotated[int, Meta(ge=16, le=384)] = 256
    context_tokens: Annotated[int, Meta(ge=0, le=128)] = 48


class ServeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The Ray Serve application that scores."""

    replicas: Positive = 1
    retry_for_s: Seconds = 240.0


class ScoreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The SCORE stage: consumers of posts, rows of a micro-batch, micro-batches in flight for each consumer.

    A reply is read with what it answers if that stands at most `reply_reach` offsets before it in its partition; 0:
    replies are read alone.
    """

    members: Positive = 1
    micro_batch_posts: Annotated[int, Meta(ge=1, le=10_000)] = 256
    in_flight: Positive = 4
    max_future_s: Seconds = 300.0
    reply_reach: Annotated[int, Meta(ge=0, le=1_000_000)] = 5_000
    session_timeout_s: Annotated[float, Meta(ge=6)] = 10.0


class WatchConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The WATCH stage's ideas of time, and how often it writes down its state."""

    allowed_lateness_s: Seconds = 60.0
    idle_after_s: Seconds = 30.0
    checkpoint_every_s: Annotated[float, Meta(ge=0.1)] = 5.0


class AlertmanagerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Prometheus Alertmanager is; empty `url`: alerts go to the log and the stream only."""

    url: str = ""
    repost_every_s: Annotated[float, Meta(ge=1)] = 30.0
    timeout_s: Annotated[float, Meta(gt=0)] = 5.0


class WatchdogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When the monitor complains of itself: a silent source, a lag that grows, dead letters, a stage that is down.

    A source is silent after `silence_after_s` at the earliest, and later where silence is usual. A post that was
    published more than `live_within_s` ago says nothing of its source: it is of a replay.
    """

    silence_after_s: Annotated[float, Meta(ge=1, le=1e9)] = 600.0
    live_within_s: Annotated[float, Meta(ge=1, le=1e9)] = 3_600.0
    lag_messages: Positive = 1_000
    lag_grows_for_s: Annotated[float, Meta(ge=10, le=1e9)] = 300.0
    dead_letters: Positive = 10
    dead_letters_for_s: Annotated[float, Meta(ge=10, le=1e9)] = 300.0
    down_after_s: Annotated[float, Meta(ge=1, le=1e9)] = 60.0


class MonitorsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which file declares the monitors; none: the one that comes with streamwatch."""

    file: Path | None = None


class RayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which Ray cluster: `local` starts one for this run, `auto` joins the one around it."""

    address: str = "local"


class DeskConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The desk: HTTP for analysts and their programs, served once a token exists.

    Of each token `requests_per_s` are answered over time, and `burst` at once. SQL may take `sql_timeout_s`, give
    `sql_rows` and use `sql_memory_mb`. A live subscriber that is `live_backlog` events behind is cut off. A label is
    settled once `agreeing` people say the same.
    """

    host: str = "127.0.0.1"
    port: Port = 8420
    session_h: Annotated[float, Meta(gt=0, le=8_760)] = 12.0
    requests_per_s: Annotated[float, Meta(gt=0, le=1e6)] = 50.0
    burst: Positive = 200
    refresh_every_s: Annotated[float, Meta(ge=0.05, le=3_600)] = 1.0
    sql_timeout_s: Annotated[float, Meta(gt=0, le=3_600)] = 10.0
    sql_rows: Positive = 10_000
    sql_memory_mb: Annotated[int, Meta(ge=512)] = 4_096
    live_backlog: Annotated[int, Meta(ge=16, le=1_000_000)] = 2_000
    agreeing: Annotated[int, Meta(ge=1, le=9)] = 1


class MetricsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where `/metrics`, `/health` and `/status` are served. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port = 9464


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting of streamwatch."""

    state_dir: Path = Path(".streamwatch")
    kafka: KafkaConfig = field(default_factory=KafkaConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    alertmanager: AlertmanagerConfig = field(default_factory=AlertmanagerConfig)
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)
    monitors: MonitorsConfig = field(default_factory=MonitorsConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    desk: DeskConfig = field(default_factory=DeskConfig)

    def store_url(self) -> str:
        """Return the root of the tables: `store.url`, else the folder `tables` in `state_dir`."""
        return self.store.url or str(self.state_dir.resolve() / "tables")


def load_config(file: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration from its file and the environment.

    Args:
        file: The file that the user named, if any.
        environ: The environment, such as `os.environ`.

    Raises:
        ConfigError: The file cannot be read, or a key is unknown or has a wrong value.
    """
    named = file or (Path(environ["STREAMWATCH_CONFIG"]) if environ.get("STREAMWATCH_CONFIG") else None)
    path = named or Path(DEFAULT_FILE)
    settings = _read(path) if named or path.exists() else {}
    for key in SECRET_KEYS:
        section, name = key.split(".")
        if isinstance(settings.get(section), dict) and name in settings[section]:
            expected = f"it in {_variable(key)}, or a file in {key}_file"
            raise ConfigError(str(path), key, "a secret in the file", expected)
    config = _convert(settings, str(path), strict=True)
    from_environment = _environment(environ)
    if not from_environment:
        return config
    return _convert(_merge(settings, from_environment), None, strict=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "(file)", error.strerror, "a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "(file)", str(error), "valid TOML") from error


def _read_secret(key: str, path: Path) -> Secret:
    try:
        return Secret(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(str(path), key, error.strerror, "a readable file") from error


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in `STREAMWATCH_SECTION__KEY` variables, as nested strings."""
    settings: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENV_PREFIX) or variable == "STREAMWATCH_CONFIG":
            continue
        section, separator, key = variable.removeprefix(ENV_PREFIX).lower().partition("__")
        if separator:
            settings.setdefault(section, {})[key] = value
        elif section == "state_dir":
            settings[section] = value
    return settings


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _decode_special(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    message = f"Expected `str`, got `{type(value).__name__}`" if value != "" else "Expected a path"
    raise ValueError(message)


def _convert(settings: dict[str, Any], file: str | None, *, strict: bool) -> Config:
    """Return the settings as a Config; without a file, what is wrong with them came from the environment."""
    try:
        return msgspec.convert(settings, type=Config, strict=strict, dec_hook=_decode_special)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `")
        key = where.rstrip("`").removeprefix("$").lstrip(".")
        found, expected = _lookup(settings, key), reason.removeprefix("Expected ").replace("`", "")
        if "unknown field" in reason:
            known = ", ".join(_known_keys(key))
            key = f"{key}.{reason.split('`')[1]}".lstrip(".")
            found, expected = "an unknown key", f"one of: {known}"
        elif "enum value" in reason:
            expected = f"one of: {', '.join(_choices(key))}"
        raise ConfigError(file or _variable(key), key, found, expected) from error


def _variable(key: str) -> str:
    """Return the environment variable that sets a key.

    >>> _variable("kafka.prefix")
    'STREAMWATCH_KAFKA__PREFIX'
    """
    return ENV_PREFIX + key.replace(".", "__").upper()


def _lookup(settings: dict[str, Any], key: str) -> object:
    found: object = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return "***" if key in SECRET_KEYS else found


def _known_keys(section: str) -> list[str]:
    """Return the keys that a section (empty: the file's top) may hold.

    >>> _known_keys("serve")
    ['replicas', 'retry_for_s']
    """
    kind: Any = type(getattr(Config(), section)) if section else Config
    return [key.name for key in msgspec.structs.fields(kind)]


def _choices(key: str) -> tuple[str, ...]:
    """Return the words that a key may be.

    >>> _choices("kafka.sasl_mechanism")
    ('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512')
    """
    section, _, name = key.rpartition(".")
    choices: tuple[str, ...] = get_args(get_type_hints(type(getattr(Config(), section)))[name])
    return choices
