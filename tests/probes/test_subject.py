from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import (
    CheckpointError,
    InputError,
    LayerError,
    NonFiniteError,
    UnsupportedError,
)
from repgeo.models.baselines import constant, identity
from repgeo.models.cnn import cnn
from repgeo.models.cutting import as_module, resolve_layer, run_from, run_to
from repgeo.models.loaded import LoadedModel, frozen_view, load_model
from repgeo.models.mlp import mlp
from repgeo.models.resnet import resnet
from repgeo.probes.subject import ALIGNMENT, MemoryCodes, Subject, in_chunks

SHAPE = (1, 8, 8)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with seeded weights, and running statistics that are not those of the start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean = torch.randn(part.num_features)
                part.running_var = torch.rand(part.num_features) + 0.5
    return module


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: mlp(SHAPE, 10, hidden=(24, 12)),
    "cnn": lambda: cnn(SHAPE, 10, channels=(4, 8), features=16),
    "resnet": lambda: resnet(SHAPE, 10, width=4, blocks=(1, 1)),
}


def subject_of(model: Any, layer: str, x: Any, **options: Any) -> Subject:
    return Subject(load_model(model, "net"), layer, samples=x, **options)


def watch_calls(module: nn.Module) -> dict[str, int]:
    """How often each part of a network runs, counted from now on."""
    calls: dict[str, int] = dict.fromkeys((name for name, _ in module.named_modules()), 0)

    def counter(name: str) -> Callable[..., None]:
        def count(*_: Any) -> None:
            calls[name] += 1

        return count

    for name, part in module.named_modules():
        part.register_forward_pre_hook(counter(name))
    return calls


# -------------------------------------------------------------------------------------- encode


def test_encode_stops_at_the_layer_and_is_computed_once() -> None:
    net = seeded(NETWORKS["mlp"])
    x = normal(10, *SHAPE)
    subject = subject_of(net, "encoder.linear1", x)
    calls = watch_calls(net)
    codes = subject.encode(x)
    assert subject.encode(x) is not None
    assert calls["encoder.linear1"] == 1
    assert calls["encoder.activation1"] == calls["encoder.linear2"] == calls["head"] == 0
    assert torch.allclose(codes, net.encoder.linear1(x.flatten(1)), rtol=1e-6)
    assert not codes.requires_grad


def test_codes_are_shared_between_cuts_and_probes_but_not_between_models_or_arrays() -> None:
    net, other = seeded(NETWORKS["mlp"]), seeded(NETWORKS["mlp"], seed=1)
    x, store = normal(10, *SHAPE), MemoryCodes()
    model = load_model(net, "net")
    calls = watch_calls(net)
    first = Subject(model, "encoder", samples=x, codes=store).encode(x)
    second = Subject(model, "head", samples=x, codes=store).cut("encoder").encode(x)
    assert calls[""] == 1
    assert torch.equal(first, second)
    assert not torch.equal(first, Subject(load_model(other, "o"), samples=x, codes=store).encode(x))
    Subject(model, samples=x, codes=store).encode(x.clone())
    assert calls[""] == 2


def test_several_layers_take_one_pass_and_only_what_is_missing() -> None:
    net = seeded(NETWORKS["cnn"])
    x = normal(10, *SHAPE)
    subject = subject_of(net, "encoder", x)
    calls = watch_calls(net)
    subject.encode_layers(["encoder.conv1", "encoder", "encoder.conv1"], x)
    conv, codes = subject.cut("encoder.conv1").encode(x), subject.encode(x)
    subject.encode_layers(["encoder", "encoder.conv1"], x)
    assert calls[""] == 1
    assert calls["head"] == 0
    assert torch.allclose(codes, net.encoder(x), atol=1e-6)
    assert torch.allclose(conv, net.encoder.conv1(x).flatten(1), atol=1e-6)


