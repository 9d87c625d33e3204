"""What routes get from the app that they are part of."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from streamwatch.desk.desk import Desk


def _desk(connection: HTTPConnection) -> Desk:
    found: Desk = connection.app.state.desk
    return found


DeskOf = Annotated[Desk, Depends(_desk)]
