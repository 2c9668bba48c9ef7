"""Feature maps of group convolutions: an image for each element of a group."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group, describe
from repgeo.groups.image_rotations import ImageMethod, ImageRotations
from repgeo.groups.representations import Data, Representation, one_tensor

__all__ = ["RegularImages"]

_SAME = 1e-6  # largest entry of the difference of matrices of the same element


class RegularImages(Representation):
    """Images indexed by group elements, `(n, channels, order, height, width)`.

    (ρ(g) x)(h, p) = x(g^-1 h, g^-1 p): the pixels are moved as those of an image, and the images
    of the elements change places as in the regular representation. What the layers of a group
    convolutional network carry.

    Parameters
    ----------
    group
        The group that acts, one of planar rotations and reflections.
    method
        How pixels are moved, as for `ImageRotations`; "exact" for subgroups of D_4.
    over
        The finite group whose elements index the images, which the group that acts is a subgroup
        of; by default that group itself.

    Raises
    ------
    InputError
        If there is no finite group to index images, or the group does not act on the plane; when
        called, for data of another shape, or an element that is not in `over`.

    References
    ----------
    T. Cohen, M. Welling, "Group equivariant convolutional networks" (2016), arXiv:1602.07576.

    Examples
    --------
    >>> from repgeo.groups import Cyclic, Dihedral
    >>> x = torch.zeros(1, 1, 4, 2, 2)
    >>> x[0, 0, 0, 0, 0] = 1.0  # the corner top left, of the identity
    >>> RegularImages(Cyclic(4))(torch.tensor([1]), x)[0].nonzero().tolist()
    [[0, 0, 1, 1, 0]]
    >>> part = RegularImages(Cyclic(4), over=Dihedral(4))
    >>> part(torch.tensor([1]), torch.ones(1, 1, 8, 2, 2)).shape
    torch.Size([1, 1, 1, 8, 2, 2])
    """

    def __init__(
        self, group: Group, method: ImageMethod = "exact", *, over: Group | None = None
    ) -> None:
        self.group = group
        self.over = group if over is None else over
        self.pixels = ImageRotations(group, method)
        self.exact = self.pixels.exact
        self._matrices = self.over.matrix(self.over.elements())  # (order, 2, 2)
        if self._matrices.shape[-1] != 2:
            raise InputError(f"Images are indexed by planar groups, not by {self.over.name}.")

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Pixels first, then the places of the elements."""
        x = one_tensor(x, "A regular representation of images")
        order = len(self._matrices)
        if x.ndim != 6 or x.shape[3] != order:
            raise InputError(
                f"Regular images of {self.over.name} are (n, channels, {order}, height, width), "
                f"got {tuple(x.shape[1:])}."
            )
        turned = one_tensor(self.pixels.apply(elements, x), "A rotation of images")
        places = self._places(elements).to(x.device)  # (m, order): of g^-1 h
        index = places[:, None, None, :, None, None].expand(turned.shape)
        return turned.gather(3, index)

    def _places(self, elements: Tensor) -> Tensor:
        back = self.group.matrix(self.group.inverse(elements)).to(self._matrices)
        moved = back[:, None] @ self._matrices  # (m, order, 2, 2)
        gaps = (moved[:, :, None] - self._matrices).abs().amax(dim=(-2, -1))  # (m, order, order)
        outside = torch.nonzero(gaps.amin(dim=2).amax(dim=1) > _SAME)
        if len(outside):
            wrong = elements[int(outside[0])]
            raise InputError(
                f"Element {int(outside[0])} of {self.group.name}, {describe(wrong)}, is not in "
                f"{self.over.name}, whose elements index the images."
            )
        return gaps.argmin(dim=2)
