"""Risk arrays of options against exact 50-digit figures from outside.

Source: vectors/scenario_margin.json (mpmath, 50 digits), under its own parameters: scan range 15 %
and 18 %, short-option minimum and calendar 1 %, correlation credit 0.5 uncapped. Some rows are
copied below, so that this asserts without the file too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from novate.chain.margin_vectors import Figures, check_vectors
from novate.errors import Rejected
from novate.model import arrays
from novate.model.arrays import Info
from novate.units import WAD

USD = 10**10
ROWS: dict[str, tuple[tuple[int, int, int, int, bool, int], str, str, str]] = {
    "BTC P 63000 12h": (
        (650065000000000, 63000 * USD, 551800000000000000, 43200, False, 150000),
        "35.335184430177774",
        "-0.061128726487078",
        "454.898592415668 -35.335184430178 181.311455425490 -35.335184430178 "
        "942.271761100663 -34.912807859372 -15.901565082364 -35.335184430178 "
        "3105.234530433123 2833.652315569822 -35.147149948718 -35.335184430178 "
        "7712.284438554487 7709.139815569822 -2.650138832263 9286.921548993141",
    ),
    "BTC C 52000 90d": (
        (663000000000000, 52000 * USD, 723600000000000000, 7776000, True, 150000),
        "17409.935151966148304",
        "0.803944902608327",
        "3037.542512772484 -1589.676011234859 4191.597086854320 -304.096710506370 "
        "1903.419626057750 -2846.115305618547 6956.031148081481 2791.824243146817 "
        "-659.061464428258 -5645.341207066917 11059.081316493361 7393.918581800975 "
        "-4090.990975265889 -9244.500443264630 9717.265403004799 -3870.697652400253",
    ),
    "BTC P 104000 365d": (
        (702000000000000, 104000 * USD, 751700000000000000, 31536000, False, 150000),
        "45619.685112977448191",
        "-0.558442517731274",
        "7582.915034688780 -4410.068298113054 6880.142950402378 -5418.458860814390 "
        "8299.430661357244 -3379.218317666522 5291.881046191241 -7685.185095759379 "
        "10026.748440837471 -885.656849813421 3141.359396598925 -10719.268937503916 "
        "12636.897521010793 2892.931400656501 -1885.974071008745 8199.278056453232",
    ),
    "ETH C 3750 12h": (
        (30003000000000, 3750 * USD, 551300000000000000, 43200, True, 180000),
        "0.000000000000000",
        "0.000000000000000",
        "0.000076713391 -0.000000000000 0.001024634509 -0.000000000000 "
        "0.000004002456 -0.000000000000 0.125517438549 -0.000000000000 "
        "0.000000000830 -0.000000000000 10.346591050603 -0.000000000000 "
        "0.000000000000 -0.000000000000 472.581000000000 -0.000000000000",
    ),
    "ETH C 3300 30d": (
        (30180000000000, 3300 * USD, 647500000000000000, 2592000, True, 180000),
        "119.048940463235302",
        "0.348862525660994",
        "107.455040024770 -59.271716135329 143.871737954674 -34.661122315241 "
        "74.136645616700 -78.333663106480 240.609150251931 46.492861354403 "
        "8.465210248016 -105.138349305451 405.464932714932 218.928343187116 "
        "-57.260616493720 -117.311438364263 507.150398110213 -32.467483401628",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_copied_row(name: str) -> None:
    """Lanes within half a quantum of the production's, and of one a thousand times finer; a put's
    are the call's less what the forward gains.
    """
    (*option, is_call, psr), mark, delta, gains = ROWS[name]
    forward, strike, sigma, seconds = option
    terms = forward, strike, sigma, seconds, psr
    quantum = arrays.quantum_of(psr, forward)
    built = arrays.build(*terms, quantum)
    info = Info.unpack(built.info).of(not is_call)
    assert abs(info.mark - Decimal(mark) * USD) <= 2
    assert abs(Decimal(info.delta) / 2**30 - Decimal(delta)) <= Decimal(2) ** -30
    fine = arrays.scenarios(*terms, quantum // 1000)
    rows = zip(arrays.unpack(built.array), fine, arrays.LINEAR, gains.split(), strict=True)
    for lane, finer, node, gain in rows:
        moved = 0 if is_call else Decimal(forward * psr * node) / 10**8
        exact = Decimal(gain) * USD + moved
        assert abs(lane - exact / quantum) <= Decimal("0.500001")
        assert abs(finer - exact / (quantum // 1000)) <= Decimal("0.500001")


@pytest.fixture(scope="module")
def vector_file(shared_folder: Path) -> Path:
    return shared_folder / "vectors" / "scenario_margin.json"


def test_every_option_and_portfolio_of_the_file(vector_file: Path) -> None:
    """Lanes within a quantum, and exact <= integer margin <= exact + a quantum an option, by the
    contract and the model, at the file's quantum and at that of sixteen bits.
    """
    found = check_vectors(vector_file)
    assert found.passed and found.chain_equals_model
    assert (found.portfolios, found.options) == (15, 99)
    assert found.lanes_off_max <= 0.5 and found.words.lanes_off_max <= 0.5
    assert found.mm_below_exact == found.words.mm_below_exact == 0
    assert 0 < found.mm_excess_max <= 0.0501
    assert found.mm_excess_share_max <= 1 and found.words.mm_excess_share_max <= 1


def small_file() -> dict[str, Any]:
    """A file in the form of the real one: one row, one portfolio that holds it short."""
    terms, _, _, gains = ROWS["ETH C 3300 30d"]
    forward, strike, sigma, seconds, _, psr = terms
    option = {
        "id": 0,
        "u": "ETH",
        "kind": "option",
        "cp": "C",
        "expiry": "30d",
        "T_sec": seconds,
        "F": str(Decimal(forward) / USD),
        "K": str(Decimal(strike) / USD),
        "sigma": str(Decimal(sigma) / WAD),
        "array": gains.split(),
    }
    params = {
        "psr": {"ETH": str(Decimal(psr) / 10**6)},
        "vol_up": "0.5",
        "vol_dn": "0.3",
        "vol_floor_mult": "0.05",
        "p_short": "0.3",
        "p_long": "0.13",
        "dte_floor_days": "1",
        "som_rate": "0.01",
        "cal_rate": "0.01",
        "corr_credit": "0.5",
        "unit": {"ETH": "0.0001"},
    }
    nodes = ["0", "0.15", "-0.15", "0.5", "-0.5", "1", "-1"]
    worst = max(Decimal(gain) for gain in gains.split()) * 2
    portfolio = {
        "name": "short call",
        "positions": [[0, "-2"]],
        "C": {"exact": {"MM": str(worst)}},
    }
    definition = {"params": params, "nodes_B_nonuniform": nodes, "spot": {"ETH": "3000"}}
    return {"definition": definition, "instruments": [option], "portfolios": [portfolio]}


def judged(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Any:
    document = small_file()
    change(document)
    path = folder / "vectors.json"
    path.write_text(json.dumps(document))
    return check_vectors(path)


def test_a_file_is_judged(tmp_path: Path) -> None:
    assert judged(tmp_path, lambda _: None).passed

    def margin(amount: str) -> Callable[[dict[str, Any]], Any]:
        return lambda d: d["portfolios"][0]["C"]["exact"].update(MM=amount)

    exact = Decimal(small_file()["portfolios"][0]["C"]["exact"]["MM"])
    assert judged(tmp_path, margin(str(exact + 10))).mm_below_exact == 1
    assert judged(tmp_path, margin(str(exact - 10))).mm_excess_share_max > 1
    off = judged(tmp_path, lambda d: d["instruments"][0]["array"].__setitem__(3, "1"))
    assert off.lanes_off_max > 1 and not off.passed
    assert not Figures(0.5, 1, 0.0, 0.0).passed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.pop("portfolios"), "portfolios"),
        (lambda d: d["definition"]["params"].update(vol_up="0.4"), "vol_up"),
        (lambda d: d["definition"].update(nodes_B_nonuniform=["0"]), "nodes_B_nonuniform"),
        (lambda d: d["instruments"][0].update(F="many"), "instrument 0: F"),
        (lambda d: d["instruments"][0].update(K="0.00000000001"), "instrument 0: K"),
        (lambda d: d["instruments"][0].update(array=["1"]), "1 lanes"),
        (lambda d: d["portfolios"][0].update(positions=[[1, "1"]]), "KeyError"),
        (lambda d: d["portfolios"][0].update(positions=[[0, "0.00001"]]), "size"),
    ],
)
def test_a_file_with_a_bad_field_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], text: str
) -> None:
    with pytest.raises(Rejected, match=f"VectorField.*{text}"):
        judged(tmp_path, change)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="VectorFileMissing"):
        check_vectors(tmp_path / "none.json")
