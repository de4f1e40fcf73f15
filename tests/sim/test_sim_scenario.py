"""Scenarios are read strictly, and what is wrong with one is said so that it can be put right."""

from pathlib import Path

import pytest

from peernet.core.errors import UserError
from simulations.scenario import Scenario, load_scenario
from tests.sim.small_scenario import SMALL_TOML

SCENARIOS = Path(__file__).resolve().parents[2] / "simulations" / "scenarios"


def load(path: Path, text: str) -> Scenario:
    path.write_text(text, "utf-8")
    return load_scenario(path)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.name)
def test_what_ships_can_be_read(path: Path):
    assert load_scenario(path).name == path.stem


def test_what_is_not_said_has_a_default(tmp_path: Path):
    scenario = load(tmp_path / "s.toml", 'name = "bare"')
    assert scenario == Scenario(name="bare")
    assert scenario.latency.round_trips.round_trip_ms == ((80.0,),)


def test_the_digest_is_of_the_settings_and_not_of_their_layout(tmp_path: Path):
    first = load(tmp_path / "a.toml", 'name = "x"\n[nodes]\ncount = 50\nmodels = 2')
    again = load(tmp_path / "b.toml", '# as before\nname = "x"\nnodes = { models = 2, count = 50 }')
    other = load(tmp_path / "c.toml", 'name = "x"\n[nodes]\ncount = 51\nmodels = 2')
    assert first.digest == again.digest != other.digest
    assert first.with_nodes(51).digest == other.digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the setting 'name' is missing"),
        ("name = ", "not valid TOML"),
        ("name = 7", "name is 7, and should be text"),
        ('name = "x"\ncolour = "red"', "there is no setting 'colour'"),
        ('name = "x"\n[nodes]\ncuont = 5', r"\[nodes\] there is no setting 'cuont'; there are count, "),
        ('name = "x"\n[nodes]\ncount = 1.5', "count is 1.5, and should be a whole number"),
        ('name = "x"\n[nodes]\ncount = true', "count is True, and should be a whole number"),
        ('name = "x"\n[nodes]\ncount = 1', "'count' must be >= 2"),
        ('name = "x"\n[nodes]\nhost_share = 1.5', "host_share is 1.5, and should be a share"),
        ('name = "x"\n[nodes]\ncount = 4', "4 nodes with a host_share of 0.3 have 1 hosts, and a request of 3"),
        ('name = "x"\n[run]\nduration_s = inf', "duration_s is inf, and should be a number"),
        ('name = "x"\n[run]\nduration_s = 0', "'duration_s' must be > 0"),
        ('name = "x"\n[clients]\nprofile = "slow"', "'profile' must be in"),
        ('name = "x"\n[adversaries]\nshares = 0.1', "shares is 0.1, and should be a list of numbers"),
        ('name = "x"\n[adversaries]\nshares = []', "shares should be shares"),
        ('name = "x"\n[adversaries]\nshares = [0.3, 0.1]', "ascending"),
        ('name = "x"\n[adversaries]\none_operator = 1', "should be true or false"),
        ('name = "x"\nnodes = 5', "nodes should be a table"),
        ('name = "x"\n[latency]\nregions = 5', "regions is 5, and should be a table"),
        ('name = "x"\n[latency.regions]\neurope = 0', "regions should give each region a share above 0"),
        ('name = "x"\n[latency.regions]\na = 1\nb = 1', r"\[latency\] there is no round trip between a and a"),
        ('name = "x"\n[latency]\naccess_ms = [5, 1]', "access_ms should be the least and the most"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str):
    with pytest.raises(UserError, match=problem) as raised:
        load(tmp_path / "s.toml", text)
    assert str(tmp_path / "s.toml") in str(raised.value)


def test_a_scenario_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone\.toml"):
        load_scenario(tmp_path / "gone.toml")


def test_another_size_keeps_the_bounds(tmp_path: Path):
    scenario = load(tmp_path / "s.toml", SMALL_TOML)
    with pytest.raises(UserError, match="--nodes 1"):
        scenario.with_nodes(1)
    with pytest.raises(UserError, match="--duration-s 0"):
        scenario.with_duration(0.0)
