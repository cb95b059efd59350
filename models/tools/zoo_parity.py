"""Golden vectors of the model zoo: a few logits of each network as torchvision, Keras and efficientnet_lite_pytorch compute them, on
random weights that `models/src/zoo/tensors.rs` makes as well. Run once for each new network or version:

    python3 -m venv venv
    venv/bin/pip install torch torchvision keras efficientnet-lite-pytorch numpy
    venv/bin/python models/tools/zoo_parity.py models/tests/data/zoo.json [NAME ...]

With names only those networks are computed anew. Everything runs in 64-bit floats on weights that are exact in 32 bits.

    venv/bin/pip install onnx onnxscript safetensors
    venv/bin/python models/tools/zoo_parity.py --files DIR [NAME ...]

writes the same weights as these programs save them, 1.5 GB of all formats that are read; with INSPECTD_ZOO_FILES=DIR the test
`files_of_the_sources_give_their_logits` builds the graphs of them.

    venv/bin/pip install timm
    venv/bin/python models/tools/zoo_parity.py --timm models/tests/data/timm.txt DIR/timm [NAME ...]

puts the same weights into timm's networks, shows that their logits are the sources' to 1e-9 of the largest one, writes the names and shapes
of their tensors, and has timm save them; the test `files_that_timm_saved_give_the_sources_logits` reads these from INSPECTD_ZOO_FILES=DIR.
"""

import json
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet as EfficientNetLite
from importlib.metadata import version

if "--timm" in sys.argv:
    import timm

SEED = 1
# Logits that are kept: all of them would be a file of 200 kB.
KEPT = range(0, 1000, 111)
# Side of the input. 96 is even five times over and then odd, so both ways of padding show.
SIZES = {"vgg19": 64, "vit_b_16": 224}
TORCHVISION = [
    "efficientnet_b0",
    "efficientnet_b4",
    "efficientnet_b7",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "resnet50",
    "vit_b_16",
]
KERAS = {
    "efficientnet_v2_b3": keras.applications.EfficientNetV2B3,
    "resnet152v2": keras.applications.ResNet152V2,
    "vgg19": keras.applications.VGG19,
    "xception": keras.applications.Xception,
}
# What timm calls the networks that compute the same, and in which of its formats the weights are saved.
TIMM = {
    "efficientnet_b0": ("efficientnet_b0", True),
    "efficientnet_b4": ("efficientnet_b4", False),
    "efficientnet_b7": ("efficientnet_b7", True),
    "efficientnet_lite0": ("tf_efficientnet_lite0", True),
    "mobilenet_v2": ("mobilenetv2_100", False),
    "mobilenet_v3_large": ("mobilenetv3_large_100", True),
    "mobilenet_v3_small": ("mobilenetv3_small_100", False),
    "resnet50": ("resnet50", True),
    "vit_b_16": ("vit_base_patch16_224", True),
}
# What is subtracted from the pixels that torchvision's ViT takes, and by what they are divided then.
MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)


def uniform(name, count):
    """SplitMix64, seeded by the FNV-1a hash of the name: multiples of 2^-23 from -1 up to 1."""
    state = 0xCBF29CE484222325 ^ SEED
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    steps = np.arange(1, count + 1, dtype=np.uint64)
    mixed = steps * np.uint64(0x9E3779B97F4A7C15) + np.uint64(state)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)


def tensor(name, shape, role):
    """As `Random::tensor`: every step in 32 bits."""
    inputs = int(np.prod(shape[1:], dtype=np.int64))
    middle, spread = {
        "kernel": (0.0, np.sqrt(np.float32(4.5) / np.float32(inputs))),
        "bias": (0.0, 0.1),
        "mean": (0.0, 0.1),
        "gamma": (1.0, 0.2),
        "variance": (1.0, 0.5),
        "embedding": (0.0, 0.5),
    }[role]
    values = np.float32(middle) + np.float32(spread) * uniform(name, int(np.prod(shape, dtype=np.int64)))
    return values.reshape(shape)


def image(name, size):
    values = uniform("input", 3 * size * size).reshape(1, 3, size, size)
    # A network that scales inside its graph takes bytes.
    return values * np.float32(127.5) + np.float32(127.5) if name == "efficientnet_v2_b3" else values * np.float32(2)


def torch_model(name):
    size = SIZES.get(name, 96)
    if name in TORCHVISION:
        model = torchvision.models.get_model(name, weights=None)
    else:
        # Its padding is fixed when it is made.
        model = EfficientNetLite.from_name("efficientnet-lite0", image_size=size)
    norms = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
    normed = {prefix for prefix, module in model.named_modules() if isinstance(module, norms)}
    state = {}
    for key, value in model.state_dict().items():
        layer, _, part = key.rpartition(".")
        if part == "num_batches_tracked":
            continue
        role = {"running_mean": "mean", "running_var": "variance"}.get(part)
        if part in ("class_token", "pos_embedding"):
            role = "embedding"
        elif role is None:
            role = "bias" if part.endswith("bias") else "gamma" if layer in normed else "kernel"
        state[key] = torch.from_numpy(tensor(key, tuple(value.shape), role))
    model.load_state_dict(state, strict=False)
    return model.eval()


