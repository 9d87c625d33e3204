"""The files in `schemas/` say what the code does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streamwatch.codec import HEARTBEAT_HEADER, SCORED_SCHEMA, DeadLetter
from streamwatch.config import KafkaConfig
from streamwatch.ingest.deadletters import dead_letter_message
from streamwatch.records import RECORDS
from streamwatch.schema_files import schema_text, write_schemas
from streamwatch.streams import KINDS, all_streams, stream_name

FOLDER = Path(__file__).parents[1] / "schemas"


@pytest.fixture(scope="module")
def asyncapi() -> Any:
    return yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDS)
def test_json_schemas_equal_the_types(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == schema_text(name)


@pytest.mark.parametrize("name", RECORDS)
def test_json_schemas_are_sound_and_their_examples_valid(name: str) -> None:
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        jsonschema.Draft202012Validator(schema).validate(example)


def test_schemas_can_be_written_again(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_text(encoding="utf-8") == (FOLDER / file.name).read_text(encoding="utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in FOLDER.glob("*.json")}


def test_asyncapi_has_every_stream_as_it_is_made(asyncapi: Any) -> None:
    assert asyncapi["asyncapi"] == "3.0.0"
    assert set(asyncapi["channels"]) == set(KINDS)
    prefix = asyncapi["components"]["parameters"]["prefix"]["default"]
    assert prefix == KafkaConfig().prefix
    streams = {stream.name: stream for stream in all_streams(KafkaConfig())}
    for kind, channel in asyncapi["channels"].items():
        stream = streams[channel["address"].format(prefix=prefix)]
        assert stream.name == stream_name(kind, prefix)
        topic = channel["bindings"]["kafka"]
        assert topic["partitions"] == stream.partitions
        settings = topic["topicConfiguration"]
        assert settings["cleanup.policy"] == [stream.settings["cleanup.policy"]]
        assert str(settings["max.message.bytes"]) == stream.settings["max.message.bytes"]


def test_every_reference_in_asyncapi_leads_somewhere(asyncapi: Any) -> None:
    references = list(_references(asyncapi))
    assert references
    for reference in references:
        if reference.startswith("#/"):
            found = asyncapi
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
        else:
            assert (FOLDER / reference).is_file()


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_json_schema_is_the_payload_of_a_message(asyncapi: Any) -> None:
    payloads = [message["payload"] for message in asyncapi["components"]["messages"].values()]
    files = {payload["schema"]["$ref"] for payload in payloads if "$ref" in payload.get("schema", {})}
    assert files == {f"{name}.json" for name in RECORDS}


def test_asyncapi_names_the_headers_that_are_sent(asyncapi: Any) -> None:
    messages = asyncapi["components"]["messages"]
    assert list(messages["heartbeat"]["headers"]["properties"]) == [HEARTBEAT_HEADER]
    _, short = dead_letter_message(DeadLetter("s", 0, 0, "r", b""), "score")
    _, long = dead_letter_message(DeadLetter("s", 0, 0, "r", b"x" * 20_000_000), "score")
    headers = messages["dead-letter"]["headers"]
    assert headers["required"] == [name for name, _ in short]
    assert list(headers["properties"]) == [name for name, _ in long]


def test_the_readme_describes_the_columns_of_scored() -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").split("## scored")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    expected = [[f"`{field.name}`", f"`{field.type}`", "yes" if field.nullable else "no"] for field in SCORED_SCHEMA]
    assert [row[:3] for row in rows] == expected
    assert all(row[3] for row in rows)
