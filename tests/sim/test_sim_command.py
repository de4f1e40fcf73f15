"""`peernet simulate`: one seed gives one result in any process, and the folder says all of it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peernet.cli.main import main
from simulations.report import empty_folder
from tests.sim.small_scenario import SMALL_TOML

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("metrics.csv", "adversaries.csv", "guards.csv")
COMMAND_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "small.toml"
    path.write_text(SMALL_TOML, "utf-8")
    return path


@pytest.fixture(scope="module")
def runs(scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str, str]]:
    """Three processes with the same seed, in which sets and dictionaries of text hash differently."""
    results = []
    for hash_seed in ("0", "1", "4711"):
        out = tmp_path_factory.mktemp("run") / "out"
        done = subprocess.run(
            [sys.executable, "-m", "peernet", "simulate", str(scenario), "--seed", "7", "--out", str(out)],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            },
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results.append((out, done.stdout, done.stderr))
    return results


def test_three_processes_agree_to_the_byte(runs: list[tuple[Path, str, str]]):
    manifests = [(out / "manifest.json").read_bytes() for out, _, _ in runs]
    assert len(set(manifests)) == 1
    for table in (*TABLES, "plot.png"):
        assert len({(out / table).read_bytes() for out, _, _ in runs}) == 1, table


def test_the_manifest_says_what_was_run_and_what_came_of_it(runs: list[tuple[Path, str, str]]):
    out, stdout, _ = runs[0]
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert (manifest["scenario"], manifest["seed"]) == ("small", 7)
    assert manifest["settings"]["nodes"]["count"] == 40
    assert manifest["whole_run"]["lookups"] > 0
    assert len(manifest["digest"]) == len(manifest["scenario_digest"]) == 64
    assert f"digest  {manifest['digest']}" in stdout
    assert str(out) not in json.dumps(manifest)


def test_the_tables_have_a_row_for_each_stretch_share_and_day(runs: list[tuple[Path, str, str]]):
    out = runs[0][0]
    metrics, adversaries, guards = (
        list(csv.DictReader((out / table).read_text("utf-8").splitlines())) for table in TABLES
    )
    assert [row["time_s"] for row in metrics] == ["100.0", "200.0", "300.0"]
    assert [(row["source"], row["share"]) for row in adversaries] == [
        ("hour", "0.1"),
        ("hour", "0.3"),
        ("weeks", "0.1"),
        ("weeks", "0.3"),
    ]
    assert float(adversaries[3]["two_f_squared"]) == pytest.approx(0.18)
    assert [row["day"] for row in guards] == ["1", "2", "3"] * 2
    assert (
        sum(int(row["rings"]) for row in metrics)
        == json.loads((out / "manifest.json").read_text())["whole_run"]["rings"]
    )


def test_results_go_to_standard_output_and_progress_does_not(runs: list[tuple[Path, str, str]]):
    _, stdout, stderr = runs[0]
    for part in ("Lookups", "Rings, profile private", "Colluders", "2f^2", "deliveries in"):
        assert part in stdout
    assert "simulated minutes" in stderr
    assert "simulated minutes" not in stdout


def test_another_seed_and_another_size_are_other_runs(
    runs: list[tuple[Path, str, str]], scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    digests = {json.loads((runs[0][0] / "manifest.json").read_text())["digest"]}
    for number, options in enumerate((["--seed", "8"], ["--seed", "7", "--nodes", "30"])):
        out = tmp_path / str(number)
        words = ["simulate", str(scenario), *options, "--duration-s", "60", "--out", str(out)]
        assert main(words) == 0
        digests.add(json.loads((out / "manifest.json").read_text())["digest"])
    assert len(digests) == 3
    capsys.readouterr()


def test_nothing_is_overwritten(scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["simulate", str(scenario), "--out", str(tmp_path)]) == 1
    assert f"peernet: {tmp_path} is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert empty_folder(tmp_path / "new" / "folder").is_dir()
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "notes.txt")]) == 1
    assert "cannot be made" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["simulate", str(tmp_path / "gone.toml"), "--out", str(tmp_path / "out")]) == 1
    assert "there is no scenario" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_what_draws_plots_nothing_is_begun(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "simulations.plot", None)
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "out")]) == 1
    assert "extra 'simulate'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
