from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from streamwatch.cli.main import run_command

START = datetime(2015, 2, 26, 21, 42, 53, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def instant(row: int) -> str:
    return (START + timedelta(hours=row)).strftime("%Y-%m-%d %H:%M:%S")


def lines(rows: int = 24 * 6, surge: int = 24 * 5) -> list[str]:
    counts = np.random.default_rng(1).poisson(20.0, rows)
    counts[surge : surge + 5] *= 20
    return ["timestamp,value", *(f"{instant(row)},{count}" for row, count in enumerate(counts.tolist()))]


def write(name: str, text: list[str]) -> None:
    Path(name).write_text("\n".join(text) + "\n", encoding="utf-8")


def read(name: str) -> list[list[str]]:
    with Path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_every_row_gets_its_line_and_a_surge_one_alert(capsys: pytest.CaptureFixture[str]) -> None:
    write("mentions.csv", lines())
    assert run_command(["spikes", "mentions.csv", "alerts.csv", "-o", "json"]) == 0
    found = read("alerts.csv")
    assert found[0] == ["timestamp", "alert"]
    assert [row[0] for row in found[1:]] == [instant(row) for row in range(24 * 6)]
    assert {row[1] for row in found[1:]} == {"0", "1"}
    assert [place for place, row in enumerate(found[1:]) if row[1] == "1" and place >= 24 * 5] == [24 * 5]
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rows"], summary["bad_rows"], summary["step_s"]) == (24 * 6, 0, 3_600.0)
    assert summary["alerts"][-1]["timestamp"] == instant(24 * 5)
    assert summary["alerts"][-1]["value"] > 10 * summary["alerts"][-1]["expected"]


def test_a_file_that_is_cut_gives_the_same_rows() -> None:
    write("whole.csv", lines())
    write("cut.csv", lines()[: 24 * 5 + 3])
    for name in ("whole", "cut"):
        assert run_command(["spikes", f"{name}.csv", f"{name}.out"]) == 0
    assert read("cut.out") == read("whole.out")[: 24 * 5 + 3]


def test_timestamps_stay_as_they_are_written_and_columns_may_stand_otherwise() -> None:
    rows = [f"x,7,{(START + timedelta(minutes=5 * row)).isoformat()}" for row in range(20)]
    write("iso.csv", ["name, Value , timestamp", *rows])
    assert run_command(["spikes", "iso.csv", "out.csv"]) == 0
    assert read("out.csv")[1] == ["2015-02-26T21:42:53+00:00", "0"]
    assert len(read("out.csv")) == 21


def test_bad_rows_are_named_get_no_alert_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    whole = lines()
    bad = [*whole[:50], "yesterday,7", f"{instant(48)},7", f"{instant(49)},-3", "", instant(50), *whole[52:]]
    write("bad.csv", bad)
    assert run_command(["spikes", "bad.csv", "out.csv"]) == 0
    told = capsys.readouterr().err
    assert "bad.csv:51: `timestamp`: found 'yesterday', expected a time" in told
    assert "bad.csv:52: `timestamp`: found '2015-02-28 21:42:53', expected one after the row before" in told
    assert "bad.csv:53: `value`: found '-3', expected a count" in told
    assert "bad.csv:55: found 1 cells, expected 2" in told
    found = read("out.csv")
    assert len(found) == len([row for row in bad if row])
    assert found[50] == ["yesterday", "0"]
    assert "1" in [row[1] for row in found[1:]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["time,count", "a,1"], "bad.csv:1: found the line 'time,count', expected the header timestamp,value"),
        ([], "bad.csv:1: found no line, expected the header"),
        (["timestamp,value", "a,1"], "bad.csv: found 1 bad rows and no other"),
        (["timestamp,value"], "bad.csv: found 0 bad rows and no other"),
    ],
)
def test_a_file_that_is_no_series_is_an_error(text: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("bad.csv", text)
    assert run_command(["spikes", "bad.csv", "out.csv"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("out.csv").exists()


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["spikes", "none.csv", "out.csv"]) == 1
    assert "none.csv: No such file" in capsys.readouterr().err


def test_rows_go_to_stdout_alone(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    write("mentions.csv", lines())
    assert run_command(["spikes", "mentions.csv", "-"]) == 0
    told = capsysbinary.readouterr()
    assert told.out.splitlines()[0] == b"timestamp,alert"
    assert len(told.out.splitlines()) == 24 * 6 + 1
    assert b"144 rows, 0 of them bad" in told.err
    assert run_command(["spikes", "mentions.csv", "-", "-o", "json"]) == 2


def test_the_picture_shows_series_and_alerts() -> None:
    write("mentions.csv", lines())
    assert run_command(["spikes", "mentions.csv", "out.csv", "--plot", "out.png"]) == 0
    picture = imread("out.png")
    assert picture.shape[1] > picture.shape[0] > 400
    red = (picture[..., 0] > 0.7) & (picture[..., 1] < 0.2)
    assert red.any(), "an alert is marked"


def test_without_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mentions.csv", lines())
    monkeypatch.delitem(sys.modules, "streamwatch.cli.spikes_plot", raising=False)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_command(["spikes", "mentions.csv", "out.csv", "--plot", "out.png"]) == 1
    assert "pip install 'matplotlib>=3.10'" in capsys.readouterr().err
    assert not Path("out.csv").exists()


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["spikes", "--help"]) == 0
    assert "streamwatch spikes mentions.csv alerts.csv --plot alerts.png" in capsys.readouterr().out
