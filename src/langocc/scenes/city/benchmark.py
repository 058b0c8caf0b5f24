# SPDX-License-Identifier: Apache-2.0
"""The fixed city that results are given on, by number: the same number, the same city for ever.

A number stands for settings and for the generator that reads them. Whoever changes what the
generator makes of them gives the benchmark its next number here; the old one is then refused, and
can be written with the release that had it.
"""

from langocc.errors import ConfigError
from langocc.scenes.city.plan import CitySettings

BENCHMARK = CitySettings(
    scenes_train=14,
    scenes_val=3,
    scenes_test=3,
    frames_per_scene=20,
    width=704,
    height=396,
    seed=1005,  # the first from 1000 on that shows all 16 classes in val, and in test
    version="v1.0-mini",
    benchmark=1,
)
"""The benchmark that this release writes: 400 key frames, on no street that the demo has or that
the city's teacher learned on."""


def benchmark_settings(number: int) -> CitySettings:
    """Settings of the benchmark of a number.

    Raises:
        ConfigError: not the one that this release writes.
    """
    if number != BENCHMARK.benchmark:
        raise ConfigError(
            f"benchmark: this release writes number {BENCHMARK.benchmark}, asked for {number}"
        )
    return BENCHMARK
