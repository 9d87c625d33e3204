"""Snapshots: the whole state of a watch as bytes, in msgpack and Arrow IPC."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct

from streamwatch.errors import StoreError
from streamwatch.records import Alert
from streamwatch.watch.alerts import OpenAlert
from streamwatch.watch.baseline import Memory
from streamwatch.watch.distinct import Tally
from streamwatch.watch.frames import pack_frame, unpack_frame
from streamwatch.watch.grouping import Grouping, GroupingKey
from streamwatch.watch.groups import SUMS
from streamwatch.watch.keys import Codes, Keys
from streamwatch.watch.origins import Origins
from streamwatch.watch.phrases import Background
from streamwatch.watch.tracks import Track
from streamwatch.watch.windows import ClosedPanes, Pane

VERSION = 3


class PastState(Struct):
    """A part of a detector's memory: what holds for all keys, and its columns as floats, row by row."""

    totals: list[float]
    at_us: int | None
    sums: bytes


class TrackState(Struct):
    """One monitor at work."""

    name: str
    definition: str
    since_us: int
    first_us: int | None
    end_us: int
    pasts: list[PastState]
    common: list[PastState]
    alerts: dict[str, OpenAlert]
    curves: bytes


class GroupingState(Struct):
    """Panes, keys and monitors of one grouping."""

    group_by: tuple[str, ...]
    hop_us: int
    codes: list[str]
    names: list[str]
    last_us: list[int]
    open: bytes
    closed: bytes
    tallies: dict[str, tuple[bytes, bytes]]
    samples: bytes
    common: bytes
    volumes: bytes
    background: Background
    learned_us: int | None
    origins: Origins
    visited_us: int | None
    closed_until_us: int
    tracks: list[TrackState]


class WatchState(Struct):
    """Everything."""

    version: int
    watermarks: dict[int, int]
    watermark: int | None
    late_posts: int
    groupings: list[GroupingState]
    abandoned: list[Alert]


def write_state(state: WatchState) -> bytes:
    """Return a state as bytes."""
    return msgspec.msgpack.encode(state)


def read_state(data: bytes) -> WatchState:
    """Read a state.

    Raises:
        StoreError: The bytes are no snapshot, or one of another version.
    """
    try:
        state = msgspec.msgpack.decode(data, type=WatchState)
    except msgspec.DecodeError as error:
        message = f"not a snapshot of the watch, version {VERSION}: {error}"
        raise StoreError(message) from error
    if state.version != VERSION:
        message = f"a snapshot of version {state.version}, expected {VERSION}"
        raise StoreError(message)
    return state


def grouping_state(grouping: Grouping) -> GroupingState:
    """Return the state of a grouping."""
    return GroupingState(
        group_by=grouping.key.group_by,
        hop_us=grouping.key.hop_us,
        codes=grouping.codes.whole(),
        names=grouping.keys.names,
        last_us=grouping.keys.last_us.tolist(),
        open=pack_frame(grouping.open.whole()),
        closed=pack_frame(_closed_frame(grouping.closed)),
        tallies={
            name: (pack_frame(tally.whole()), pack_frame(_tally_frame(grouping.closed, name)))
            for name, tally in grouping.tallies.items()
        },
        samples=pack_frame(grouping.samples.whole()),
        common=pack_frame(grouping.common.whole()),
        volumes=pack_frame(grouping.volumes.whole()),
        background=grouping.background,
        learned_us=grouping.learned_us,
        origins=grouping.origins,
        visited_us=grouping.visited_us,
        closed_until_us=grouping.closed_until_us,
        tracks=[_track_state(track) for track in grouping.tracks],
    )


