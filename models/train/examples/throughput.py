"""Images per second and processor time of a training step in PyTorch: the same network, cases and measure as throughput.rs beside it.

    python throughput.py [CASE]...

Batch norm is folded into the convolutions here too, so that both do the same arithmetic.
"""

import sys
import time

import torch
from torch import nn

SECONDS = 4.0
LABELS = 10
TAIL = 8
# Input channels, kernel, expanded, output, squeeze, activation, stride: the block table of mobilenet_v3_small.rs.
BLOCKS = [
    (16, 3, 16, 16, 8, "relu", 2),
    (16, 3, 72, 24, None, "relu", 2),
    (24, 3, 88, 24, None, "relu", 1),
    (24, 5, 96, 40, 24, "hard_swish", 2),
    (40, 5, 240, 40, 64, "hard_swish", 1),
    (40, 5, 240, 40, 64, "hard_swish", 1),
    (40, 5, 120, 48, 32, "hard_swish", 1),
    (48, 5, 144, 48, 40, "hard_swish", 1),
    (48, 5, 288, 96, 72, "hard_swish", 2),
    (96, 5, 576, 96, 144, "hard_swish", 1),
    (96, 5, 576, 96, 144, "hard_swish", 1),
]


def act(name):
    return nn.ReLU(inplace=True) if name == "relu" else nn.Hardswish(inplace=True)


class Gate(nn.Module):
    def __init__(self, channels, squeeze, last):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeeze, 1), nn.ReLU(), nn.Conv2d(squeeze, channels, 1), last
        )

    def forward(self, x):
        return x * self.gate(x)


class Block(nn.Module):
    def __init__(self, inputs, kernel, expanded, outputs, squeeze, activation, stride):
        super().__init__()
        layers = []
        if expanded != inputs:
            layers += [nn.Conv2d(inputs, expanded, 1), act(activation)]
        layers += [nn.Conv2d(expanded, expanded, kernel, stride, kernel // 2, groups=expanded), act(activation)]
        if squeeze:
            layers.append(Gate(expanded, squeeze, nn.Hardsigmoid()))
        layers.append(nn.Conv2d(expanded, outputs, 1))
        self.body = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.shortcut else self.body(x)


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Gate(576, 32, nn.Sigmoid())
        self.classifier = nn.Conv2d(576, LABELS, 1)

    def forward(self, x):
        return self.classifier(self.attention(x)).mean((2, 3))


def network(first):
    blocks = [Block(*row) for row in BLOCKS[first:]]
    stem = [] if first else [nn.Conv2d(3, 16, 3, 2, 1), nn.Hardswish(inplace=True)]
    return nn.Sequential(*stem, *blocks, nn.Conv2d(96, 576, 1), nn.Hardswish(inplace=True), Head())


def measure(case):
    first, shape = {
        "tail-256": (TAIL, (32, 48, 16, 16)),
        "tail-512": (TAIL, (32, 48, 32, 32)),
        "net-224": (0, (16, 3, 224, 224)),
    }[case]
    # The faster of the two layouts on most processors; ours is channels-last as well.
    net = network(first).to(memory_format=torch.channels_last)
    x = torch.full(shape, 0.1).to(memory_format=torch.channels_last)

    def step():
        net.zero_grad(set_to_none=True)
        net(x).mean().backward()

    step()
    started, before, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        steps += 1
    images = steps * shape[0]
    return images / (time.perf_counter() - started), 1000 * (time.process_time() - before) / images


for case in sys.argv[1:] or ["tail-256", "tail-512", "net-224"]:
    print("{} {:.1f} {:.1f}".format(case, *measure(case)))
