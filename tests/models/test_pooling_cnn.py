"""Networks whose shift equivariance is lost in pooling and activations only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from repgeo.errors import ConfigurationError
from repgeo.models.building import build
from repgeo.models.planted_layer import planted_layer
from repgeo.models.pooling import POOLING
from repgeo.models.pooling_cnn import pooling_cnn
from repgeo.probes import LieDerivative

SHAPE = (1, 12, 12)


def images(n: int = 5) -> torch.Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pooling", POOLING)
def test_codes_see_no_shift_by_whole_windows(pooling: str) -> None:
    net = build(
        pooling_cnn, {"pooling": pooling, "channels": [3, 4, 5]}, seed=0, input_shape=SHAPE,
        classes=2, dtype="float64",
    )  # fmt: skip
    net.requires_grad_(False)
    x = images().double()
    codes = net.encoder(x)
    assert codes.shape == (5, 5)
    assert torch.allclose(net.encoder(x.roll((4, 8), dims=(2, 3))), codes, atol=1e-12)
    moved = net.encoder(x.roll(1, dims=3))
    assert float((moved - codes).abs().max()) > 1e-6
    shapes = {"conv1": 12, "pool1": 6, "activation2": 6, "pool2": 3, "conv3": 3}
    told = net.layer_representations()
    for name, side in shapes.items():
        place = list(dict(net.encoder.named_children())).index(name)
        assert net.encoder[: place + 1](x).shape[-1] == side
        assert told[f"encoder.{name}"] == ("image" if side == 12 else f"image:{side / 12:g}")


def test_without_kinks_and_aliases_nothing_is_lost() -> None:
    """Linear layers and no pooling: equivariant to rounding, and the probe says so."""
    net = build(
        pooling_cnn, {"activation": "identity", "channels": [3]}, seed=0, input_shape=SHAPE,
        classes=2, dtype="float64",
    )  # fmt: skip
    frame = LieDerivative(group="T2", action="image")(net, images())
    errors = frame.loc[frame["metric"] == "relative_error", "value"]
    assert float(errors.max()) < 1e-25
    padded = build(
        pooling_cnn, {"activation": "identity", "channels": [3], "padding": "zeros"}, seed=0,
        input_shape=SHAPE, classes=2,
    )  # fmt: skip
    frame = LieDerivative(group="T2", action="image")(padded, images())
    assert float(frame.loc[frame["metric"] == "relative_error", "value"].min()) > 1e-4


def test_rotations_are_measured_at_every_resolution() -> None:
    net = build(pooling_cnn, {"channels": [2, 2]}, seed=0, input_shape=SHAPE, classes=2)
    frame = LieDerivative(group="SO2", action="image")(
        net, images(), layers={"encoder": "encoder", "pool": "encoder.pool1"}
    )
    found = frame.loc[frame["metric"] == "relative_error"].set_index("layer")["value"]
    assert list(found.index) == ["pool", "encoder", "output"]
    assert bool((found > 0).all())


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs images of shape"):
        pooling_cnn((5,), 2)
    with pytest.raises(ConfigurationError, match="channels must be at least 1"):
        pooling_cnn(SHAPE, 2, channels=())
    with pytest.raises(ConfigurationError, match="Did you mean 'blur'"):
        pooling_cnn(SHAPE, 2, pooling="blurr")


def test_planted_layers_filter_their_band() -> None:
    x = torch.randn(3, 1, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    net = planted_layer("identity", low=3, high=4)
    assert isinstance(net.head, nn.Identity)
    spectrum = torch.fft.rfft(net(x))
    whole = torch.fft.rfft(x)
    assert torch.allclose(spectrum[..., 3:5], whole[..., 3:5])
    assert float(spectrum[..., :3].abs().max()) < 1e-13
    assert float(spectrum[..., 5:].abs().max()) < 1e-13