def restore_grouping(grouping: Grouping, state: GroupingState) -> None:
    """Give a grouping its state back; monitors that are new or defined otherwise stay as they are."""
    grouping.codes = Codes(state.codes)
    grouping.keys = Keys(state.names, state.last_us)
    grouping.open.restore(unpack_frame(state.open))
    grouping.closed = _closed_panes(unpack_frame(state.closed))
    for name, tally in grouping.tallies.items():
        if name in state.tallies:
            still_open, closed = (unpack_frame(part) for part in state.tallies[name])
            tally.restore(still_open)
            _restore_tally(grouping.closed, name, closed)
    grouping.samples.restore(unpack_frame(state.samples))
    grouping.common.restore(unpack_frame(state.common))
    grouping.volumes.restore(unpack_frame(state.volumes), len(grouping.keys))
    grouping.background = state.background
    grouping.learned_us = state.learned_us
    grouping.origins = state.origins
    grouping.visited_us = state.visited_us
    grouping.closed_until_us = state.closed_until_us
    known = {(track.name, track.definition): track for track in state.tracks}
    for track in grouping.tracks:
        found = known.get((track.monitor.name, track.monitor.hash))
        if found is not None:
            _restore_track(track, found, grouping)


def kept_monitors(states: Iterable[GroupingState]) -> dict[tuple[GroupingKey, str, str], TrackState]:
    """Return the monitors of a snapshot by grouping, name and definition."""
    return {
        (GroupingKey(tuple(state.group_by), state.hop_us), track.name, track.definition): track
        for state in states
        for track in state.tracks
    }


def _track_state(track: Track) -> TrackState:
    return TrackState(
        name=track.monitor.name,
        definition=track.monitor.hash,
        since_us=track.since_us,
        first_us=track.first_us,
        end_us=track.window.end_us,
        pasts=[_past_state(past) for past in track.detector.pasts],
        common=[_past_state(past) for past in track.detector.common],
        alerts=track.book.open,
        curves=pack_frame(track.curves.whole()),
    )


def _restore_track(track: Track, state: TrackState, grouping: Grouping) -> None:
    track.first_us = state.first_us
    track.window.restore(state.end_us, len(grouping.keys), grouping.closed)
    track.earlier.restore(state.end_us - track.length_us, len(grouping.keys), grouping.closed)
    for past, kept in zip(track.detector.pasts, state.pasts, strict=True):
        _restore_past(past, kept)
    for past, kept in zip(track.detector.common, state.common, strict=True):
        _restore_past(past, kept)
    track.book.open = state.alerts
    track.curves.restore(unpack_frame(state.curves))


def _past_state(past: Memory) -> PastState:
    return PastState(past.totals.tolist(), past.at_us, past.sums.astype(_little(past)).tobytes())


def _restore_past(past: Memory, state: PastState) -> None:
    past.totals, past.at_us = np.array(state.totals), state.at_us
    columns = np.frombuffer(state.sums, _little(past)).astype(past.sums.dtype)
    past.sums = columns.reshape(len(past.sums), -1)


def _little(past: Memory) -> np.dtype[np.generic]:
    return past.sums.dtype.newbyteorder("<")


def _closed_frame(closed: ClosedPanes) -> pl.DataFrame:
    columns = {
        "pane": [np.full(len(pane.keys), pane.start_us) for pane in closed.panes],
        "key": [pane.keys for pane in closed.panes],
        **{name: [pane.sums[index] for pane in closed.panes] for index, name in enumerate(SUMS)},
    }
    none = [np.zeros(0, np.int64)]
    return pl.DataFrame({name: np.concatenate(values or none) for name, values in columns.items()})


def _closed_panes(frame: pl.DataFrame) -> ClosedPanes:
    return ClosedPanes(
        [
            Pane(start_us, part["key"].to_numpy(), np.ascontiguousarray(part.select(SUMS).to_numpy().T))
            for (start_us,), part in frame.group_by("pane", maintain_order=True)
        ]
    )


def _tally_frame(closed: ClosedPanes, measure: str) -> pl.DataFrame:
    schema = dict.fromkeys(("pane", *Tally._fields), pl.Int64)
    parts = [
        pl.DataFrame({"pane": pane.start_us, **pane.tallies[measure]._asdict()}, schema=schema)
        for pane in closed.panes
        if measure in pane.tallies
    ]
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _restore_tally(closed: ClosedPanes, measure: str, frame: pl.DataFrame) -> None:
    parts = {start_us: part for (start_us,), part in frame.group_by("pane")}
    for place, pane in enumerate(closed.panes):
        if pane.start_us in parts:
            tally = Tally(*(parts[pane.start_us][name].to_numpy() for name in Tally._fields))
            closed.panes[place] = pane._replace(tallies={**pane.tallies, measure: tally})
