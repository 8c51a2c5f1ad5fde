"""What the README says is true: its Python runs, and its commands, flags, files and links exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from PIL import Image

from retrieval import train
from retrieval.cli.main import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = "retrieval|workbench|notebooks|benchmarks|tests|docs"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w and w[0] == program]


OF_A_RUN = [code for code in blocks("python") if "runs/" in code]


@pytest.mark.parametrize("code", [code for code in blocks("python") if code not in OF_A_RUN])
def test_python_blocks_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert "R@1" in capsys.readouterr().out


@pytest.mark.usefixtures("module_cache", "two_blocks")
@pytest.mark.parametrize("code", OF_A_RUN)
def test_python_blocks_run_on_a_run(code, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = train(tiny.with_(loss="npairs_loss"), name="npairs_loss", progress=False)
    made.parent.rename("runs/grocery")
    for name in ("photo.jpg", "other.png"):
        Image.new("RGB", (40, 30), "red").save(name)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.endswith("(2, 8)\n")


@pytest.mark.parametrize("words", commands("retrieval"), ids=" ".join)
def test_retrieval_commands_and_their_flags_exist(words):
    command = typer.main.get_command(app).commands[words[0]]
    flags = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    used = {w.split("=")[0] for w in words[1:] if w.startswith("--")}
    assert used <= flags


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {words[0] for words in commands("make")} <= targets


def test_files_and_links_exist():
    named = re.findall(rf"`((?:{ROOMS})/[\w./]*|\w+\.py)`", TEXT)
    linked = [link for link in re.findall(r"\]\((.*?)\)", TEXT) if "://" not in link]
    for link in (*named, *linked):
        path, _, anchor = link.partition("#")
        if "my_loss" not in path:
            assert (ROOT / path).exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)", (ROOT / path).read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads]


def test_the_layout_names_every_room():
    described = set(re.findall(r"`(retrieval/\w+)(?:/|\.py)`", TEXT.partition("## Layout")[2]))
    rooms = {f"retrieval/{path.parent.name}" for path in ROOT.glob("retrieval/*/__init__.py")}
    assert rooms <= described
