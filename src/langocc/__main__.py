# SPDX-License-Identifier: Apache-2.0
"""`python -m langocc` is the same as `langocc`."""

from langocc.cli import main

main()
