"""What all tests share: Hypothesis profiles, the folder of reference data, databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import postgres

ROOT = Path(__file__).parent.parent

# Generated examples are the same on every machine and every run; `make nightly` draws new ones.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "nightly", parent=settings.get_profile("default"), derandomize=False, max_examples=2_000
)
settings.load_profile("default")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What clients of tests remember stays out of the user's own state folder."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with ``data/`` and ``vectors/``: the parent of $NOVATE_DATA, or ../shared."""
    named = os.environ.get("NOVATE_DATA")
    folder = Path(named).resolve().parent if named else ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no reference data: set NOVATE_DATA to its data folder")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, ended with the tests."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.server())
        except postgres.Missing as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no PostgreSQL server: {missing}")
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.db'}"
    return postgres.fresh(request.getfixturevalue("postgresql"))
