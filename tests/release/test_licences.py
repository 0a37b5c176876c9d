"""Licences of the core install: all are known, none asks for the GPL, and the page says what is installed."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from release.closure import Package, Part, core_packages, package_of, read_table
from release.copyleft import Reach, reach
from release.licences import PAGE, library_rows, page_of
from release.lock import LOCK, locked_in

LOCKED = {one.name: one.version for one in locked_in(LOCK.read_text(encoding="ascii"))}


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    """The core install, if it is the one that is locked: licences of other versions are read when they are locked."""
    found = core_packages()
    if other := [one.name for one in found if one.name != "cathrt" and LOCKED.get(one.name) != one.version]:
        pytest.skip(f"installed in other versions than the lock has: {', '.join(other)}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", "none"),
        ("Apache-2.0 WITH LLVM-exception", "none"),
        ("BSD-3-Clause AND MPL-2.0", "library"),
        ("LGPL-2.1-or-later", "library"),
        ("LGPL-2.1-or-later OR MIT", "none"),
        ("FTL OR GPL-2.0-or-later", "none"),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", "excepted"),
        ("GPL-3.0-or-later WITH LLVM-exception", "whole"),
        ("GPL-2.0-only", "whole"),
        ("(MIT OR Apache-2.0) AND AGPL-3.0-only", "whole"),
    ],
)
def test_how_far_a_licence_reaches(expression: str, expected: Reach) -> None:
    assert reach(expression) == expected


def test_nothing_in_the_core_install_asks_for_the_gpl(packages: list[Package]) -> None:
    all_of_them = [(one.name, one.licence) for one in packages]
    all_of_them += [(f"{one.name}: {part.name}", part.licence) for one in packages for part in one.parts]
    assert len(all_of_them) > 100
    assert [one for one in all_of_them if reach(one[1]) == "whole"] == []


def test_the_page_is_the_one_that_these_packages_make(packages: list[Package]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page_of(packages)


def test_a_shared_object_that_nobody_has_read_about_is_refused() -> None:
    from importlib.metadata import distribution

    table = read_table()
    table["numpy"]["libraries"] = [row for row in table["numpy"]["libraries"] if row["name"] != "libquadmath (GCC)"]
    with pytest.raises(ValueError, match=r"numpy: libquadmath-.*: no line in libraries.toml"):
        package_of("numpy", distribution("numpy"), table)


def test_a_library_that_is_no_longer_there_is_refused() -> None:
    from importlib.metadata import distribution

    table = read_table()
    table["cffi"]["libraries"].append({"name": "gone", "licence": "MIT", "files": ["libgone-*"]})
    with pytest.raises(ValueError, match=r"cffi: gone: no file .* correct libraries.toml"):
        package_of("cffi", distribution("cffi"), table)


def test_pillow_holds_no_quantiser_under_the_gpl() -> None:
    from PIL import features

    assert not features.check("libimagequant")  # its own bill of materials names it as optional


def test_rust_crates_are_one_row_with_all_their_licences() -> None:
    parts = (Part("a", "1.0", "MIT", "x.so"), Part("b", "2.0", "Zlib", "x.so"), Part("c", "", "BSD-3-Clause", "x.so"))
    rows = list(library_rows(Package("p", "1", "MIT", "", (), parts, ())))
    assert rows == ["| p | c | BSD-3-Clause |", "| p | Rust crates, listed in the bill of materials | MIT; Zlib |"]


def test_names_of_the_lock_are_canonical() -> None:
    assert [name for name in LOCKED if name != canonicalize_name(name)] == []