def test_kept_codes_have_a_limit() -> None:
    store = MemoryCodes(limit=1000)
    model = load_model(nn.Identity(), "same")
    xs = [normal(10, 10, seed=seed) for seed in range(4)]  # 400 bytes each
    for x in xs:
        store.put(model, "", x, x)
    kept = [store.get(model, "", x) is not None for x in xs]
    assert kept == [False, False, True, True]
    huge = normal(1000, 10)
    store.put(model, "", huge, huge)
    assert store.get(model, "", huge) is huge  # what was asked for last is always kept


# -------------------------------------------------------------------------------------- chunks


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n", [1, 63, 64, 200])
def test_chunks_do_not_move_bits(name: str, n: int) -> None:
    net, x = seeded(NETWORKS[name]), normal(n, *SHAPE)
    budgets = (1, 64 * 256 * 32, 128 * 256 * 32, 1 << 40)
    found = []
    for budget in budgets:
        subject = subject_of(net, "encoder", x, memory_budget=budget)
        found.append((subject.encode(x), subject(x), *subject.codes_and_output(x)))
    assert all(
        torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True)
    )
    assert torch.equal(found[0][0], found[0][2])
    assert torch.equal(found[0][1], found[0][3])
    assert found[0][1].shape == (n, 10)
    # One sample at a time, the slow and obvious way.
    slow = torch.cat([net(row[None]) for row in x])
    assert torch.allclose(found[0][1], slow, atol=1e-5)


def test_a_sample_has_the_same_codes_whatever_is_measured_with_it() -> None:
    net, x = seeded(NETWORKS["cnn"]), normal(150, *SHAPE)
    subject = subject_of(net, "encoder", x)
    whole = subject.encode(x)
    for part in (slice(0, 1), slice(3, 80), slice(149, 150)):
        assert torch.equal(subject.encode(x[part].clone()), whole[part])


def test_chunks_are_multiples_of_the_alignment_within_the_budget() -> None:
    sizes: list[int] = []

    def note(batch: Any) -> dict[str, Tensor]:
        sizes.append(len(batch))
        return {"same": batch}

    x = normal(300, 4)  # 16 bytes a sample, estimated at 512 with its activations
    assert torch.equal(in_chunks(note, x, memory_budget=512 * 130)["same"], x)
    assert sizes == [128, 128, 64]
    sizes.clear()
    in_chunks(note, x, memory_budget=1)
    assert sizes == [ALIGNMENT] * 5
    sizes.clear()
    in_chunks(note, x, memory_budget=1 << 40)
    assert sizes == [320]


def test_mappings_are_cut_and_padded_too() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(3, 2)

        def forward(self, x: dict[str, Tensor]) -> Tensor:
            pooled = (x["tokens"] * x["mask"][..., None]).sum(1)
            codes: Tensor = self.encoder(pooled)
            return codes

    net = seeded(Masked)
    x = {"tokens": normal(70, 5, 3, dtype=torch.float64), "mask": normal(70, 5) > 0}
    subject = subject_of(net, "encoder", x, memory_budget=1)
    wanted = torch.cat(
        [
            net({"tokens": x["tokens"][i : i + 1].float(), "mask": x["mask"][i : i + 1]})
            for i in range(70)
        ]
    )
    assert torch.allclose(subject.encode(x), wanted, atol=1e-6)
    assert subject.head(subject.encode(x)).shape == (70, 2)


# ---------------------------------------------------------------------------------------- head

CUTS = [
    *((name, layer) for name in NETWORKS for layer in ("encoder", "head", "output")),
    ("mlp", "encoder.flatten"),
    ("mlp", "encoder.linear1"),
    ("mlp", "encoder.activation2"),
    ("cnn", "encoder.conv1"),
    ("cnn", "encoder.pool2"),
    ("cnn", "encoder.flatten"),
    ("cnn", "encoder.linear"),
    ("resnet", "encoder.stem"),
    ("resnet", "encoder.stage1"),
    ("resnet", "encoder.stage2"),
    ("resnet", "encoder.pool"),
    ("resnet", "encoder.stage1.0.activation"),
]


