"""`streamwatch models`: which models there are, what is known of one, fetching an encoder, building its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from streamwatch.cli.options import ConfigFile, Format, Output, read_config
from streamwatch.cli.output import emit, emit_json, emit_record, note

LIST_EXAMPLE = "Example: streamwatch models list"
SHOW_EXAMPLE = "Example: streamwatch models show runs/second -o json"
PULL_EXAMPLE = "Example: streamwatch models pull BAAI/bge-m3"
EXPORT_EXAMPLE = "Example: streamwatch models export --runtime onnx-int8 --out model/"
LIST_COLUMNS = ("kind", "folder", "encoder", "runtime", "bytes", "written_at", "in_use")
FIGURES = ("rows", "accuracy", "macro_f1", "calibration_error", "log_loss")


class OnnxRuntimeName(StrEnum):
    """The runtimes that need files of their own."""

    int8 = "onnx-int8"
    fp32 = "onnx-fp32"


def list_command(*, output: Output = Format.table, config_file: ConfigFile = None) -> None:
    """List the trained models and the built files.

    Trained: the one that comes with streamwatch, and the one of `model.weights`. Built: what runtimes need of them,
    in the cache. What is not in use may be deleted: it is built again when it is needed.
    """
    from streamwatch.model.catalog import built_files, cache_folder, trained_model
    from streamwatch.model.trained import shipped_folder

    config = read_config(config_file).model
    trained = {"shipped": shipped_folder()} | ({"configured": config.weights} if config.weights else {})
    rows: list[dict[str, Any]] = []
    for kind, folder in trained.items():
        model = trained_model(folder)
        row = {"kind": kind, "encoder": model.manifest.encoder.name, "in_use": folder == list(trained.values())[-1]}
        rows.append(model._asdict() | row)
    rows += [{"kind": "built", **files._asdict()} for files in built_files(config)]
    if output is Format.table:
        _list_table(rows)
        note(f"built files are in {cache_folder(config)}")
    else:
        emit([row | {"folder": str(row["folder"])} for row in rows], LIST_COLUMNS, output)


def _list_table(rows: list[dict[str, Any]]) -> None:
    shown = []
    for row in rows:
        name = {"shipped": "(in streamwatch)", "built": row["folder"].name}.get(row["kind"], row["folder"])
        size = f"{row['bytes'] / 1e6:,.1f} MB"
        shown.append(row | {"folder": str(name), "size": size, "in_use": "yes" if row["in_use"] else "no"})
    emit(shown, ("kind", "folder", "encoder", "runtime", "size", "written_at", "in_use"), Format.table)


def show_command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A trained model. [default: the configured one]")
    ] = None,
    *,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Show what a trained model is and how good it was.

    Its encoder, hashes, labels and recipe; the figures that its training measured; its version on each runtime.
    """
    from streamwatch.model.catalog import trained_model, versions
    from streamwatch.model.trained import shipped_folder

    config = read_config(config_file).model
    model = trained_model(folder or config.weights or shipped_folder())
    about = {"folder": str(model.folder), "bytes": model.bytes, "written_at": model.written_at}
    about["versions"] = versions(model.manifest, config)
    manifest = msgspec.to_builtins(model.manifest)
    figures = list(_figures(manifest["metrics"].get("validation", {})))
    if output is Format.json:
        emit_json(about | manifest)
    elif output is Format.csv:
        emit(figures, ("head", "texts", *FIGURES), output)
    else:
        _show_table(about, manifest, figures)


def _show_table(about: dict[str, Any], manifest: dict[str, Any], figures: list[dict[str, Any]]) -> None:
    record = {
        "folder": about["folder"],
        "size": f"{about['bytes'] / 1e6:,.1f} MB",
        "written_at": about["written_at"],
        "encoder": manifest["encoder"]["name"],
        "encoder_sha256": manifest["encoder"]["sha256"],
        "tensors_sha256": manifest["tensors_sha256"],
    }
    record |= {f"version, {runtime}": version for runtime, version in about["versions"].items()}
    record |= {f"labels, {head}": labels for head, labels in manifest["labels"].items()}
    record |= {f"recipe, {name}": value for name, value in _flat(manifest["recipe"]).items()}
    emit_record(record, Format.table)
    if figures:
        sys.stdout.write("\nOn its validation part\n")
        emit(figures, ("head", "texts", *FIGURES), Format.table)
    else:
        note("its training left no figures: `streamwatch eval` measures it")


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the groups in which they stand.

    >>> _flat({"torch": "2.13", "recipe": {"epochs": 2}})
    {'torch': '2.13', 'epochs': 2}
    """
    found: dict[str, Any] = {}
    for name, value in recipe.items():
        found |= value if isinstance(value, Mapping) else {name: value}
    return found


def _figures(validation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of figures for each head, and for each set of its texts."""
    for head, found in validation.items():
        yield {"head": head, "texts": "all", **found}
        for name, part in found.get("by_set", {}).items():
            yield {"head": head, "texts": name, **part}


def pull_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An encoder on the Hugging Face hub, or a local folder.")],
    *,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Fetch an encoder, so that later starts need no network.

    It is loaded to see whether it can be used: weights in safetensors only, and no code of its own is run. At the end
    stands what to write into the configuration.
    """
    from streamwatch.model.catalog import fetch
    from streamwatch.model.encoder import DEFAULT_BASE

    read_config(config_file)
    fetched = fetch(name)
    is_folder = name != DEFAULT_BASE and fetched.folder == Path(name).resolve()
    base = str(fetched.folder) if is_folder else name
    found: dict[str, Any] = {**fetched._asdict(), "base": base, "folder": str(fetched.folder)}
    if name != DEFAULT_BASE:
        found["train"] = f"python -m streamwatch.learn.train --base {base} --data DIR --out DIR"
    if output is not Format.table:
        emit_record(found, output)
        return
    emit_record(found | {"bytes": f"{fetched.bytes:,}", "parameters": f"{fetched.parameters:,}"}, output)
    sys.stdout.write(f"\n[model]\nbase = {msgspec.json.encode(base).decode()}\n")
    if name != DEFAULT_BASE:
        sys.stdout.write('weights = "DIR"        # the --out of the training\n')
    if "onnx-int8" not in fetched.runtimes:
        sys.stdout.write('runtime = "torch"\n')


def export_command(
    *,
    runtime: Annotated[OnnxRuntimeName, typer.Option(help="Which runtime's files.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy them into this new folder.")] = None,
    output: Output = Format.table,
    config_file: ConfigFile = None,
) -> None:
    """Build the configured model's runtime files.

    They are an ONNX graph and its weights. The cache keeps them by a hash of all that they are made from, so they are
    built once; every command builds them where they are missing.
    """
    from streamwatch.model.catalog import export

    exported = export(read_config(config_file).model, runtime.value, out)
    record = {**exported._asdict(), "folder": str(exported.folder), "seconds": round(exported.seconds, 2)}
    if output is Format.table:
        del record["bytes"]
        record |= {"size": f"{exported.bytes / 1e6:,.1f} MB", "built": "now" if exported.built else "before"}
    emit_record(record, output)


def build_app() -> typer.Typer:
    """Return the group of commands."""
    app = typer.Typer(no_args_is_help=True, help="List, show, fetch and build models.")
    app.command("list", epilog=LIST_EXAMPLE)(list_command)
    app.command("show", epilog=SHOW_EXAMPLE)(show_command)
    app.command("pull", epilog=PULL_EXAMPLE)(pull_command)
    app.command("export", epilog=EXPORT_EXAMPLE)(export_command)
    return app
