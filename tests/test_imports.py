"""Which part of the program may know which."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(file for part in ("streamwatch", "jobs", "serve") for file in (ROOT / part).rglob("*.py"))
LIBRARY = [file for file in SOURCES if file.is_relative_to(ROOT / "streamwatch") and "cli" not in file.parts]
PURE_WATCH = [
    file
    for file in LIBRARY
    if file.is_relative_to(ROOT / "streamwatch" / "watch") and file.name not in ("alertmanager.py", "monitors.py")
]
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    *(("time", name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
}
IO_MODULES = {"asyncio", "deltalake", "httpx", "kafka", "os", "requests", "shutil", "socket", "subprocess", "threading"}
NAMELESS = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(file: Path) -> Iterator[tuple[str, str]]:
    """Yield every `owner.name` in a file, as the last two names."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Name):
                yield owner.id, node.attr
            elif isinstance(owner, ast.Attribute):
                yield owner.attr, node.attr


def test_there_is_something_to_look_at() -> None:
    assert len(LIBRARY) > 10
    assert PURE_WATCH


@pytest.mark.parametrize("file", LIBRARY, ids=name_of)
def test_the_library_knows_neither_ray_nor_what_is_built_on_it(file: Path) -> None:
    roots = {module.split(".")[0] for module in imports(file)}
    assert not roots & {"ray", "jobs", "serve"}
    assert not any(module.startswith("streamwatch.cli") for module in imports(file))


@pytest.mark.parametrize("file", LIBRARY, ids=name_of)
def test_the_library_does_not_read_the_environment(file: Path) -> None:
    modules = set(imports(file))
    assert not modules & {"os.environ", "os.getenv", "os.environb"}
    used = set(attributes(file))
    assert not used & {("os", "environ"), ("os", "getenv"), ("os", "environb")}


@pytest.mark.parametrize("file", LIBRARY, ids=name_of)
def test_the_library_does_not_print(file: Path) -> None:
    calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
    assert "print" not in {func.id for func in calls if isinstance(func, ast.Name)}


@pytest.mark.parametrize("file", PURE_WATCH, ids=name_of)
def test_watching_reads_no_clock_and_does_no_io(file: Path) -> None:
    modules = set(imports(file))
    assert not {module.split(".")[0] for module in modules} & IO_MODULES
    assert not {f"{owner}.{name}" for owner, name in CLOCKS} & modules
    assert not set(attributes(file)) & CLOCKS
    calls = [node.func for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)]
    assert "open" not in {func.id for func in calls if isinstance(func, ast.Name)}
    methods = {func.attr for func in calls if isinstance(func, ast.Attribute)}
    assert not methods & {"read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink"}


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_a_module_is_named_for_what_it_holds(file: Path) -> None:
    name = file.parent.name if file.name in ("__init__.py", "__main__.py") else file.stem
    assert name not in NAMELESS
    assert name not in sys.stdlib_module_names
