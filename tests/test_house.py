"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from scripts.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("inbox_env", "rewards", "agent", "scripts")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "data").glob("*.md")), ROOT / "Makefile", ROOT / "pyproject.toml"]
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_README_LINES = 350, 50, 230
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/\w")
UNFINISHED = re.compile(r"\b(?:T[O]DO|F[I]XME)\b")

LIGHT_IMPORT = """
import importlib, pkgutil, sys
for name in ("inbox_env", "rewards"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
heavy = {"torch", "transformers", "tokenizers", "litellm", "wandb", "trl"} & set(sys.modules)
sys.exit(f"imported: {sorted(heavy)}" if heavy else 0)
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_imports_run_one_way() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_environment_and_the_rewards_load_without_a_model_library() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT_IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_package_folder_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES}
    assert folders == set(project["tool"]["setuptools"]["packages"])


def test_every_file_stays_readable_in_one_sitting() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in [*SOURCES, *TESTS]}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_every_function_does_one_thing() -> None:
    lengths = {
        f"{name_of(path)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in SOURCES
        for function in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    trees = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_path_of_one_machine_and_nothing_unfinished() -> None:
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in [*SOURCES, *TESTS, *DOCS]}
    assert [(name, found) for name, text in texts.items() for found in MACHINE_PATH.findall(text)] == []
    assert [(name, found) for name, text in texts.items() for found in UNFINISHED.findall(text)] == []


def test_the_readme_names_every_command_and_stays_short() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"mailsleuth {name}" not in readme] == []
    assert len(readme.splitlines()) <= MAX_README_LINES
