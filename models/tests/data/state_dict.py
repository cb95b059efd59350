"""Writes state_dict.pkl: the pickle inside torchvision's mobilenet_v3_small checkpoint, without torch.

CPython's own pickler writes it, with protocol 2 and the persistent ids that torch.save uses; only torch's classes are
stand-ins of the same names. The tensors' values lie outside the pickle and are made by the test that reads it.

    python3 state_dict.py > state_dict.pkl
"""

import io
import pickle
import sys
import types
from collections import OrderedDict


def stand_in(module, name, thing):
    thing.__module__, thing.__qualname__, thing.__name__ = module, name, name
    sys.modules.setdefault(module, types.ModuleType(module)).__dict__[name] = thing
    return thing


Float = stand_in("torch", "FloatStorage", type("FloatStorage", (), {}))
Long = stand_in("torch", "LongStorage", type("LongStorage", (), {}))
rebuild = stand_in("torch._utils", "_rebuild_tensor_v2", lambda *arguments: None)


class Storage:
    count = 0

    def __init__(self, kind, values):
        self.id = ("storage", kind, str(Storage.count), "cpu", values)
        Storage.count += 1


class Tensor:
    def __init__(self, *shape, kind=Float):
        self.shape, self.strides, values = shape, [], 1
        for size in reversed(shape):
            self.strides.insert(0, values)
            values *= size
        self.storage = Storage(kind, values)

    def __reduce_ex__(self, protocol):
        return rebuild, (self.storage, 0, tuple(self.shape), tuple(self.strides), False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        return thing.id if isinstance(thing, Storage) else None


def normed(state, name, out, per_group, kernel):
    state[f"{name}.0.weight"] = Tensor(out, per_group, kernel, kernel)
    for part in ["weight", "bias", "running_mean", "running_var"]:
        state[f"{name}.1.{part}"] = Tensor(out)
    state[f"{name}.1.num_batches_tracked"] = Tensor(kind=Long)


# Input, kernel, expanded, out, squeeze: torchvision/models/mobilenetv3.py, _mobilenet_v3_conf("mobilenet_v3_small").
BLOCKS = [
    (16, 3, 16, 16, 8), (16, 3, 72, 24, 0), (24, 3, 88, 24, 0), (24, 5, 96, 40, 24), (40, 5, 240, 40, 64),
    (40, 5, 240, 40, 64), (40, 5, 120, 48, 32), (48, 5, 144, 48, 40), (48, 5, 288, 96, 72), (96, 5, 576, 96, 144),
    (96, 5, 576, 96, 144),
]

state = OrderedDict()
normed(state, "features.0", 16, 3, 3)
for index, (inputs, kernel, expanded, out, squeeze) in enumerate(BLOCKS, 1):
    modules = iter(f"features.{index}.block.{module}" for module in range(4))
    if expanded != inputs:
        normed(state, next(modules), expanded, inputs, 1)
    normed(state, next(modules), expanded, 1, kernel)
    if squeeze:
        module = next(modules)
        state[f"{module}.fc1.weight"], state[f"{module}.fc1.bias"] = Tensor(squeeze, expanded, 1, 1), Tensor(squeeze)
        state[f"{module}.fc2.weight"], state[f"{module}.fc2.bias"] = Tensor(expanded, squeeze, 1, 1), Tensor(expanded)
    normed(state, next(modules), out, expanded, 1)
normed(state, "features.12", 576, 96, 1)
for name, out, inputs in [("classifier.0", 1024, 576), ("classifier.3", 1000, 1024)]:
    state[f"{name}.weight"], state[f"{name}.bias"] = Tensor(out, inputs), Tensor(out)
state._metadata = OrderedDict([("", {"version": 1}), ("features.0.1", {"version": 2})])

out = io.BytesIO()
Pickler(out, protocol=2).dump(state)
sys.stdout.buffer.write(out.getvalue())
