"""Faults in task files: one line with file, key, what is allowed; nothing is computed."""

from __future__ import annotations

import pytest

HEAD = """
[task]
seeds = [0]
"""
DATASET = """
[dataset]
name = "./data.py:blobs"
"""
MODEL = """
[[models]]
name = "./nets.py:make"
label = "a"
"""
PROBE = """
[[probes]]
name = "./probes.py:Spread"
"""

FAULTS = {
    # what is wrong: (the task file, words of the message)
    "unknown section": (
        HEAD + DATASET + MODEL + PROBE + "[reslts]\n",
        ["unknown key 'reslts'", "Known: ", "probes"],
    ),
    "unknown key of the header": (
        "[task]\nseed = [0]\n" + MODEL + PROBE,
        ["unknown key 'task.seed'", "Did you mean 'seeds'?"],
    ),
    "wrong type of a key": (
        "[task]\ntitle = 3\n" + MODEL + PROBE,
        ["task.title", "should be a valid string", "got 3"],
    ),
    "empty seeds": (
        "[task]\nseeds = []\n" + MODEL + PROBE,
        ["task.seeds", "at least 1"],
    ),
    "repeated seeds": (
        "[task]\nseeds = [1, 1]\n" + MODEL + PROBE,
        ["task.seeds: seeds must be different non-negative integers"],
    ),
    "negative seeds": (
        "[task]\nseeds = [-1]\n" + MODEL + PROBE,
        ["task.seeds: seeds must be different non-negative integers"],
    ),
    "seeds that no table holds": (
        "[task]\nseeds = [99999999999999999999]\n" + MODEL + PROBE,
        ["task.seeds"],
    ),
    "seeds of text": (
        '[task]\nseeds = ["0"]\n' + MODEL + PROBE,
        ["task.seeds[0]", "should be a valid integer", "got '0'"],
    ),
    "no models": (HEAD + DATASET + PROBE, ["the key 'models' is missing"]),
    "no probes": (HEAD + DATASET + MODEL, ["the key 'probes' is missing"]),
    "a misspelt section in place of a missing one": (
        HEAD + DATASET + "[[model]]\nname = 'mlp'\n" + PROBE,
        ["'models'", "'model'"],
    ),
    "one model in single brackets": (
        HEAD + "[models]\nname = 'mlp'\n" + PROBE,
        ["models: should be a valid"],
    ),
    "models that are no tables": ("models = [1]\n" + PROBE, ["models[0]"]),
    "a model without a name": (
        HEAD + DATASET + "[[models]]\nlabel = 'a'\n" + PROBE,
        ["the key 'models[0].name' is missing"],
    ),
    "a model's name of a wrong type": (
        HEAD + DATASET + "[[models]]\nname = 7\n" + PROBE,
        ["models[0].name", "should be a valid string", "got 7"],
    ),
    "an unknown model": (
        HEAD + DATASET + "[[models]]\nname = 'resnt'\n" + PROBE,
        ["models[0]", "Unknown model 'resnt'", "'resnet'"],
    ),
    "an unknown dataset": (
        HEAD + "[dataset]\nname = 'digit'\n" + MODEL + PROBE,
        ["dataset", "Unknown dataset 'digit'", "'digits'"],
    ),
    "an unknown probe": (
        HEAD + DATASET + MODEL + "[[probes]]\nname = 'acuracy'\n",
        ["probes[0]", "Unknown probe 'acuracy'", "'accuracy'"],
    ),
    "an unknown objective": (
        HEAD + DATASET + MODEL + "[models.train]\nepochs = 1\nobjective = 'crossentropy'\n" + PROBE,
        ["models[0]", "Unknown objective 'crossentropy'", "'cross_entropy'"],
    ),
    "a file that is not there": (
        HEAD + DATASET + "[[models]]\nname = './net.py:make'\n" + PROBE,
        ["models[0]", "There is no file", "net.py"],
    ),
    "a name that the file does not have": (
        HEAD + DATASET + "[[models]]\nname = './nets.py:mak'\n" + PROBE,
        ["models[0]", "has no 'mak'", "'make'"],
    ),
    "a module that is not installed": (
        HEAD + DATASET + "[[models]]\nname = 'not_there.nets:make'\n" + PROBE,
        ["models[0]", "There is no module 'not_there.nets'"],
    ),
    "a probe that is none": (
        HEAD + DATASET + MODEL + "[[probes]]\nname = './probes.py:note'\n",
        ["probes[0]", "is not a Probe class"],
    ),
    "a dataset's factory that gives something else": (
        HEAD + "[dataset]\nname = './data.py:nothing'\n" + MODEL + PROBE,
        ["dataset", "gives NoneType, not a repgeo Dataset"],
    ),
    "a dataset's factory that raises": (
        HEAD + "[dataset]\nname = './data.py:raises'\n" + MODEL + PROBE,
        ["dataset", "KeyError", "lost"],
    ),
    "a model's factory that raises": (
        HEAD + DATASET + "[[models]]\nname = './nets.py:raises'\n" + PROBE,
        ["models[0] (raises)", "ValueError", "no such network today"],
    ),
    "a model's factory that gives something else": (
        HEAD + DATASET + "[[models]]\nname = './nets.py:number'\n" + PROBE,
        ["models[0] (number)", "gives int", "nn.Module"],
    ),
    "an empty dataset": (
        HEAD + "[dataset]\nname = './data.py:empty'\n" + MODEL + PROBE,
        ["dataset: The dataset is empty"],
    ),
    "NaN in the data": (
        HEAD + "[dataset]\nname = './data.py:with_nan'\n" + MODEL + PROBE,
        ["dataset: 'x' holds NaN or infinite values in 1 of 4 samples", "number 2"],
    ),
    "an unknown parameter of a model": (
        HEAD + DATASET + MODEL + "widht = 4\n" + PROBE,
        ["models[0] (a)", "unknown key 'widht'", "'width'"],
    ),
    "a wrong type of a model's parameter": (
        HEAD + DATASET + MODEL + "width = 'wide'\n" + PROBE,
        ["models[0] (a)", "width: should be a valid integer", "got 'wide'"],
    ),
    "an unknown parameter of a dataset": (
        HEAD + DATASET + "noise = 1\n" + MODEL + PROBE,
        ["dataset", "unknown key 'noise'", "shift"],
    ),
    "the seed of a dataset": (
        HEAD + DATASET + "seed = 1\n" + MODEL + PROBE,
        ["dataset", "'seed' is filled in"],
    ),
    "an unknown parameter of a probe": (
        HEAD + DATASET + MODEL + PROBE + "scael = 2.0\n",
        ["probes[0]", "unknown key 'scael'", "'scale'"],
    ),
    "a wrong type of a probe's parameter": (
        HEAD + DATASET + MODEL + PROBE + "scale = 'two'\n",
        ["probes[0]", "scale: should be a valid number", "got 'two'"],
    ),
    "a probe without a parameter that it needs": (
        HEAD + DATASET + MODEL + "[[probes]]\nname = './probes.py:Strange'\n",
        ["probes[0]", "the key 'kind' is missing"],
    ),
    "an unknown key of the training": (
        HEAD + DATASET + MODEL + "[models.train]\nepoch = 1\n" + PROBE,
        ["models[0]", "unknown key 'epoch'", "'epochs'"],
    ),
    "neither epochs nor steps": (
        HEAD + DATASET + MODEL + "[models.train]\nlr = 0.1\n" + PROBE,
        ["models[0]", "give epochs or steps, got neither"],
    ),
    "an unknown dtype": (
        HEAD + DATASET + MODEL + "dtype = 'float16'\n" + PROBE,
        ["models[0].dtype", "'float32' or 'float64'", "got 'float16'"],
    ),
    "replicas with a seed": (
        HEAD + DATASET + MODEL + "replicas = 2\nseed = 1\n" + PROBE,
        ["models[0]", "leave out either key"],
    ),
    "no replicas": (
        HEAD + DATASET + MODEL + "replicas = 0\n" + PROBE,
        ["models[0].replicas", "greater than or equal to 1", "got 0"],
    ),
    "weights that are trained": (
        HEAD + DATASET + MODEL + "weights = 'w.safetensors'\n[models.train]\nepochs=1\n" + PROBE,
        ["models[0]", "either loaded (weights) or trained"],
    ),
    "weights that are not there": (
        HEAD + DATASET + MODEL + "weights = 'w.safetensors'\n" + PROBE,
        ["models[0]", "there is no file", "w.safetensors"],
    ),
    "a layer that the probe wants": (
        HEAD + DATASET + MODEL + PROBE + "layer = 'encodr'\n",
        ["models[0] (a)", "for the probe 'spread'", "no layer 'encodr'", "'encoder'"],
    ),
    "a named layer that is none": (
        HEAD + DATASET + MODEL + "[models.layers]\ncode = 'encoder.9'\n" + PROBE,
        ["models[0] (a)", "layers.code", "encoder.9", "'encoder.2'"],
    ),
    "two models of one label": (
        HEAD + DATASET + MODEL + MODEL + PROBE,
        ["two models have the label 'a'", "label"],
    ),
    "two values of a grid that are one": (
        HEAD + DATASET + MODEL + "[models.grid]\nwidth = [2, 2]\n" + PROBE,
        ["two models have the label 'a[width=2]'"],
    ),
    "two datasets of a grid that are one": (
        HEAD + DATASET + "[dataset.grid]\nunused = [0, 1]\n" + MODEL + PROBE,
        ["dataset", "blobs[unused=0]", "blobs[unused=1]", "same"],
    ),
    "an empty grid": (
        HEAD + DATASET + MODEL + "[models.grid]\nwidth = []\n" + PROBE,
        ["models[0].grid", "the grid over 'width' is an empty list"],
    ),
    "a grid of a single value": (
        HEAD + DATASET + MODEL + "[models.grid]\nwidth = 3\n" + PROBE,
        ["models[0].grid.width", "should be a valid"],
    ),
    "a grid over an unknown parameter": (
        HEAD + DATASET + MODEL + "[models.grid]\nwidht = [3]\n" + PROBE,
        ["models[0] (a[widht=3])", "unknown key 'widht'"],
    ),
    "a grid that makes a fault": (
        HEAD + DATASET + MODEL + "[models.grid]\nseed = [-1]\n" + PROBE,
        ["models[0]", "seed", "greater than or equal to 0"],
    ),
    "a grid below a key that is no table": (
        HEAD + DATASET + MODEL + "[models.grid]\n'label.x' = [1]\n" + PROBE,
        ["models[0]", "label.x"],
    ),
    "the same probe twice": (
        HEAD + DATASET + MODEL + PROBE + PROBE + "scale = 1.0\n",
        ["two probes are the same", "Spread"],
    ),
    "pairs of a probe of single models": (
        HEAD + DATASET + MODEL + PROBE + "pairs = 'within'\n",
        ["probes[0]", "pairs", "single models"],
    ),
    "pairs of an unknown kind": (
        HEAD + DATASET + MODEL + "[[probes]]\nname = './probes.py:Distance'\npairs = 'some'\n",
        ["probes[0].pairs", "'all' or 'within'", "got 'some'"],
    ),
    "pairs of an unknown model": (
        HEAD
        + DATASET
        + MODEL
        + "[[probes]]\nname = './probes.py:Distance'\npairs = [['a', 'aa']]\n",
        ["pairs", "no model 'aa'", "'a'"],
    ),
    "an expected number of an unknown column": (
        HEAD
        + DATASET
        + MODEL
        + PROBE
        + "[[expected]]\nwhere = { metrc = 'std' }\nvalue = 1\ntolerance = 1\n"
        "kind = 'reference'\nsource = 'none'\n",
        ["expected[0]", "'metrc'", "'metric'"],
    ),
    "an expected number of an unknown kind": (
        HEAD
        + DATASET
        + MODEL
        + PROBE
        + "[[expected]]\nwhere = { metric = 'std' }\nvalue = 1\ntolerance = 1\n"
        "kind = 'guessed'\nsource = 'none'\n",
        ["expected[0].kind", "'reference' or 'published'", "got 'guessed'"],
    ),
    "a training without data": (
        HEAD + MODEL.replace("./nets.py:make", "identity") + "[models.train]\nepochs = 1\n" + PROBE,
        ["models[0]", "[dataset]"],
    ),
    "text that is no TOML": ("[task\n", ["this is not valid TOML", "line 1"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_before_anything_is_computed(fault, toys, main, monkeypatch):
    text, words = FAULTS[fault]
    monkeypatch.chdir(toys.folder)
    toys.task(text)
    code, out, err = main("run", "task.toml", "--out", toys.out)
    assert code == 2, (out, err)
    assert err.count("\n") == 1, err
    assert err.startswith("repgeo: error: task.toml: "), err
    for word in words:
        assert word in err
    assert not toys.out.exists()
    assert toys.calls() == []


def test_every_fault_names_the_file_in_a_call_too(toys):
    import repgeo
    from repgeo.errors import ConfigurationError

    path = toys.task("[task]\nseed = [0]\n" + MODEL + PROBE)
    with pytest.raises(ConfigurationError, match=r"task\.toml: unknown key 'task\.seed'"):
        repgeo.run(path, out=toys.out)


def test_a_task_that_is_no_utf8_text(toys, main):
    path = toys.folder / "task.toml"
    path.write_bytes("[task]\ntitle = 'Größe'\n".encode("latin-1"))
    code, _, err = main("run", path)
    assert code == 2
    assert err == f"repgeo: error: {path}: a task file must be UTF-8 text.\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digit", ["Unknown task 'digit'", "'digits'", "repgeo list tasks"]),
        ("./missing.toml", ["There is no task file './missing.toml'"]),
        ("tasks/digit.toml", ["There is no task file 'tasks/digit.toml'"]),
        (".", ["Unknown task '.'"]),
    ],
)
def test_a_task_that_is_not_there(name, words, main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = main("run", name)
    assert code == 2
    assert err.count("\n") == 1
    for word in words:
        assert word in err


OVERRIDES = {
    "no_section=1": ["--set 'no_section=1'", "section.name.key=value"],
    "probes.spread": ["section.name.key=value"],
    "probe.spread.scale=1": ["no section 'probe'", "'probes'"],
    "probes.scale=1": ["name an entry of probes and a key"],
    "models.c.width=1": ["no models 'c'", "Known: a, b."],
    "models.a.width=wide": ["models[0] (a)", "should be a valid integer", "got 'wide'"],
    "task.title.main=x": ["task.title", "table"],
    "task.seeds=[]": ["task.seeds"],
    "task.seeds=0": ["task.seeds", "should be a valid"],
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_fault_in_an_override_is_one_line(override, toys, main, monkeypatch):
    monkeypatch.chdir(toys.folder)
    code, _, err = main("run", "task.toml", "--out", toys.out, "--set", override)
    assert code == 2, err
    assert err.count("\n") == 1, err
    for word in OVERRIDES[override]:
        assert word in err
    assert not toys.out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-m", "c*"], ["No model matches 'c*'", "Known: a, b."]),
        (["-p", "spred"], ["No probe matches 'spred'", "'spread'"]),
        (["--seeds", "x"], ["--seeds 'x'", "0,1,2 or 0-4"]),
        (["--seeds", "1,1"], ["--seeds '1,1'", "once"]),
        (["--seeds", "3-1"], ["--seeds '3-1'"]),
        (["--seeds", "-1"], ["--seeds '-1'"]),
        (["--timeout", "0"], ["timeout must be positive"]),
        (["--memory", "-1"], ["memory must be positive"]),
        (["-j", "2", "--scheduler", "tcp://127.0.0.1:1"], ["either jobs or scheduler"]),
    ],
)
def test_a_fault_in_an_option_is_one_line(options, words, toys, main):
    code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out, *options)
    assert code == 2, err
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err
    assert not toys.out.exists()
