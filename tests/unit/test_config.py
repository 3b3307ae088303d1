"""The parameter file: the shipped one is right; a mistake is named with its remedy."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from novate.config import DEFAULT, Parameters, load
from novate.errors import InvalidParameter, MissingParameter, Rejected
from novate.units import WAD


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return load()


def load_edited(tmp_path: Path, old: str, new: str) -> Parameters:
    """Load the shipped file with its first ``old`` replaced by ``new``."""
    text = DEFAULT.read_text()
    assert old in text
    path = tmp_path / "parameters.toml"
    path.write_text(text.replace(old, new, 1))
    return load(path)


def test_the_shipped_file_lists_two_perps_and_one_spot(parameters: Parameters) -> None:
    kinds = [(item.id, item.name, item.kind_code) for item in parameters.instruments]
    assert kinds == [(1, "BTC-PERPETUAL", 1), (2, "ETH-PERPETUAL", 1), (3, "WETH", 4)]


def test_lot_and_tick_of_the_shipped_instruments(parameters: Parameters) -> None:
    sizes = [(item.lot_size_wad, item.tick_wad) for item in parameters.instruments]
    assert sizes[0] == (WAD // 1_000, WAD // 2)
    assert sizes[1] == (WAD // 100, WAD // 20)
    assert sizes[2][0] == WAD // 1_000_000


def test_strikes_step_in_oracle_units(parameters: Parameters) -> None:
    assert [o.strike_step for o in parameters.options] == [1_000 * 10**10, 50 * 10**10]


def test_money_in_usd_becomes_wad(parameters: Parameters) -> None:
    assert parameters.waterfall.insurance_wad == 1_000_000 * WAD
    assert parameters.margin.credit_cap_wad == 5_000_000 * WAD


def test_tokens_state_amounts_in_their_own_units(parameters: Parameters) -> None:
    cash, weth = parameters.tokens
    assert cash.units(cash.outflow_account_tokens) == 10_000 * 10**6
    assert weth.units(weth.outflow_hourly_tokens) == 250 * 10**18


def test_governance_waits_minutes_locally_and_days_in_public(parameters: Parameters) -> None:
    local, public = parameters.timelock_local, parameters.timelock_public
    assert (local.delay_seconds, local.custody_delay_seconds) == (60, 120)
    assert (public.delay_seconds, public.custody_delay_seconds) == (2 * 86_400, 7 * 86_400)


def test_funding_cap_is_half_a_percent_a_day_rounded_down(parameters: Parameters) -> None:
    daily_ppb = 3 * parameters.funding.cap_ppb
    assert 5_000_000 - 3 < daily_ppb <= 5_000_000


def test_parameters_cannot_be_changed(parameters: Parameters) -> None:
    with pytest.raises(FrozenInstanceError):
        parameters.fees.maker_ppm = 1  # type: ignore[misc, assignment]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("maker_ppm = 100\n", "", "fees.maker_ppm: add `maker_ppm = ` an integer from 0 to 2000"),
        ("insurance_usd = 1_000_000\n", "", "waterfall.insurance_usd"),
        ("[fees]", "[charges]", "fees: add the table [fees]"),
        ("[timelock.public]", "[timelock.mainnet]", "timelock.public: add the table"),
        ('name = "ETH"\n', "", "underlying[1].name: add `name = ` a text"),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, old: str, new: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        load_edited(tmp_path, old, new)
    assert caught.value.error is MissingParameter
    assert field in caught.value.detail


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("maker_ppm = 100\n", "maker_ppm = 2_001\n", "fees.maker_ppm is 2001; set it to"),
        ("maker_ppm = 100\n", "maker_ppm = -1\n", "fees.maker_ppm is -1"),
        ("maker_ppm = 100\n", "maker_ppm = 1.5\n", "fees.maker_ppm is 1.5"),
        ("maker_ppm = 100\n", "maker_ppm = true\n", "fees.maker_ppm is True"),
        ("maker_ppm = 100\n", 'maker_ppm = "1"\n', "fees.maker_ppm is '1'"),
        (
            "maker_ppm = 100\n",
            "maker_ppm = 100\nmakr_ppm = 1\n",
            "fees.makr_ppm is not a parameter; did you mean maker_ppm",
        ),
        ("[fees]", "[zebra]\nx = 1\n[fees]", "zebra is not a parameter; take it out"),
        ("[fees]", "[[fees]]", "fees must be a table"),
        ("maker_ppm = 100", "maker_ppm = ", "is not TOML"),
        (
            'kind = "spot"',
            'kind = "future"',
            'instrument[2].kind is \'future\'; set it to "perp" or "spot"',
        ),
        ('name = "WETH"\nkind', 'name = ""\nkind', "instrument[2].name"),
        ("node_count = 4\n", "node_count = 5\n", "oracle.node_count must be 3f + 1"),
        (
            "tick_wad = 50_000_000_000_000_000 ",
            "tick_wad = 50_000_000_000_000_001 ",
            "instrument[1].tick_wad",
        ),
        (
            "position_cap_lots = 1_000_000 ",
            "position_cap_lots = 5_000_001 ",
            "instrument[0].position_cap_lots",
        ),
        (
            "underlying = 1",
            "underlying = 7",
            "instrument[0].underlying names no [[underlying]] (7)",
        ),
        ('id = 2\nname = "ETH-', 'id = 1\nname = "ETH-', "instrument.id occurs twice"),
        ("instrument = 3\n", "instrument = 2\n", "token[1].instrument must be 0"),
        (
            "lot_size_wad = 1_000_000_000_000  ",
            "lot_size_wad = 9_999_999_999  ",
            "instrument[2].lot_size_wad is 9999999999",
        ),
        (
            "lot_size_wad = 1_000_000_000_000  ",
            "lot_size_wad = 2_000_000_000_000  ",
            "instrument[2].lot_size_wad must be a power of ten",
        ),
        ("decimals = 18\n", "decimals = 5\n", "token[1].decimals is 5"),
        (
            "[[option]]\nunderlying = 1\n",
            "[[option]]\nunderlying = 2\n",
            "option.underlying occurs twice",
        ),
        (
            "[[option]]\nunderlying = 1\n",
            "[[option]]\nunderlying = 7\n",
            "option[0].underlying names no [[underlying]] (7)",
        ),
        (
            "lot_size_wad = 10_000_000_000_000_000     # 0.01 BTC",
            "lot_size_wad = 20_000_000_000_000_000     # 0.02 BTC",
            "option[0].lot_size_wad must be a power of ten",
        ),
        ("offset_seconds = 0\n", "offset_seconds = 3_600\n", "option[0].offset_seconds must be"),
        ("period_seconds = 3_600\n", "period_seconds = 60\n", "option[0].period_seconds is 60"),
        (
            "future_tick_wad = 500_000_000_000_000_000 ",
            "future_tick_wad = 500_000_000_000_000_001 ",
            "option[0].future_tick_wad times lot_size_wad",
        ),
        (
            "position_cap_lots = 50_000 ",
            "position_cap_lots = 200_001 ",
            "option[0].position_cap_lots",
        ),
        (
            "liquidity_low_thousand_usd = 5_000",
            "liquidity_low_thousand_usd = 100_000",
            "underlying[0].liquidity_low",
        ),
        (
            "interest_low_thousand_usd = 50_000",
            "interest_low_thousand_usd = 500_000",
            "underlying[0].interest_low",
        ),
        (
            "haircut_maintenance_ppm = 80_000",
            "haircut_maintenance_ppm = 120_001",
            "underlying[0].haircut_maintenance",
        ),
        (
            "custody_delay_seconds = 604_800",
            "custody_delay_seconds = 60",
            "timelock.public.custody_delay_seconds",
        ),
    ],
)
def test_a_disallowed_field_is_named_with_its_remedy(
    tmp_path: Path, old: str, new: str, field: str
) -> None:
    with pytest.raises(Rejected) as caught:
        load_edited(tmp_path, old, new)
    assert caught.value.error is InvalidParameter
    assert field in caught.value.detail


def test_a_spot_lot_must_be_whole_units_of_its_token(tmp_path: Path) -> None:
    finer = DEFAULT.read_text().replace("= 1_000_000_000_000  ", "= 100_000_000_000  ")
    path = tmp_path / "parameters.toml"
    path.write_text(finer)
    assert load(path).instruments[2].lot_size_wad == 10**11
    path.write_text(finer.replace("decimals = 18", "decimals = 6"))
    with pytest.raises(Rejected, match=r"token\[1\].decimals must make a lot a whole number"):
        load(path)


def test_a_missing_file_is_a_fault_not_a_rejection(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.toml")
