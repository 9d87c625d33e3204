"""`streamwatch prove`: an alert computed again from the stored posts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import note, progress_bar
from streamwatch.cli.stopping import sigterm_interrupts
from streamwatch.errors import StoreError

if TYPE_CHECKING:
    from streamwatch.config import Config
    from streamwatch.store.proof import Proof

EXAMPLE = "Example: streamwatch prove 3f9c; streamwatch prove 3f9c41d2a7b05e68 --from-start -o json"
DIFFERENT, CANNOT = 1, 2


def command(
    fingerprint: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="Of the alert; its first digits do.")],
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Replay everything that the alert's baselines rest on; takes long.")
    ] = False,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Prove an alert: replay its posts and compare every verdict.

    The posts of the recorded offsets pass through the monitors of that time once more. Ends with 0 if the same
    comes out, 1 if something differs (it says what), 2 if posts or monitors are not in the store any more.
    """
    from streamwatch.cli.prove_view import show

    config = read_config(config_file)
    with sigterm_interrupts():
        try:
            proof = _prove(config, fingerprint, from_start=from_start)
        except StoreError as error:
            note(f"cannot be proved: {error}")
            raise typer.Exit(CANNOT) from None
    show(proof, output)
    if not proof.same:
        raise typer.Exit(DIFFERENT)


def _prove(config: Config, fingerprint: str, *, from_start: bool) -> Proof:
    from streamwatch.store.history import History
    from streamwatch.store.proof import Prover
    from streamwatch.store.tables import Tables
    from streamwatch.watch.monitors import load_monitors

    url = config.store_url()
    monitors = load_monitors(config.monitors.file)
    history = History(url, config.kafka.prefix)
    prover = Prover(Tables(url), history, monitors, config.watch, from_start=from_start)
    with progress_bar("{task.completed:,} of {task.total:,} posts") as bar:
        task = bar.add_task("Replaying", total=0)
        return prover.prove(fingerprint, lambda done, total: bar.update(task, completed=done, total=total))
