"""An alert is computed again from the stored posts, and whatever was changed shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable

from streamwatch.errors import StoreError
from streamwatch.store.proof import Proof, Prover
from streamwatch.store.rows import RowDecoder, rows_table
from streamwatch.watch.monitors import Monitors
from tests.scored_rows import Row, monitors, scored
from tests.stored_posts import CONFIG, RULES, Chain, quiet_day, stored_day, talk

SURGE = "text = 'negative at 245.0'"
MORE_RULES = Monitors((*RULES.monitors, *monitors(name='"more"', group_by='"source"').monitors))


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return stored_day(tmp_path_factory.mktemp("store"))


@pytest.fixture
def day(unchanged: Chain, tmp_path: Path) -> Chain:
    """A copy of the store that a test may change."""
    copy = Chain(tmp_path / "store")
    shutil.copytree(unchanged.tables.url, copy.tables.url, dirs_exist_ok=True)
    copy.alerts = unchanged.alerts
    return copy


def prove(chain: Chain, *, from_start: bool = False, fingerprint: str = "", known: Monitors = RULES) -> Proof:
    prover = Prover(chain.tables, chain.history, known, CONFIG, from_start=from_start)
    return prover.prove(fingerprint or chain.alerts[0].fingerprint)


def fields(proof: Proof) -> set[str]:
    return {difference.field for telling in proof.tellings for difference in telling.differences}


def change_posts(chain: Chain, where: str) -> None:
    updates = {"sentiment": "'positive'", "entities": "NULL"}
    changed = DeltaTable(f"{chain.tables.url}/posts").update(updates=updates, predicate=where)
    assert changed["num_updated_rows"] == 1


def remove_posts(chain: Chain, where: str) -> None:
    assert DeltaTable(f"{chain.tables.url}/posts").delete(where)["num_deleted_rows"] > 0


@pytest.mark.parametrize("from_start", [False, True])
def test_every_telling_of_an_alert_comes_out_again(unchanged: Chain, *, from_start: bool) -> None:
    proof = prove(unchanged, from_start=from_start)
    assert [(telling.status, telling.differences) for telling in proof.tellings] == [
        (alert.status, []) for alert in unchanged.alerts
    ]
    assert proof.tellings[-1].status == "resolved"
    assert len(unchanged.alerts) >= 3
    assert proof.same
    assert (proof.replays[0].from_time is None) == from_start


def test_a_tampered_post_shows(day: Chain) -> None:
    change_posts(day, SURGE)
    proof = prove(day)
    assert not proof.same
    assert {"seen", "count", "negative", "surprise"} <= fields(proof)
    assert "window_start" not in fields(proof)


def test_a_tampered_text_of_the_evidence_shows(day: Chain) -> None:
    loudest = day.alerts[0].evidence[0]
    DeltaTable(f"{day.tables.url}/posts").update(updates={"text": "'all is well'"}, predicate=f"id = '{loudest.id}'")
    assert "evidence[0].text" in fields(prove(day))


def test_a_tampered_post_of_long_ago_shows_from_the_start(day: Chain) -> None:
    change_posts(day, "text = 'negative at 37'")
    assert prove(day).same
    assert "expected" in fields(prove(day, from_start=True))


def test_an_alert_that_the_posts_no_longer_make_shows(day: Chain) -> None:
    updates = {"sentiment": "'neutral'", "entities": "NULL"}
    DeltaTable(f"{day.tables.url}/posts").update(updates=updates, predicate="text LIKE 'negative%'")
    (telling, *_) = prove(day).tellings
    assert [(one.field, one.stored, one.replayed) for one in telling.differences] == [("alert", "told", "not told")]


@pytest.mark.parametrize(
    ("where", "from_start"),
    [("source_offset <= 25", False), ("source_offset >= {last}", False), ("source_offset <= 5", True)],
)
def test_posts_that_are_gone_make_no_proof(day: Chain, where: str, *, from_start: bool) -> None:
    remove_posts(day, where.format(last=day.alerts[-1].provenance.source_offsets["0"]))
    with pytest.raises(StoreError, match=r"offset \d+ of source partition 0 is not in the table posts"):
        prove(day, from_start=from_start)


def test_an_alert_from_before_there_was_a_history_is_proved_from_the_first_post(day: Chain) -> None:
    shutil.rmtree(Path(day.tables.url) / "_history")
    assert prove(day).same
    with pytest.raises(StoreError, match="was not kept"):
        prove(day, known=MORE_RULES)


def test_an_alert_is_proved_with_the_monitors_of_its_time(day: Chain) -> None:
    assert prove(day, known=MORE_RULES).same


def test_monitors_that_were_changed_in_the_store_are_refused(day: Chain) -> None:
    file = Path(day.tables.url) / "_history" / f"monitors-{RULES.hash}.json"
    file.write_text(file.read_text(encoding="utf-8").replace("24.0", "25.0"), encoding="utf-8")
    with pytest.raises(StoreError, match="were changed"):
        prove(day, known=MORE_RULES)


def test_a_state_of_another_version_is_told_and_passed_by_from_the_start(day: Chain) -> None:
    point = day.history.read(day.history.points()[-1])
    day.history.add(msgspec.structs.replace(point, program="0.0.9", watch=b"\x00"))
    with pytest.raises(StoreError, match=r"streamwatch 0\.0\.9 wrote it and can, or try --from-start"):
        prove(day)
    assert prove(day, from_start=True).same


def test_an_alert_that_posts_did_not_make_has_nothing_to_replay(day: Chain) -> None:
    provenance = msgspec.structs.replace(day.alerts[0].provenance, source_offsets={})
    alert = msgspec.structs.replace(day.alerts[0], fingerprint="f" * 16, provenance=provenance)
    row = RowDecoder("alerts").decode(msgspec.json.encode(alert), 99)
    day.tables.append("alerts", rows_table("alerts", [row]), {})
    with pytest.raises(StoreError, match="was not made from posts"):
        prove(day, fingerprint="f" * 16)


def test_an_alert_that_is_not_there_cannot_be_proved(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no alert has the fingerprint '0123'"):
        prove(Chain(tmp_path), fingerprint="0123")


def test_an_alert_that_outlives_its_monitors_file_is_proved_in_parts(tmp_path: Path) -> None:
    chain, rows = Chain(tmp_path), quiet_day()
    middle = next(index for index, row in enumerate(rows) if row.minute > 252)
    chain.take(scored(rows[:middle]))
    chain.commit()
    assert [alert.status for alert in chain.alerts] == ["firing"]
    chain.restart(MORE_RULES)
    chain.take(scored(rows[middle:], first_offset=middle))
    chain.promise(0, 600)
    chain.commit()
    proof = prove(chain)
    assert proof.same
    assert [replay.monitors_hash for replay in proof.replays] == [RULES.hash, MORE_RULES.hash]
    assert len(proof.tellings) == len({alert.updated_at for alert in chain.alerts if alert.monitor == "test"})


def test_the_end_of_an_alert_whose_monitor_is_gone_is_no_verdict(tmp_path: Path) -> None:
    chain, rows = Chain(tmp_path), [row for row in quiet_day() if row.minute < 256]
    chain.take(scored(rows))
    chain.commit()
    chain.restart(monitors(name='"other"'))
    chain.close()
    chain.commit()
    assert [alert.status for alert in chain.alerts] == ["firing", "resolved"]
    proof = prove(chain)
    assert [telling.status for telling in proof.tellings] == ["firing"]
    assert proof.same


def test_an_alert_that_is_told_again_because_another_joins_it_is_proved(tmp_path: Path) -> None:
    #  the alert fires at 250, and grows until 260; at 270 a second monitor with longer hops fires, and both are related
    second = monitors(name='"second"', hop='"30m"', measure='"negative_count"')
    rules = Monitors((*RULES.monitors, *second.monitors))
    chain, rows = Chain(tmp_path, rules), [row for row in quiet_day() if row.minute < 275]
    for first_offset in range(0, len(rows), 40):
        chain.take(scored(rows[first_offset : first_offset + 40], first_offset=first_offset))
    chain.commit()
    first = chain.alerts[0]
    assert first.related == []
    told = [alert for alert in chain.alerts if alert.fingerprint == first.fingerprint]
    assert told[-1].related
    assert told[-1].provenance.watermark == told[-1].updated_at
    assert prove(chain, known=rules).same


def test_posts_after_a_broken_promise_were_late(tmp_path: Path) -> None:
    #  talk … 244 ▶ the source promises that nothing before 250 follows ▶ ten more negative posts of 246 come
    chain, rows = Chain(tmp_path), [row for row in quiet_day() if row.minute < 245]
    chain.take(scored(rows))
    chain.promise(0, 250)
    chain.take(scored(talk([246] * 10, "negative"), first_offset=len(rows)))
    later = [row for row in quiet_day() if row.minute >= 250]
    chain.take(scored(later, first_offset=len(rows) + 10))
    chain.promise(0, 600)
    chain.commit()
    assert chain.watch.late_posts == 10
    assert [floor.offset for floor in chain.history.floors()] == [len(rows)]
    assert prove(chain).same


def test_posts_of_a_partition_that_was_idle_were_late(tmp_path: Path) -> None:
    #  partition 1 is idle, so 0 goes on alone to 252; then 1 brings negative posts of 248, and one of 259
    chain, rows = Chain(tmp_path), quiet_day()
    chain.watch.assign([0, 1])
    chain.take(scored(talk([1, 2], entity="IBM"), partition=1))
    first = [row for row in rows if row.minute < 253]
    chain.take(scored(first), idle=[1])
    chain.take(scored(talk([*[248] * 10, 259], "negative"), partition=1, first_offset=2))
    rest = [row for row in rows if row.minute >= 253]
    chain.take(scored(rest, first_offset=len(first)), idle=[1])
    chain.promise(0, 600)
    chain.promise(1, 600)
    chain.commit()
    assert chain.watch.late_posts == 10
    assert [(floor.partition, floor.offset) for floor in chain.history.floors()] == [(1, 2)]
    assert prove(chain).same


def test_after_a_loss_of_the_state_the_proof_begins_where_watch_began_again(tmp_path: Path) -> None:
    chain, rows = Chain(tmp_path), quiet_day()
    chain.take(scored(talk(range(0, 240, 2), "negative")))
    chain.commit()
    again = Chain(tmp_path)
    again.take(scored([Row(row.minute, row.entities, row.sentiment) for row in rows], first_offset=120))
    again.promise(0, 600)
    again.commit()
    proof = prove(again)
    assert proof.same
    assert proof.replays[0].after == {0: 119}
