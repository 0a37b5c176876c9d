"""What the stub driver loads instead of a fatbin: the names and signatures of kernels, read from their .cu files.

So a launch under the stub is held to the parameters that the kernel really has. Not for: running one.
"""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent.parent / "kernels" / "src"
INCREMENT = "stub_increment_kernel p p 4"  # the one kernel that the stub runs: kernels.c
_SIGNATURE = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s*(?:__launch_bounds__\([^)]*\))?\s*(\w+)\s*\(([^)]*)\)', re.DOTALL
)
_BYTES = {
    "int": 4, "unsigned int": 4, "unsigned": 4, "float": 4, "bool": 1, "unsigned char": 1, "short": 2,
    "unsigned short": 2, "long long": 8, "unsigned long long": 8, "double": 8,
}  # fmt: skip


def signatures(source: str) -> dict[str, list[str]]:
    """Every kernel in a .cu file's text: "p" for a pointer, else the bytes of the scalar. KeyError: an unknown type."""
    found = {}
    for name, parameters in _SIGNATURE.findall(re.sub(r"//[^\n]*", "", source)):
        found[name] = [_parameter(text) for text in parameters.split(",") if text.strip()]
    return found


def image(*sources: Path) -> bytes:
    """The image of these files' kernels and the stub's own."""
    lines = ["STUB IMAGE", INCREMENT]
    for path in sources or sorted(SOURCES.glob("*.cu")):
        lines += [" ".join([name, *kinds]) for name, kinds in signatures(path.read_text(encoding="utf-8")).items()]
    return "\n".join([*lines, ""]).encode()


def _parameter(text: str) -> str:
    if "*" in text:
        return "p"
    words = [word for word in text.split() if word != "const"]
    return str(_BYTES[" ".join(words[:-1])])
