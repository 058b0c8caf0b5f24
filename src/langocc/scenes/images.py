# SPDX-License-Identifier: Apache-2.0
"""Decoding of images: the one place that opens them."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from langocc.errors import DataError


def read_image(
    path: Path, size: tuple[int, int] | None = None, at_least: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """RGB pixels of an image file; grey, palette and CMYK images are converted.

    Args:
        path: JPEG, PNG or whatever Pillow reads.
        size: Width and height the file should have, as its table says; None: any.
        at_least: A JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as width and height stay at
            least these, which is much quicker when the image is to be shrunk anyway.

    Raises:
        DataError: the file is missing, cut short, damaged, no image, or of another size.
    """
    try:
        with Image.open(path) as image:
            if size is not None and image.size != size:
                raise DataError(
                    f"{path}: expected {size[0]} x {size[1]} pixels, as its record says, found "
                    f"{image.size[0]} x {image.size[1]}"
                )
            if at_least is not None:
                image.draft("RGB", at_least)
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image, or its header is damaged") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded: {error}") from None