def keras_model(name):
    size = SIZES.get(name, 96)
    keras.utils.clear_session()
    model = KERAS[name](weights=None, input_shape=(size, size, 3), classifier_activation=None)
    roles = {"gamma": "gamma", "beta": "bias", "bias": "bias", "moving_mean": "mean", "moving_variance": "variance"}
    for layer in model.layers:
        for weight in layer.weights:
            key, shape, part = f"{layer.name}/{weight.name}", tuple(weight.shape), weight.name
            if part in roles:
                weight.assign(tensor(key, shape, roles[part]))
            elif isinstance(layer, keras.layers.Dense) and layer.name == "fc1":
                # Flattened by rows, columns, channels.
                side = int(round((shape[0] / 512) ** 0.5))
                ours = tensor(key, (shape[1], 512, side, side), "kernel")
                weight.assign(ours.transpose(2, 3, 1, 0).reshape(shape))
            elif isinstance(layer, keras.layers.Dense):
                weight.assign(tensor(key, shape[::-1], "kernel").T)
            elif isinstance(layer, keras.layers.DepthwiseConv2D) or part == "depthwise_kernel":
                height, width, channels, _ = shape
                weight.assign(tensor(key, (channels, 1, height, width), "kernel").transpose(2, 3, 0, 1))
            elif len(shape) == 4:
                height, width, inputs, outputs = shape
                weight.assign(tensor(key, (outputs, inputs, height, width), "kernel").transpose(2, 3, 1, 0))
            elif not isinstance(layer, keras.layers.Normalization):
                raise ValueError(f"{key} {shape} keeps its own values")
    return model


def of_torch(name):
    model = torch_model(name).double()
    with torch.no_grad():
        logits = model(torch.from_numpy(image(name, SIZES.get(name, 96))).double())[0].numpy()
    return logits, sum(parameter.numel() for parameter in model.parameters())


def of_keras(name):
    keras.config.set_floatx("float64")
    parameters = KERAS[name](weights=None).count_params()
    pixels = image(name, SIZES.get(name, 96)).transpose(0, 2, 3, 1).astype(np.float64)
    with torch.no_grad():
        logits = keras_model(name)(pixels, training=False)[0].cpu().numpy()
    return logits, parameters


def compute(name):
    logits, parameters = of_keras(name) if name in KERAS else of_torch(name)
    assert np.isfinite(logits).all(), name
    kept = {str(index): float(logits[index]) for index in KEPT}
    largest = float(np.abs(logits).max())
    print(f"{name}: {parameters} parameters, largest logit {largest:.4g}, deviation {logits.std():.4g}", flush=True)
    return {"size": SIZES.get(name, 96), "parameters": parameters, "largest": largest, "logits": kept}


def save(folder, name):
    """As each program saves: every format once at least."""
    path = os.path.join(folder, name)
    if name in KERAS:
        keras.config.set_floatx("float32")
        model = keras_model(name)
        if name == "xception":
            model.save(path + ".keras")
        elif name == "resnet152v2":
            model.save(path + ".h5")
        else:
            model.save_weights(path + ".weights.h5")
        return
    model = torch_model(name)
    if name == "mobilenet_v3_small":
        torch.save(model.state_dict(), path + ".pth", _use_new_zipfile_serialization=False)
    elif name == "mobilenet_v2":
        from safetensors.torch import save_file

        save_file(model.state_dict(), path + ".safetensors")
    elif name == "efficientnet_b0":
        # With its batch norms: folded ones have lost their names.
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, 96, 96),),
            path + ".onnx",
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            keep_initializers_as_inputs=False,
        )
    else:
        torch.save(model.state_dict(), path + ".pth")


def of_source(name):
    """The source's tensors in the order in which they are used, and what its batch norms add to the variance."""
    model = torch_model(name).double()
    epsilons = {module.eps for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)} or {0.0}
    state = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    if name == "vit_b_16":
        state = {"conv_proj.weight": None, "conv_proj.bias": None, "class_token": None, **state}
        state = {key: model.state_dict()[key] for key in state}
    return list(state.items()), epsilons.pop()


def in_order(model):
    """The names of timm's tensors in the order in which they are used."""
    names = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    if "pos_embed" in names:
        first = ["patch_embed.proj.weight", "patch_embed.proj.bias", "cls_token", "pos_embed"]
        names = first + [name for name in names if name not in first]
    return names


