"""Groups that act, by the names that data and task files write."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.continuous import O3, SE2, SE3, SO2, SO3, Translations
from repgeo.groups.discrete import Cyclic, Dihedral, Permutations, Polyhedral
from repgeo.groups.products import Product

__all__ = ["named_acting_group"]

_MATRIX_GROUPS: Final[dict[str, Callable[[], Group]]] = {
    "SO2": SO2,
    "SO3": SO3,
    "O3": O3,
    "SE2": SE2,
    "SE3": SE3,
    "T": lambda: Polyhedral("T"),
    "O": lambda: Polyhedral("O"),
    "I": lambda: Polyhedral("I"),
}

_INDEXED: Final[dict[str, Callable[[int], Group]]] = {
    "C": Cyclic,
    "D": Dihedral,
    "S": Permutations,
    "R": Translations,
}


def named_acting_group(name: str, *, period: float | None = None) -> Group:
    """The group that acts of a name.

    "SO2", "SO3", "O3", "SE2", "SE3" (also with brackets, "SO(3)"); "C<n>" and "D<n>" (rotations,
    and reflections, of the regular n-gon); "S<n>" (permutations of n items); "T", "O", "I" (the
    rotations of tetrahedron, octahedron, icosahedron); "R<d>" (translations, normal law) and
    "T<d>" (translations of a torus); products joined by x, "SO2xC4".

    Parameters
    ----------
    name
        The name.
    period
        The period of a torus, in the units of the data (pixels, samples); 1 by default.

    Raises
    ------
    InputError
        If there is no such group, or a period is given for a group without a torus.

    Examples
    --------
    >>> named_acting_group("SO3").name, named_acting_group("D4").order
    ('SO(3)', 8)
    >>> named_acting_group("T2", period=28.0).law, named_acting_group("SO2xC4").name
    ('Haar', 'SO(2) x C4')
    >>> named_acting_group("Q8")
    Traceback (most recent call last):
        ...
    repgeo.errors.InputError: There is no group that acts named 'Q8'. Names are SO2, SO3, O3, \
SE2, SE3, C<n>, D<n>, S<n>, T, O, I, R<d>, T<d> and products joined by x, 'SO2xC4'.
    """
    plain = re.sub(r"[()\s^_]", "", name)
    torus = [re.fullmatch(r"T[1-9]\d*", part) is not None for part in plain.split("x")]
    if period is not None and not any(torus):
        raise InputError(f"A period is that of a torus T<d>; {name!r} has none.")
    factors = tuple(_single(part, name, period) for part in plain.split("x"))
    return factors[0] if len(factors) == 1 else Product(factors)


def _single(part: str, name: str, period: float | None) -> Group:
    if part in _MATRIX_GROUPS:
        return _MATRIX_GROUPS[part]()
    found = re.fullmatch(r"([CDSRT])([1-9]\d*)", part)
    if found is None:
        raise InputError(
            f"There is no group that acts named {name!r}. Names are SO2, SO3, O3, SE2, SE3, C<n>, "
            "D<n>, S<n>, T, O, I, R<d>, T<d> and products joined by x, 'SO2xC4'."
        )
    if found[1] == "T":
        return Translations(int(found[2]), period=1.0 if period is None else period)
    return _INDEXED[found[1]](int(found[2]))
