"""The rules of the house that no other tool keeps: sizes, names, what may be imported where, what is shipped."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("domain", "application", "infrastructure", "adapters")
MODULE_LINES, FUNCTION_LINES = 450, 70
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common"}
TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "adapters", "application", "daybook.py",
    "docs", "domain", "infrastructure", "pyproject.toml", "requirements.lock", "tests",
}  # fmt: skip

# Which modules of ours may import a technology; everything below the name on the left is meant too.
ONLY_IN = {
    "apscheduler": ("adapters.apscheduler_timer", "adapters.apscheduler.*", "adapters.apscheduler"),
    "discord": ("adapters.discord", "adapters.discord.*", "adapters.discord_*"),
    "eventsourcing.postgres": ("infrastructure.*",),
    "eventsourcing.sqlite": ("infrastructure.*",),
    "psycopg": ("infrastructure.*",),
    "psycopg_pool": ("infrastructure.*",),
    "sqlite3": ("infrastructure.*",),
    "sqlite_utils": ("infrastructure.*",),
}
# Packages that another one brings along and documents as a part of its own interface.
PUBLISHED_WITH = {"pydantic_core": "pydantic", "yarl": "aiohttp"}
DOMAIN_MAY_IMPORT = ("cronsim", "eventsourcing.domain", "holidays", "pydantic", "pydantic_core", "tzdata")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


# --- what there is --------------------------------------------------------------------------------------------------


def sources() -> list[Path]:
    """Every module that is shipped."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [*found, *(path for path in [ROOT / "daybook.py"] if path.exists())]


def sources_of_tests() -> list[Path]:
    """Every module under tests/."""
    return sorted((ROOT / "tests").rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path, line: int = 0) -> str:
    """A place as it is clicked on."""
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    """The dotted name of a module of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every absolute name that a module imports (``from a import b`` is both a and a.b), with its line."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def is_within(name: str, parent: str) -> bool:
    """Whether a dotted name is the parent or below it."""
    return name == parent or name.startswith(parent + ".")


def functions(path: Path) -> Iterator[FunctionNode]:
    """Every function of a module, methods and inner ones included."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, FunctionNode))


def tracked_files() -> list[Path]:
    """The files that git keeps, as far as they are on the disk."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout: what belongs to the project cannot be told from what lies about")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


# --- sizes and names ------------------------------------------------------------------------------------------------


def test_no_module_outgrows_450_lines() -> None:
    """A module that needs more lines has two subjects."""
    sizes = {where(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {place: lines for place, lines in sizes.items() if lines > MODULE_LINES} == {}


def test_no_function_outgrows_70_lines() -> None:
    """A function fits on a screen, its docstring included."""
    sizes = {
        f"{where(path, node.lineno)} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in sources()
        for node in functions(path)
    }
    assert {place: lines for place, lines in sizes.items() if lines > FUNCTION_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    """Modules are named after a subject, not after the habit of putting things somewhere."""
    vague = [
        where(path)
        for path in [*sources(), *sources_of_tests()]
        if VAGUE_NAMES & set(re.split(r"[._]", module_name(path).lower()))
    ]
    assert vague == []


def test_the_top_level_holds_only_the_names_that_belong_there() -> None:
    """The layout of the top level is fixed."""
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} - TOP_LEVEL == set()


# --- who imports what -----------------------------------------------------------------------------------------------


def test_each_technology_is_imported_only_where_it_is_the_subject() -> None:
    """Replacing a technology touches the place that is about it and no other."""
    astray = [
        f"{where(path, line)} imports {name}"
        for path in sources()
        for name, line in imports(path)
        for technology, places in ONLY_IN.items()
        if is_within(name, technology) and not any(fnmatchcase(module_name(path), place) for place in places)
    ]
    assert astray == []


def test_the_domain_imports_only_what_is_pure() -> None:
    """Of others' packages the domain sees those that compute, and of eventsourcing only the domain part."""
    astray = [
        f"{where(path, line)} imports {name}"
        for path in sorted((ROOT / "domain").rglob("*.py"))
        for name, line in imports(path)
        if (root := name.partition(".")[0]) not in sys.stdlib_module_names
        and root != "domain"
        and not any(is_within(name, allowed) for allowed in DOMAIN_MAY_IMPORT)
    ]
    assert astray == []


def test_only_the_face_sees_the_face() -> None:
    """Nothing that is shipped imports daybook.py: it is where everything is put together."""
    astray = [where(path, line) for path in sources() for name, line in imports(path) if is_within(name, "daybook")]
    assert astray == []


def test_every_imported_package_is_a_declared_dependency() -> None:
    """What the program imports it asks for itself, instead of getting it by way of something else."""
    distributions = packages_distributions()
    declared = {canonicalize_name(Requirement(text).name) for text in project()["dependencies"]}
    undeclared = {
        f"{where(path, line)} imports {root}"
        for path in sources()
        for name, line in imports(path)
        if (root := name.partition(".")[0]) not in sys.stdlib_module_names
        and root not in (*PACKAGES, "daybook")
        and not declared & {canonicalize_name(name) for name in distributions.get(PUBLISHED_WITH.get(root, root), [])}
    }
    assert undeclared == set()


# --- what is shipped ------------------------------------------------------------------------------------------------


