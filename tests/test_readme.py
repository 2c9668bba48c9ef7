from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from repgeo.cli import app

README = Path(__file__).parents[1] / "README.md"

MOST_LINES_OF_THE_PROBE = 14
MOST_LINES_OF_THE_MODEL = 8

#: The file that a comment above the block names, the language, and the text.
FENCE = re.compile(
    r"(?:^<!-- *file: *(?P<file>\S+) *-->\s*\n)?^```(?P<language>\w*)[ ]*\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, and the file it is to be written to ("" for none)."""

    language: str
    text: str
    file: str

    def lines_of_code(self) -> int:
        """Lines that are neither empty nor a comment."""
        lines = [line.strip() for line in self.text.splitlines()]
        return sum(1 for line in lines if line and not line.startswith("#"))


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found["language"], found["text"], found["file"] or "")
        for found in FENCE.finditer(text)
    ]


TEXT = README.read_text(encoding="utf-8")
BLOCKS = blocks_of(TEXT)
WRITTEN = {block.file: block for block in BLOCKS if block.file}


def commands_of(text: str) -> list[list[str]]:
    """The words of each `repgeo ...` command of a shell block."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words and Path(words[0]).name == "repgeo":
            found.append(words[1:])
    return found


COMMANDS = [
    command
    for block in BLOCKS
    if block.language in {"sh", "console", "bash"}
    for command in commands_of(block.text)
]


def test_a_readme_of_some_length_has_code() -> None:
    if len(TEXT.splitlines()) > 50:
        assert any(block.language == "python" and not block.file for block in BLOCKS)
        assert COMMANDS


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, f"README.md, block {number}", "exec"), namespace)  # noqa: S102
    frames = [value for value in namespace.values() if type(value).__name__ == "DataFrame"]
    for frame in frames:
        if "status" in frame:
            assert set(frame["status"]) == {"ok"}


def test_task_files_of_the_readme_are_toml() -> None:
    for block in BLOCKS:
        if block.language == "toml":
            assert tomllib.loads(block.text)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_the_readme_exist(words: list[str]) -> None:
    assert_parses(words)


def assert_parses(words: list[str]) -> None:
    """Fail where there is no such subcommand, option or argument; nothing is run."""
    group: Any = typer.main.get_command(app)
    if words and words[0].startswith("-"):
        known = {flag for parameter in group.params for flag in parameter.opts} | {"--help"}
        assert words[0] in known, f"no option {words[0]}"
        return
    assert words, "no subcommand"
    assert words[0] in group.commands, f"no command {words[0]!r}; known: {sorted(group.commands)}"
    command = group.commands[words[0]]
    parent = group.context_class(group, info_name="repgeo")
    context = command.context_class(command, info_name=words[0], parent=parent)
    values, left, _ = command.make_parser(context).parse_args(words[1:])
    assert not left, f"too many arguments: {left}"
    for parameter in command.params:
        if parameter.param_type_name == "argument" and parameter.required:
            assert values.get(parameter.name), f"{words[0]} needs {parameter.name}"


def in_place(kind: str) -> set[str]:
    """The files that task files of the README name things of a kind by."""
    named = set()
    for block in BLOCKS:
        if block.language == "toml":
            for entry in tomllib.loads(block.text).get(kind, []):
                file, _, attribute = str(entry.get("name", "")).rpartition(":")
                if attribute and file.endswith(".py"):
                    named.add(Path(file).name)
    return named & WRITTEN.keys()


@pytest.mark.parametrize(
    ("kind", "most"), [("probes", MOST_LINES_OF_THE_PROBE), ("models", MOST_LINES_OF_THE_MODEL)]
)
def test_a_newcomers_probe_and_model_are_short(kind: str, most: int) -> None:
    if len(TEXT.splitlines()) > 50:
        assert in_place(kind), f"no task file of the README uses {kind} in place"
    for file in in_place(kind):
        assert WRITTEN[file].lines_of_code() <= most


def test_files_that_the_readme_links_to_exist() -> None:
    if not (README.parent / "results").is_dir():
        pytest.skip("a source distribution has no results/, which the README links to")
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", TEXT)
    missing = [target for target in targets if not (README.parent / target).exists()]
    assert not missing


def test_the_reading_of_blocks_itself() -> None:
    text = "<!-- file: a.py -->\n```python\nx = 1\n\n# said\n```\n\n"
    text += "```sh\nls\nrepgeo run a \\\n  -j 2 # two\n```\n"
    one, two = blocks_of(text)
    assert (one.file, one.language, one.lines_of_code()) == ("a.py", "python", 1)
    assert (two.file, commands_of(two.text)) == ("", [["run", "a", "-j", "2"]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rum", "digits"], "no command 'rum'"),
        (["run", "digits", "--no-such-option"], "(?i)no such option"),
        (["show", "accuracy", "another"], "too many arguments"),
        (["show"], "show needs name"),
        (["--no-such-option"], "no option"),
        ([], "no subcommand"),
    ],
)
def test_commands_that_do_not_exist_are_found(words: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        assert_parses(words)


def test_the_generated_parts_are_up_to_date() -> None:
    script = README.parent / "scripts" / "make_readme.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
