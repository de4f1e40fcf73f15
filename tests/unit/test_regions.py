"""Regions: what a bound admits, and what it says of itself."""

import pytest

from peernet.core.errors import UserError
from peernet.core.regions import ANYWHERE, RegionBound, check_regions, claimed
from peernet.node.config import ClientConfig, load_table


@pytest.mark.parametrize(
    ("names", "claims", "admitted"),
    [
        (("eu",), ("eu",), True),
        (("eu",), ("EU-Central",), True),
        (("EU-central", "ch"), ("eu-central", "eu-central"), True),
        (("eu",), ("europe",), False),
        (("eu-central",), ("eu",), False),
        (("eu",), ("us-east",), False),
        (("eu",), ("",), False),
        (("eu",), (), False),
        (("eu",), ("eu", ""), True),
        (("eu",), ("eu", "us"), False),
        (("eu", "us"), ("eu", "us"), True),
    ],
)
def test_who_is_admitted(names: tuple[str, ...], claims: tuple[str, ...], admitted: bool):
    assert RegionBound(names).admits(*claims) is admitted


def test_without_a_bound_everybody_is_and_says_so():
    assert ANYWHERE.admits("", "us")
    assert ANYWHERE.admits()
    assert not ANYWHERE
    assert str(RegionBound(("EU", "eu", "ch"))) == "eu, ch"
    assert claimed("") == "none claimed"


@pytest.mark.parametrize("names", [("",), ("e" * 33,), ("Köln",), ("eu central",), ("eu",) * 65])
def test_what_no_record_can_claim_is_no_bound(names: tuple[str, ...]):
    with pytest.raises(ValueError, match="region"):
        check_regions(names)


def test_a_setting_that_is_no_region_is_named(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[client]\nrelay_regions = ['eu', 'so far away that nobody is there']\n")
    with pytest.raises(UserError, match="relay_regions: 'so far away that nobody is there' is no region"):
        load_table(file, "client", ClientConfig, {})
    file.write_text("[client]\nrelay_regions = ['eu']\n")
    config = load_table(file, "client", ClientConfig, {"host_regions": ("ch",), "profile_fallback": True})
    assert (config.relay_regions, config.host_regions, config.profile_fallback) == (("eu",), ("ch",), True)