def timm_model(name):
    """timm's network with the source's weights, in 64-bit floats."""
    model = timm.create_model(TIMM[name][0], pretrained=False).double().eval()
    epsilons = {module.eps for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)} or {0.0}
    (tensors, epsilon), names, own = of_source(name), in_order(model), epsilons.pop()
    assert len(tensors) == len(names), f"{name}: {len(tensors)} tensors, timm has {len(names)}"
    state = {}
    for (source, value), theirs in zip(tensors, names):
        wanted = model.state_dict()[theirs].shape
        # A dense layer behind the average is a convolution on each cell.
        assert value.shape == wanted or (*value.shape, 1, 1) == tuple(wanted), f"{source} {value.shape}, {theirs} {wanted}"
        state[theirs] = value.reshape(wanted) + (epsilon - own if theirs.endswith("running_var") else 0.0)
    mean, std = pixels(model)
    if name == "vit_b_16":
        kernel = state["patch_embed.proj.weight"]
        state["patch_embed.proj.bias"] = state["patch_embed.proj.bias"] + (kernel.sum((2, 3)) * ((mean - MEAN) / STD)).sum(1)
        state["patch_embed.proj.weight"] = kernel * (std / STD).reshape(1, 3, 1, 1)
    model.load_state_dict(state, strict=False)
    return model


def pixels(model):
    """Mean and deviation of the pixels that timm gives to these weights."""
    return [torch.tensor(model.pretrained_cfg[it], dtype=torch.float64) for it in ("mean", "std")]


def listed(model):
    """Names and shapes of timm's tensors: a line for each block, `.*` for the four of a batch norm."""
    lines = {}
    for name in in_order(model):
        shape = "x".join(map(str, model.state_dict()[name].shape))
        path = name.split(".")
        # blocks.STAGE.BLOCK, of a transformer blocks.BLOCK.
        depth = 0 if path[0] != "blocks" else 3 if path[2].isdigit() else 2
        block, rest = ".".join(path[:depth]), ".".join(path[depth:])
        layer = rest.rpartition(".")[0]
        parts = lines.setdefault(block or ("last" if len(lines) > 1 else "first"), [])
        if f"{'.'.join(path[:-1])}.running_var" in model.state_dict():
            rest = f"{layer}.*"
        if f"{rest}={shape}" not in parts:
            parts.append(f"{rest}={shape}")
    return "".join(f"{block}: {' '.join(parts)}\n" for block, parts in lines.items())


def compare_timm(name):
    """The largest difference between timm's logits and the source's, as a share of the largest one."""
    model = timm_model(name)
    logits, _ = of_torch(name)
    values = torch.from_numpy(image(name, SIZES.get(name, 96))).double()
    if name == "vit_b_16":
        (mean, std), channels = pixels(model), (3, 1, 1)
        values = (values * STD.reshape(channels) + (MEAN - mean).reshape(channels)) / std.reshape(channels)
    with torch.no_grad():
        theirs = model(values)[0].numpy()
    difference = float(np.abs(theirs - logits).max() / np.abs(logits).max())
    print(f"{name}: timm's {TIMM[name][0]} differs by {difference:.1e} of the largest logit", flush=True)
    assert difference <= 1e-9, name
    return model


def compare_with_timm(path, folder, *names):
    os.makedirs(folder, exist_ok=True)
    lists = {}
    if os.path.exists(path):
        with open(path) as file:
            sections = file.read().split("# ")[1:]
        lists = {section.partition(" ")[0]: section.partition("\n")[2] for section in sections}
    for name in names or TIMM:
        model = compare_timm(name)
        lists[name] = listed(model)
        timm.models.save_for_hf(model.float(), os.path.join(folder, name), safe_serialization=TIMM[name][1])
    with open(path, "w") as file:
        for name in sorted(lists):
            file.write(f"# {name} timm {version('timm')} {TIMM[name][0]}\n{lists[name]}")


def main(path, *names):
    keras.config.set_image_data_format("channels_last")
    everything = sorted([*TORCHVISION, *KERAS, "efficientnet_lite0"])
    if path == "--timm":
        compare_with_timm(*names)
        return
    if path == "--files":
        folder, *names = names
        os.makedirs(folder, exist_ok=True)
        for name in names or everything:
            save(folder, name)
            print(name, flush=True)
        return
    golden = {"networks": {}}
    if os.path.exists(path):
        with open(path) as file:
            golden = json.load(file)
    golden["seed"] = SEED
    golden["made_by"] = {it: version(it) for it in ("torch", "torchvision", "keras", "efficientnet-lite-pytorch", "numpy")}
    for name in names or everything:
        golden["networks"][name] = compute(name)
    with open(path, "w") as file:
        json.dump(golden, file, indent=1, sort_keys=True)
        file.write("\n")


main(*sys.argv[1:])
