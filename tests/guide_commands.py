# SPDX-License-Identifier: BSD-3-Clause
# Copyright(c) 2026 The ppfrag authors
"""The blocks of commands in README.md and the guides, as what is typed and what it prints."""

import re
import shlex
import textwrap
from dataclasses import dataclass, field

from conftest import ROOT

LANGUAGES = ("console", "shell", "bash", "sh")
PROMPT = re.compile(r"^(\$|testpmd>|-->) (?=\S)")
COMMENT = re.compile(r"(^|\s+)# .*$")


@dataclass
class Command:
    """What is typed, on one line, and what is shown to come out."""
    text: str
    output: list = field(default_factory=list)


@dataclass
class Block:
    """A block of commands, and where it is."""
    where: str
    commands: list


def documents():
    """README, CONTRIBUTING and guides."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
            *sorted((ROOT / "doc/guides").rglob("*.rst"))]


def literal_blocks(path):
    """The number of the line and the lines of each literal block that holds commands."""
    start = (re.compile(r"( *)\.\. code-block:: *(\S*)$") if path.suffix == ".rst"
             else re.compile(r"()()$"))
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        match = start.match(line)
        if not match or (path.suffix == ".rst" and match[2] not in LANGUAGES):
            continue
        indent = len(match[1]) + (1 if path.suffix == ".rst" else 4)
        body = []
        for below in lines[number + 1:]:
            if below.strip() and not below.startswith(" " * indent):
                break
            body.append(below)
        text = textwrap.dedent("\n".join(body)).strip("\n")
        if text and not text.startswith("* ") and (path.suffix == ".rst" or body[0].strip()):
            yield number + 1, text.splitlines()


def is_open(text):
    """Whether a command goes on in the next line: a backslash, or a quote that is not closed."""
    if text.endswith("\\"):
        return True
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def commands(lines):
    """The commands of a block, and the output of each where prompts tell it apart."""
    prompts = any(PROMPT.match(line) for line in lines)
    found, text = [], ""
    for line in lines:
        prompt = PROMPT.match(line) if prompts else None
        if prompts and not text and not prompt:
            found[-1].output.append(line)
            continue
        line = line[prompt.end():] if prompt else COMMENT.sub("", line)
        text = f"{text[:-1]} {line.strip()}" if text.endswith("\\") else (
            f"{text}\n{line}" if text else line)
        if text.strip() and not is_open(text):
            found.append(Command(" ".join(text.split()) if "\n" not in text else text))
            text = ""
    assert not text.strip(), f"no end of: {text}"
    return found


def blocks():
    """All blocks of all documents."""
    return [Block(f"{path.relative_to(ROOT)}:{number}", commands(lines))
            for path in documents() for number, lines in literal_blocks(path)]
