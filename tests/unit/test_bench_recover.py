"""``novate bench recover``: small, but all of it: replay, takeover, and what is checked."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from novate.cli.main import application


def test_the_figures_come_with_their_checks() -> None:
    arguments = ["bench", "recover", "--json", "--commands", "2000", "--runs", "1"]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["million_commands_s"] > 0 and found["promote_s"] > 0
    assert found["commands"] == 12_000, "the book is filled first"
    assert found["same_state"] and found["old_writer_fenced"] and found["acknowledged_lost"] == 0
