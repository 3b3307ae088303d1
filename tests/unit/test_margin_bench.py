"""``novate bench margin``: small, but all of it: both questions, the baseline, the check."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from novate.bench import margining
from novate.cli.main import application
from novate.engine.lanes import Lanes

SMALL = ["bench", "margin", "--accounts", "2000", "--runs", "1"]


def test_the_figures_come_with_their_baseline_and_their_check() -> None:
    done = CliRunner().invoke(application, [*SMALL, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["million_accounts_s"] > 0 and found["pretrade_us"] > 0
    assert found["baseline"]["pretrade_us"] > found["pretrade_us"]
    assert found["times_baseline"]["million_accounts_s"] > 10
    assert found["answers_checked"] == 2 * margining.SAMPLE and found["answers_wrong"] == 0
    assert found["too_close_share"] < 0.01


def test_a_wrong_answer_fails_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Lanes.all_hold
    monkeypatch.setattr(Lanes, "all_hold", lambda *asked: 1 - honest(*asked))
    done = CliRunner().invoke(application, SMALL)
    assert done.exit_code == 1 and " 0 wrong" not in done.stdout
