"""Prints pip's option for PyTorch's CPU index if that index answers, else nothing.

PyPI's own Linux wheel of torch needs several GB of CUDA packages. Where the index cannot be
reached, pip's own configuration decides.
"""

import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"

try:
    urllib.request.urlopen(f"{INDEX}/torch/", timeout=5).close()
    print(f"--extra-index-url {INDEX}")
except OSError:
    pass
