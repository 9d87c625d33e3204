"""`streamwatch desk`: the desk by itself, and the tokens that let one in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit, note
from streamwatch.desk.access import DEFAULT_TENANT, ROLES, Role, Tokens
from streamwatch.desk.audit import AuditLog, Deed

if TYPE_CHECKING:
    from streamwatch.config import Config

SERVE_EXAMPLE = "Example: streamwatch desk serve --live"
ADD_EXAMPLE = "Example: streamwatch desk token add ann --role labeller"
LIST_EXAMPLE = "Example: streamwatch desk token list -o json"
REVOKE_EXAMPLE = "Example: streamwatch desk token revoke ann"
COLUMNS = ("id", "name", "role", "tenant", "created_at", "revoked_at")


def serve_command(
    *,
    live: Annotated[bool, typer.Option("--live", help="Follow the streams too: live alerts, labels, posts.")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Serve the desk alone, over the stored tables; `streamwatch run` serves it too, once a token exists."""
    import uvicorn

    from serve.api import create_app
    from streamwatch.desk.desk import Desk
    from streamwatch.ingest.connection import connect

    config = read_config(config_file)
    app = create_app(Desk(config, connect(config) if live else None))
    note(f"the desk is at http://{config.desk.host}:{config.desk.port}; Ctrl-C ends it")
    uvicorn.run(app, host=config.desk.host, port=config.desk.port, log_level="warning", server_header=False)


def add_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; it stands in the audit log.")],
    *,
    role: Annotated[str, typer.Option(help=f"What it may do: {', '.join(ROLES)}, each more than the last.")] = "viewer",
    tenant: Annotated[str, typer.Option(help="Whose baskets, monitors and notes it sees.")] = DEFAULT_TENANT,
    config_file: ConfigFile = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    config = read_config(config_file)
    checked = _role(role)
    token = Tokens(config.state_dir).add(name, checked, tenant, datetime.now(UTC))
    _write_down(config, f"token add {name} --role {checked} --tenant {tenant}")
    typer.echo(token)
    note("keep it safe, it cannot be shown again; `streamwatch run` serves the desk from its next start on")


def list_command(*, output: Output = Format.table, config_file: ConfigFile = None) -> None:
    """List every token ever made, without what is secret of it."""
    tokens = Tokens(read_config(config_file).state_dir).all()
    emit([{name: getattr(token, name) for name in COLUMNS} for token in tokens], COLUMNS, output)
    if not tokens and output is Format.table:
        note("no tokens: `streamwatch desk token add NAME` makes one")


def revoke_command(
    which: Annotated[str, typer.Argument(metavar="ID|NAME", help="One token by its id, or all of a name.")],
    *,
    config_file: ConfigFile = None,
) -> None:
    """End a token at once, and the sessions that were begun with it."""
    config = read_config(config_file)
    ended = Tokens(config.state_dir).revoke(which, datetime.now(UTC))
    _write_down(config, f"token revoke {which}")
    note(f"revoked {', '.join(f'{token.id} ({token.name})' for token in ended)}")


def _role(role: str) -> Role:
    for known in ROLES:
        if known == role:
            return known
    message = f"{role!r} is no role: one of {', '.join(ROLES)}"
    raise typer.BadParameter(message)


def _write_down(config: Config, what: str) -> None:
    AuditLog(config.state_dir).append(Deed(at=datetime.now(UTC), who="command line", what=what, outcome="done"))


def build_app() -> typer.Typer:
    """Return the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Serve the desk, and say who may use it.")
    app.command("serve", epilog=SERVE_EXAMPLE)(serve_command)
    tokens = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens.")
    tokens.command("add", epilog=ADD_EXAMPLE)(add_command)
    tokens.command("list", epilog=LIST_EXAMPLE)(list_command)
    tokens.command("revoke", epilog=REVOKE_EXAMPLE)(revoke_command)
    app.add_typer(tokens, name="token")
    return app
