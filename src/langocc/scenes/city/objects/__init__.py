# SPDX-License-Identifier: Apache-2.0
"""Models of the things in the city: what each is called, its colour, its mesh."""