@pytest.mark.parametrize(("name", "layer"), CUTS)
@pytest.mark.parametrize("n", [1, 2, 70])
def test_head_after_encode_is_the_network(name: str, layer: str, n: int) -> None:
    net, x = seeded(NETWORKS[name]), normal(n, *SHAPE)
    subject = subject_of(net, layer, x)
    codes = subject.encode(x)
    assert codes.ndim == 2
    assert torch.allclose(subject.head(codes), subject(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [identity, lambda: constant(3)])
def test_head_after_encode_is_the_network_for_baselines(make: Callable[[], nn.Module]) -> None:
    x = normal(5, *SHAPE)
    subject = subject_of(make(), "encoder", x)
    assert torch.equal(subject.head(subject.encode(x)), subject(x))


def test_head_takes_codes_of_another_model_and_is_differentiable() -> None:
    net, x = seeded(NETWORKS["cnn"]), normal(6, *SHAPE)
    subject = subject_of(net, "encoder", x)
    z = normal(9, 16).requires_grad_()
    out = subject.head(z)
    assert torch.allclose(out, net.head(z))
    out.sum().backward()
    assert torch.allclose(z.grad, net.head.weight.sum(0).expand(9, 16), atol=1e-6)


def test_head_gives_maps_their_native_shape() -> None:
    net, x = seeded(NETWORKS["cnn"]), normal(6, *SHAPE)
    subject = subject_of(net, "encoder.conv1", x)
    z = normal(5, 4 * 8 * 8)
    wanted = net.head(net.encoder[1:](z.reshape(5, 4, 8, 8)))
    assert torch.allclose(subject.head(z), wanted, atol=1e-5)


class Bypass(nn.Module):
    """A network in which a connection goes around the layer `inner`."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.join = join
        self.last = nn.Linear(8 if join == "cat" else 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.inner(x)
        joined = torch.cat([z, x], dim=1) if self.join == "cat" else z + x
        out: Tensor = self.last(joined)
        return out


@pytest.mark.parametrize("join", ["add", "cat"])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_layer_with_a_connection_around_it_is_no_cut(join: str, n: int) -> None:
    x = normal(n, 4)
    subject = subject_of(seeded(lambda: Bypass(join)), "inner", x)
    assert subject.encode(x).shape == (n, 4)  # its codes are codes all the same
    with pytest.raises(LayerError, match=r"does not cut the network.*Choose a later layer"):
        subject.head(subject.encode(x))


def test_the_inside_of_a_residual_block_is_no_cut() -> None:
    x = normal(6, *SHAPE)
    subject = subject_of(seeded(NETWORKS["resnet"]), "encoder.stage1.0.residual", x)
    with pytest.raises(LayerError, match="does not cut the network"):
        subject.head(subject.encode(x))


def test_a_network_that_reads_the_batch_size_of_its_inputs_has_a_head() -> None:
    class Reshaping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.last = nn.Linear(72, 3)

        def forward(self, x: Tensor) -> Tensor:
            batch = x.shape[0]
            out: Tensor = self.last(self.conv(x).view(batch, -1))
            return out

    x = normal(10, *SHAPE)
    subject = subject_of(seeded(Reshaping), "conv", x)
    assert torch.allclose(subject.head(subject.encode(x)), subject(x), atol=1e-6)
    assert subject.head(normal(4, 72)).shape == (4, 3)


def test_a_head_needs_samples() -> None:
    subject = Subject(load_model(nn.Linear(3, 2), "net"), "output", samples=None)
    assert torch.equal(subject.head(torch.ones(1, 2)), torch.ones(1, 2))
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with pytest.raises(UnsupportedError, match="needs the shape of the inputs"):
        Subject(load_model(net, "net"), "0", samples=None).head(torch.ones(1, 2))


# -------------------------------------------------------------------------------------- layers


class Odd(nn.Module):
    """A layer that never runs, one that returns a tuple, and one that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.recurrent = nn.GRU(3, 5, batch_first=True)
        self.twice = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.twice(self.twice(self.recurrent(x)[0])).mean(1)
        return out


def test_layers_that_cannot_be_codes_are_named() -> None:
    x = normal(4, 6, 3)
    net = seeded(Odd)
    with pytest.raises(LayerError, match="'unused' does not run in the forward pass"):
        subject_of(net, "unused", x).encode(x)
    with pytest.raises(LayerError, match="'recurrent' returns tuple, not a tensor"):
        subject_of(net, "recurrent", x).encode(x)
    with pytest.raises(LayerError, match="'unused' does not run"):
        run_from(net, "unused", x, x)


def test_a_layer_that_runs_twice_counts_the_first_time() -> None:
    x, net = normal(4, 6, 3), seeded(Odd)
    codes = subject_of(net, "twice", x).encode(x)
    assert torch.allclose(codes, net.twice(net.recurrent(x)[0]).flatten(1), atol=1e-6)


def test_an_unknown_layer_is_an_error_with_the_nearest_names() -> None:
    x, net = normal(4, *SHAPE), seeded(NETWORKS["mlp"])
    with pytest.raises(LayerError, match=r"no layer 'encoder\.linaer1'.*'encoder\.linear1'"):
        subject_of(net, "encoder.linaer1", x).encode(x)
    named = LoadedModel(net, "net", {"codes": "encoder.gone"})
    with pytest.raises(LayerError, match=r"no layer 'codes' \(named 'encoder\.gone'\)"):
        Subject(named, "codes", samples=x).encode(x)


def test_named_layers_lead_to_paths() -> None:
    x, net = normal(4, *SHAPE), seeded(NETWORKS["mlp"])
    model = LoadedModel(net.eval().requires_grad_(False), "net", {"early": "encoder.linear1"})
    subject = Subject(model, "early", samples=x)
    assert subject.named_layers == ["early"]
    assert torch.allclose(subject.encode(x), net.encoder.linear1(x.flatten(1)), atol=1e-6)
    assert load_model(net, "net").named_layers == {"encoder": "encoder"}
    assert load_model(nn.ReLU(), "net").named_layers == {"output": ""}


def test_a_layer_that_is_called_output_is_a_layer() -> None:
    net = nn.Module()
    net.output = nn.Linear(2, 2)
    assert resolve_layer(net, {}, "output") == "output"
    assert resolve_layer(nn.ReLU(), {}, "output") == ""


def test_outputs_whose_first_axis_is_not_the_sample_are_refused() -> None:
    x = normal(5, 3)
    with pytest.raises(LayerError, match=r"shape \(\) for 64 samples"):
        subject_of(lambda x: x.sum(), "output", x)(x)
    with pytest.raises(LayerError, match=r"shape \(3, 64\).*first axis must be the sample"):
        subject_of(lambda x: x.T, "encoder", x).encode(x)


def test_hooks_are_gone_afterwards_also_after_an_error() -> None:
    def fail(_x: Tensor) -> Tensor:
        raise ValueError("no")

    net = nn.Sequential(nn.Linear(3, 3), as_module(fail))
    for paths in (["0"], ["0", ""]):
        try:
            run_to(net, paths, normal(2, 3))
        except ValueError:
            assert paths == ["0", ""]
    assert not net[0]._forward_hooks


# ---------------------------------------------------------------------- numbers, plain callables


def test_codes_of_one_number_per_sample_are_one_feature() -> None:
    x = normal(5, 3)
    subject = subject_of(lambda x: x.sum(1), "encoder", x)
    assert torch.allclose(subject.encode(x), x.sum(1, keepdim=True))
    assert subject.feature_map(x).shape == (5, 1)
    assert torch.allclose(subject.head(subject.encode(x)), x.sum(1))
    assert subject.codes_and_output(x)[0].shape == (5, 1)


def test_plain_callables_are_models() -> None:
    x = normal(5, 3, dtype=torch.float64)
    subject = subject_of(torch.tanh, "encoder", x)
    assert torch.equal(subject.encode(x), torch.tanh(x))
    assert torch.equal(subject(x), torch.tanh(x))
    assert subject.dtype is None
    assert subject.weights == {}
    for wrong in (3, nn.Linear, None):
        with pytest.raises(InputError, match=r"A model is an nn\.Module or a callable"):
            as_module(wrong)


@pytest.mark.parametrize("model_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("data_dtype", [torch.float32, torch.float64])
def test_data_follow_the_dtype_of_the_model(
    model_dtype: torch.dtype, data_dtype: torch.dtype
) -> None:
    net = seeded(NETWORKS["mlp"]).to(model_dtype)
    x = normal(5, *SHAPE, dtype=data_dtype)
    before = x.clone()
    subject = subject_of(net, "encoder", x)
    assert subject.encode(x).dtype == model_dtype
    assert subject.feature_map(x).dtype == model_dtype
    assert subject.head(subject.encode(x).to(data_dtype)).dtype == model_dtype
    assert torch.allclose(subject(x), net(x.to(model_dtype)), atol=1e-6)
    assert torch.equal(x, before)


def test_integers_stay_integers() -> None:
    x = torch.arange(6).reshape(3, 2)
    net = nn.Embedding(6, 4)
    subject = subject_of(net, "output", x)
    assert torch.equal(subject.encode(x), net(x).flatten(1))


def test_outputs_that_are_nan_or_infinite_are_counted() -> None:
    x = torch.tensor([[1.0], [-1.0], [0.0]])
    subject = subject_of(torch.log, "encoder", x)
    with pytest.raises(
        NonFiniteError, match="'net' gives NaN or infinite values at layer 'encoder' for 2 of 3"
    ):
        subject.encode(x)
    with pytest.raises(NonFiniteError, match="in its output for 2 of 3 samples"):
        subject(x)


# --------------------------------------------------------------------------------- feature maps


@pytest.mark.parametrize("layer", ["encoder", "encoder.conv1", "output"])
def test_feature_map_works_under_the_transforms(layer: str) -> None:
    net = seeded(NETWORKS["cnn"]).double()
    x, v = normal(3, *SHAPE, dtype=torch.float64), normal(3, *SHAPE, seed=1, dtype=torch.float64)
    subject = subject_of(net, layer, x)
    f = subject.feature_map
    wanted = torch.stack(
        [torch.autograd.functional.jacobian(lambda t: f(t[None])[0], row).flatten(1) for row in x]
    )  # (batch, features, inputs)
    codes, pushed = torch.func.jvp(f, (x,), (v,))
    assert torch.equal(codes, f(x))
    assert torch.allclose(pushed, torch.einsum("bfi,bi->bf", wanted, v.flatten(1)), atol=1e-10)
    _, pull = torch.func.vjp(f, x)
    w = normal(*codes.shape, seed=2, dtype=torch.float64)
    pulled = torch.einsum("bfi,bf->bi", wanted, w).reshape(x.shape)
    assert torch.allclose(pull(w)[0], pulled, atol=1e-10)
    per_sample = torch.func.vmap(torch.func.jacrev(lambda row: f(row[None])[0]))(x)
    assert torch.allclose(per_sample.flatten(2), wanted, atol=1e-10)
    forward = torch.func.vmap(torch.func.jacfwd(lambda row: f(row[None])[0]))(x)
    assert torch.allclose(forward.flatten(2), wanted, atol=1e-10)


def test_feature_map_is_encode() -> None:
    net, x = seeded(NETWORKS["resnet"]), normal(64, *SHAPE)
    subject = subject_of(net, "encoder", x)
    assert torch.equal(subject.feature_map(x), subject.encode(x))


# --------------------------------------------------------------------- checkpoints, capabilities


def kept_model() -> tuple[LoadedModel, dict[Any, nn.Module], list[Any]]:
    networks = {epoch: seeded(NETWORKS["mlp"], seed) for seed, epoch in enumerate(("init", 3))}
    final, loads = seeded(NETWORKS["mlp"], seed=9), []

    def load(epoch: Any) -> dict[str, Tensor]:
        loads.append(epoch)
        return dict(networks[epoch].state_dict())

    model = LoadedModel(
        final.eval().requires_grad_(False), "net", {}, "id", load, checkpoints=("init", 3)
    )
    return model, networks, loads


def test_a_kept_checkpoint_is_the_same_network_with_other_weights() -> None:
    model, networks, loads = kept_model()
    x = normal(5, *SHAPE)
    subject = Subject(model, "encoder", samples=x)
    final = subject.encode(x)
    assert subject.checkpoints == ("init", 3)
    for epoch, net in networks.items():
        at = subject.at(epoch)
        assert torch.allclose(at.encode(x), net.eval().encoder(x), atol=1e-6)
        assert (at.layer, at.label) == ("encoder", "net")
        assert not at.module.training
        assert not any(p.requires_grad for p in at.module.parameters())
    subject.at("init").encode(x)
    assert loads == ["init", 3]  # each is read once
    assert torch.equal(subject.encode(x), final)
    assert model.at("init").identity == "id@init"
    one = sum(p.numel() * p.element_size() for p in model.module.parameters())
    assert model.bytes() == 3 * one


def test_a_checkpoint_that_was_not_kept_is_an_error_with_those_that_were() -> None:
    model, _, _ = kept_model()
    with pytest.raises(CheckpointError, match=r"no checkpoint 7\. Kept: 'init', 3\..*keep = "):
        Subject(model, samples=normal(1, *SHAPE)).at(7)
    with pytest.raises(CheckpointError, match=r"Kept: none\."):
        load_model(nn.ReLU(), "net").at("init")


class Coder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 2, dtype=torch.float64)
        self.note = "not a method"

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.encoder(x)
        return out

    def decode(self, z: Tensor) -> Tensor:
        return z @ self.encoder.weight


def test_capabilities_are_methods() -> None:
    x = normal(4, 3)
    subject = subject_of(seeded(Coder), "encoder", x)
    assert all(subject.offers(name) for name in ("encode", "weights", "decode"))
    assert not any(subject.offers(name) for name in ("classify", "note", "spec"))
    decoded = subject.use("decode", subject.encode(x).float())
    assert decoded.dtype == torch.float64
    assert decoded.shape == (4, 3)
    assert not decoded.requires_grad
    with pytest.raises(UnsupportedError, match="'net' does not offer 'classify'"):
        subject.use("classify", x)


def test_a_model_may_be_loaded_when_it_is_first_needed() -> None:
    loads = []

    def load() -> LoadedModel:
        loads.append(1)
        return load_model(nn.Linear(3, 2), "late")

    x = normal(4, 3)
    subject = Subject(load, "output", samples=x, label="late")
    assert (subject.label, subject.layer) == ("late", "output")
    cut = subject.cut("output")
    assert not loads
    subject.encode(x)
    subject(x)
    assert loads == [1]
    assert cut.label == "late"


def test_a_loaded_model_is_frozen_and_a_view_is_put_back() -> None:
    net = seeded(NETWORKS["resnet"]).train()
    net.encoder.stem.eval()
    net.head.bias.requires_grad_(False)
    modes = {name: part.training for name, part in net.named_modules()}
    wanted = {name: p.requires_grad for name, p in net.named_parameters()}

    def look() -> None:
        with frozen_view(net) as frozen:
            assert not any(part.training for part in frozen.modules())
            assert not any(p.requires_grad for p in frozen.parameters())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        look()
    assert {name: part.training for name, part in net.named_modules()} == modes
    assert {name: p.requires_grad for name, p in net.named_parameters()} == wanted
