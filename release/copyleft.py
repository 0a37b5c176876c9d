"""How far a licence reaches beyond the library that has it. Not for: which library has which licence (closure.py)."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

from license_expression import AND, OR, LicenseSymbol, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing

# In order: nothing; terms for changes to the library itself; the GPL, but for programs that use the library; the GPL.
Reach = Literal["none", "library", "excepted", "whole"]

_ORDER = get_args(Reach)
_LIBRARY = ("LGPL-", "MPL-", "EPL-", "CDDL-")
_WHOLE = ("GPL-", "AGPL-", "SSPL-", "OSL-", "EUPL-")
_EXCEPTIONS = ("GCC-exception-", "Autoconf-exception-", "Bison-exception-", "Classpath-exception-")


def reach(expression: str) -> Reach:
    """Of an SPDX expression: of OR the best choice, of AND the worst part. Raises ValueError: no such expression."""
    return _reach(_licences().parse(expression, validate=True))


@cache
def _licences() -> Licensing:
    return get_spdx_licensing()  # reads two thousand licences


def _reach(node: object) -> Reach:
    if isinstance(node, OR):
        return min((_reach(one) for one in node.args), key=_ORDER.index)
    if isinstance(node, AND):
        return max((_reach(one) for one in node.args), key=_ORDER.index)
    if isinstance(node, LicenseWithExceptionSymbol):
        bare = _reach(node.license_symbol)
        return "excepted" if bare == "whole" and node.exception_symbol.key.startswith(_EXCEPTIONS) else bare
    if isinstance(node, LicenseSymbol):
        return "whole" if node.key.startswith(_WHOLE) else "library" if node.key.startswith(_LIBRARY) else "none"
    raise ValueError(f"{node}: found {type(node).__name__}, expected a licence, AND or OR")
