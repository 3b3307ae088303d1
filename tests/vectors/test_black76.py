"""Black-76 against figures from outside: through the contract without interest, off chain with it.

Sources: vectors/black76.json (mpmath, 50 digits), of which a few cases are copied below, so that
this asserts without the file too; J. Hull, Options, Futures, and Other Derivatives, the example of
a European put on a crude oil futures price (20, 20, 9 %, 25 %, four months: 1.12).
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from novate.cli.price import judge, load
from novate.model.pricing import black76_discounted
from novate.units import WAD

COPIED: list[dict[str, Any]] = [
    {
        "F": "65000000000000000000000",
        "K": "64350000000000000000000",
        "sigma": "800000000000000000",
        "T_sec": 60,
        "r": "0",
        "call": "650.00000000000000000032157098067057534567962717839",
        "put": "3.2157098067057534567962717838996513219400246622865e-19",
        "delta_call": "0.99999999999999999995821712408896737365145254679951",
        "delta_put": "-4.1782875911032626348547453200492618519521049067390e-20",
        "gamma": "5.3684991328514599067480617804751266620664051345378e-21",
        "vega": "3.4523453327697744453592939151457245277367673810384e-17",
        "theta_call": "-7.2582108276151737939233795272023712471137797418951e-12",
        "theta_put": "-7.2582108276151737939233795272023712471137797418951e-12",
    },
    {
        "F": "65000000000000000000000",
        "K": "65000000000000000000000",
        "sigma": "1500000000000000000",
        "T_sec": 60,
        "r": "0",
        "call": "53.652124757011123302570142268533867530545021523837",
        "put": "53.652124757011123302570142268533867530545021523837",
        "delta_call": "0.50041270865197700864078900109437333744254265401172",
        "delta_put": "-0.49958729134802299135921099890562666255745734598828",
        "gamma": "0.0029664217449060449639047545399729480369196461308031",
        "vega": "35.768070411609703117858413046192081780780550521242",
        "theta_call": "-14099773.356256544969059786422808918637983693015474",
        "theta_put": "-14099773.356256544969059786422808918637983693015474",
    },
    {
        "F": "65000000000000000000000",
        "K": "60000000000000000000000",
        "sigma": "600000000000000000",
        "T_sec": 7776000,
        "r": "50000000000000000",
        "call": "10040.193662180226167782079520328621683847028397057",
        "put": "5101.4590583767316607081721713143797698366288036358",
        "delta_call": "0.65377899247004949743526499603724084690540774920900",
        "delta_put": "-0.33396792829064940397951647376560753589667216947520",
        "gamma": "1.8648487568551809283403914408638842484569134257260e-5",
        "vega": "11656.582024013959693174254992687539487272460221353",
        "theta_call": "-13680.165112774639651639572931753408625322475182793",
        "theta_put": "-13927.101842964814376993268299204120721022995162465",
    },
]


def test_the_copied_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": COPIED}))
    found = judge(load(path))
    assert found.passed, found.document()
    assert (found.cases, found.skipped) == (3, 1)
    assert (found.chain.options, found.model.options) == (4, 6)


def test_every_case_of_the_file(shared_folder: Path) -> None:
    """118 cases off chain; the 103 without interest through the contract too."""
    found = judge(load(shared_folder / "vectors" / "black76.json"))
    assert found.passed, found.document()
    assert (found.cases, found.skipped) == (118, 15)
    assert (found.chain.options, found.model.options) == (206, 236)


def test_hulls_put_on_a_crude_oil_futures_price() -> None:
    put = black76_discounted(20 * WAD, 20 * WAD, WAD // 4, 10_512_000, False, WAD * 9 // 100)
    assert abs(put.price * 100 - 112 * WAD) < WAD // 2


@pytest.mark.parametrize(
    "field", ["call", "put", "delta_call", "gamma", "vega", "theta_call", "theta_put"]
)
def test_a_wrong_figure_is_noticed(tmp_path: Path, field: str) -> None:
    """One part in a thousand million is too much for every figure."""
    exact = Decimal(COPIED[1][field])
    case = COPIED[1] | {field: str(exact + exact / 10**9)}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [case]}))
    found = judge(load(path))
    assert not found.passed
    assert not found.chain.passed and not found.model.passed
    assert found.chain_equals_model
