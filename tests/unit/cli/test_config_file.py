# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with the options of a command: what counts, and what is said of a mistake in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from autoglm_recovery.cli import config_file
from autoglm_recovery.cli.command_line import CommandLine

app = typer.Typer(cls=CommandLine, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def _group() -> None:
    """Have more than one command."""


@app.command()
def work(  # noqa: PLR0917 - options are arguments
    config: Annotated[Path | None, typer.Option("--config", is_eager=True, callback=config_file.take)] = None,
    state_dir: Annotated[Path, typer.Option()] = Path("state"),
    url: Annotated[str, typer.Option(envvar="WORK_URL")] = "http://default",
    allowed_host: Annotated[list[str] | None, typer.Option()] = None,
    rate: Annotated[float, typer.Option(min=1)] = 10,
    loud: Annotated[bool, typer.Option("--loud")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print what it was given."""
    assert (config is None, as_json) == (False, False)
    typer.echo(f"{state_dir} {url} {allowed_host} {rate:g} {loud}")


@pytest.fixture
def given(tmp_path):
    """Run the command with a file of this content."""

    def run(content, *options, **environment):
        (tmp_path / "work.yaml").write_text(content)
        return CliRunner().invoke(app, ["work", "--config", str(tmp_path / "work.yaml"), *options], env=environment)

    return run


def test_what_the_file_says_counts_under_either_spelling(given, tmp_path):
    result = given("state-dir: kept\nallowed_host: [a, b]\nrate: 2\nurl: http://file\nloud: true\n")
    assert result.stdout == f"{tmp_path}/kept http://file ['a', 'b'] 2 True\n"
    assert given("allowed-host: a\nstate_dir: /var/lib/x\n").stdout == "/var/lib/x http://default ['a'] 10 False\n"
    assert given("# nothing\n").stdout == "state http://default None 10 False\n"


def test_the_command_line_counts_more_and_then_the_environment(given):
    assert " http://environment " in given("url: http://file", WORK_URL="http://environment").stdout
    assert " http://line " in given("url: http://file", "--url", "http://line", WORK_URL="http://environment").stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("\nstate-dirr: x", "work.yaml:2: state-dirr: no such option; did you mean state-dir?"),
        ("config: x", "config: no such option"),
        ("json: true", "json: no such option"),
        ("rate: many", "work.yaml:1: rate: "),
        ("rate: 0.5", "work.yaml:1: rate: "),
        ("url: [a, b]", "url: must be one value"),
        ("url:", "url: must be one value"),
        ("url: a\nurl: b", "work.yaml:2: url: given twice"),
        ("state_dir: a\nstate-dir: b", "state-dir: given twice"),
        ("- url", "must be a mapping of options"),
        ("url: [", "is no YAML"),
    ],
)
def test_a_mistake_is_wrong_usage_and_told_with_its_line(given, content, says):
    result = given(content, "--json")
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_file_that_cannot_be_read_is_no_wrong_usage(tmp_path):
    result = CliRunner().invoke(app, ["work", "--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == 3
    assert "cannot be read" in result.stderr