def project() -> dict[str, list[str]]:
    """The [project] table, of which only lists are asked for here."""
    table: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def test_the_wheel_holds_every_module_and_every_data_file_and_nothing_else(tmp_path: Path) -> None:
    """A wheel built here, without a network, holds what the four packages and the face are made of."""
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, checkout / package, ignore=ignore)
    shutil.copytree(ROOT / "tests", checkout / "tests", ignore=ignore)
    for name in ("pyproject.toml", "LICENSE", "README.md", "daybook.py"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, checkout)
    expected = {
        path.relative_to(checkout).as_posix()
        for folder in PACKAGES
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=checkout, check=True, capture_output=True)
    [wheel] = out.glob("daybook-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
    assert {name for name in names if ".dist-info/" not in name} == expected | {"daybook.py"}
    assert "daybook = daybook:main" in entry_points


# --- the lock -------------------------------------------------------------------------------------------------------

PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;]+)( ; [^/\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def locked() -> dict[str, set[str]]:
    """The versions of each locked package; more than one where they differ by platform."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if pin := PIN.fullmatch(line):
            versions.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    return versions


def test_the_lock_holds_pins_and_hashes_and_nothing_else() -> None:
    """No index, no link, no path of a machine: where packages come from is up to whoever installs them."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    others = [
        line for line in lines if not (line.lstrip().startswith("#") or PIN.fullmatch(line) or HASH.fullmatch(line))
    ]
    assert others == []
    assert [line for line in lines if "://" in line or "file:" in line] == []


def test_the_lock_fulfils_what_the_project_asks_for() -> None:
    """A dependency that is not locked, or locked in a version that is not asked for, calls for `make lock`."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*table["project"]["dependencies"], *table["project"]["optional-dependencies"]["dev"]]
    pins = locked()
    unmet = [
        text
        for text, requirement in ((text, Requirement(text)) for text in [*asked, *table["build-system"]["requires"]])
        if not (versions := pins.get(canonicalize_name(requirement.name)))
        or not all(requirement.specifier.contains(version) for version in versions)
    ]
    assert unmet == []


# --- what must not be said ------------------------------------------------------------------------------------------

# Put together here, so that this file does not name them itself.
INDEX_HOSTS = re.compile("|".join([r"pypi\." + "org", "python" + "hosted", r"--(extra-)?index" + "-url [^-\\s]"]))
MACHINE_PATHS = re.compile(r"(?<![\w.~:/-])/(?:" + "|".join(["work", "root"]) + r")/")


def test_no_file_names_a_package_index_or_a_path_of_a_machine() -> None:
    """The project builds wherever it is put, from whatever index is there."""
    here = re.escape(str(ROOT) + os.sep) if len(ROOT.parts) > 2 else "(?!)"
    forbidden = re.compile(f"{INDEX_HOSTS.pattern}|{MACHINE_PATHS.pattern}|{here}")
    found = [
        f"{where(path, number)} {match[0]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (match := forbidden.search(line))
    ]
    assert found == []


# --- the tests themselves -------------------------------------------------------------------------------------------

ASSERTING_CALLS = {"raises", "warns", "fail", "run_state_machine_as_test"}


def called_names(node: ast.AST) -> set[str]:
    """The last part of the name of everything that is called within a node."""
    calls = (inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call))
    return {
        call.attr if isinstance(call, ast.Attribute) else call.id
        for call in calls
        if isinstance(call, ast.Attribute | ast.Name)
    }


def asserting_names(all_functions: list[FunctionNode]) -> set[str]:
    """The names of functions that check something, themselves or through another function under tests/."""
    calls = [(node.name, called_names(node)) for node in all_functions]
    names = {node.name for node in all_functions if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))}
    names |= ASSERTING_CALLS
    while more := {name for name, called in calls if called & names} - names:
        names |= more
    return names


def collected_from(path: Path) -> list[FunctionNode]:
    """The test functions of a module that pytest collects."""
    return [node for node in functions(path) if node.name.startswith("test_")] if path.name.startswith("test_") else []


def test_every_test_can_fail() -> None:
    """A test asserts, expects an error, or calls something under tests/ that does."""
    everything = [(path, node) for path in sources_of_tests() for node in functions(path)]
    names = asserting_names([node for _, node in everything])
    idle = [
        where(path, node.lineno)
        for path in sources_of_tests()
        for node in collected_from(path)
        if node.name not in names
    ]
    assert idle == []


def test_every_test_says_what_must_hold() -> None:
    """A test has a docstring."""
    silent = [
        f"{where(path, node.lineno)} {node.name}"
        for path in sources_of_tests()
        for node in collected_from(path)
        if not ast.get_docstring(node)
    ]
    assert silent == []


# --- make -----------------------------------------------------------------------------------------------------------


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """What make says and how it ends, not as a part of the make that may have started the tests."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_shows_every_target() -> None:
    """A person who types make is told what there is."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE)
    shown = make()
    assert shown.returncode == 0
    assert re.findall(r"^  make ([a-z-]+) ", shown.stdout, flags=re.MULTILINE) == targets


def test_setup_without_a_suitable_python_says_what_to_install(tmp_path: Path) -> None:
    """Where there is no Python 3.11, setup ends with what is missing and how to name one, and leaves nothing behind."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    ended = make("setup", "PYTHON=false", folder=tmp_path)
    assert ended.returncode != 0
    assert "found no Python 3.11 or newer" in ended.stderr
    assert "PYTHON=/path/to/python" in ended.stderr
    assert not (tmp_path / ".venv").exists()
