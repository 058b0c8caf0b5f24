# SPDX-License-Identifier: Apache-2.0
"""The fixed benchmark stays what it was when it got its number."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from city_benchmark_kit import FRAMES_OF, PINNED, frame_values, row_choice, world_values

from langocc.cli.city import City
from langocc.errors import ConfigError
from langocc.scenes.city.benchmark import BENCHMARK, benchmark_settings
from langocc.scenes.city.plan import CitySettings, ScenePlan
from langocc.teachers.city_clip.views import TEST_SEED, TRAIN_SEED

PLANS = {plan.name: plan for plan in BENCHMARK.scenes()}


@pytest.fixture(scope="module")
def pinned() -> dict[str, Any]:
    return json.loads(PINNED.read_text())


def check(
    what: str,
    found: Mapping[str, Any],
    pinned: Mapping[str, Any],
    rel: float = 1e-6,
    bound: float = 1e-6,
):
    """Fails with the names of all values that are not as pinned, up to a share or a bound."""
    assert found.keys() == pinned.keys()
    changed = [
        f"{name}: {value} was {pinned[name]}"
        for name, value in found.items()
        if value != (was := pinned[name])
        and (isinstance(value, str) or value != pytest.approx(was, rel=rel, abs=bound))
    ]
    assert not changed, (
        f"benchmark {BENCHMARK.benchmark} has changed: {what}: {'; '.join(changed)}\n"
        f"Results on it would no longer compare. If this is meant, make version "
        f"{(BENCHMARK.benchmark or 0) + 1}: its number in langocc/scenes/city/benchmark.py, its "
        f"values by `python tests/scenes/city_benchmark_kit.py`, and {PINNED.name} goes."
    )


def test_settings_and_choice_of_rows(pinned: dict[str, Any]):
    assert BENCHMARK.frames == 400
    check("settings", {"rows": row_choice()}, {"rows": pinned["rows"]})
    assert asdict(BENCHMARK) == pinned["settings"], "make another number of the benchmark"
    assert BENCHMARK.seed not in (0, TEST_SEED, TRAIN_SEED)


@pytest.mark.parametrize(
    "name",
    [name if "14" in name else pytest.param(name, marks=pytest.mark.slow) for name in FRAMES_OF],
)
def test_first_scenes_of_each_split(name: str, pinned: dict[str, Any]):
    check(name, world_values(PLANS[name]), pinned["worlds"][name])
    # Rounding may turn rays over: counts to 0.2 %; mean point to 1 cm, thumbnail to one level.
    check(name, frame_values(PLANS[name]), pinned["frames"][name], rel=2e-3, bound=1.0)


@pytest.mark.slow
def test_a_world_of_each_other_district(pinned: dict[str, Any]):
    assert pinned["worlds"].keys() == PLANS.keys()
    district = {n: v["description"].split(",")[0] for n, v in pinned["worlds"].items()}
    scene = {district[name]: name for name in PLANS}
    assert len(scene) >= 6
    for other in scene.keys() - {district[name] for name in FRAMES_OF}:
        name = scene[other]
        check(name, world_values(PLANS[name]), pinned["worlds"][name])


def test_a_change_of_the_generator_is_told(pinned: dict[str, Any]):
    """A world of another seed, and a drive that ends a millimetre farther."""
    name = FRAMES_OF[0]
    other = world_values(ScenePlan(CitySettings(seed=BENCHMARK.seed + 1), 0, "train"))
    with pytest.raises(AssertionError, match=r"benchmark 1 has changed(.|\n)*make version 2"):
        check(name, other, pinned["worlds"][name])
    x_m, *yz_m = pinned["worlds"][name]["ego_m"]
    almost = pinned["worlds"][name] | {"ego_m": [x_m + 1e-3, *yz_m]}
    with pytest.raises(AssertionError, match=r"city-0000: ego_m: "):
        check(name, almost, pinned["worlds"][name])


def test_the_command_takes_a_number_or_sizes():
    assert City(Path("x"), benchmark=1).settings() == BENCHMARK
    assert City(Path("x")).settings() == CitySettings()
    mine = City(Path("x"), scenes_train=3, image_size=(64, 36), seed=5).settings()
    assert mine == CitySettings(scenes_train=3, width=64, height=36, seed=5)
    with pytest.raises(ConfigError, match=r"number 1 fixes the city, but --image-size, --seed was"):
        City(Path("x"), benchmark=1, image_size=(400, 225), seed=0).settings()
    with pytest.raises(ConfigError, match=r"this release writes number 1, asked for 2"):
        benchmark_settings(2)
