"""Feature maps of group convolutions: an image for each element of a group."""

from __future__ import annotations

from torch import Tensor

from repgeo.errors import InputError
from repgeo.groups.acting import Group
from repgeo.groups.image_rotations import ImageMethod, ImageRotations
from repgeo.groups.matrix_representations import regular_representation
from repgeo.groups.representations import Data, Representation, one_tensor

__all__ = ["RegularImages"]


class RegularImages(Representation):
    """Images indexed by group elements, `(n, channels, order, height, width)`.

    (ρ(g) x)(h, p) = x(g^-1 h, g^-1 p): the pixels are moved as those of an image, and the images
    of the elements change places as in the regular representation. What the layers of a group
    convolutional network carry (Cohen and Welling 2016, arXiv:1602.07576).

    Parameters
    ----------
    group
        C_n or D_n.
    method
        How pixels are moved, as for `ImageRotations`; "exact" for subgroups of D_4.

    Raises
    ------
    InputError
        If the group is not finite or does not act on the plane; when called, for data of another
        shape.

    Examples
    --------
    >>> import torch
    >>> from repgeo.groups import Cyclic
    >>> x = torch.zeros(1, 1, 4, 2, 2)
    >>> x[0, 0, 0, 0, 0] = 1.0  # the corner top left, of the identity
    >>> RegularImages(Cyclic(4))(torch.tensor([1]), x)[0].nonzero().tolist()
    [[0, 0, 1, 1, 0]]
    """

    def __init__(self, group: Group, method: ImageMethod = "exact") -> None:
        self.group = group
        self.pixels = ImageRotations(group, method)
        self.places = regular_representation(group)
        self.exact = self.pixels.exact

    def apply(self, elements: Tensor, x: Data) -> Data:
        """Pixels first, then the places of the elements."""
        x = one_tensor(x, "A regular representation of images")
        order = self.places.dimension
        if x.ndim != 6 or x.shape[3] != order:
            raise InputError(
                f"Regular images of {self.group.name} are (n, channels, {order}, height, width), "
                f"got {tuple(x.shape[1:])}."
            )
        turned = one_tensor(self.pixels.apply(elements, x), "A rotation of images")
        moved = self.places.apply(elements, turned.movedim(3, -1))
        return one_tensor(moved, "A regular representation").movedim(-1, 3)
