"""The model alone: processor time per image of OpenVINO beside ONNX Runtime, one thread each, same weights and inputs, in turns.

OpenVINO runs three times: in f32, in f32 with `x * HardSigmoid(x)` given as the HardSwish that it is (OpenVINO does not find it by
itself, and then spends time on the parts), and in the precision that OpenVINO chooses for this processor. Prints one JSON line.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import helper

from bundle import Bundle, Refused

Run = Callable[[np.ndarray], list[np.ndarray]]
RESAMPLES = 2000
SEED = 4711


def with_hard_swish(graph: bytes) -> tuple[bytes, int]:
    """The graph with a HardSwish (ONNX operator set 14) for each `Mul(x, HardSigmoid(x))` that is one; and their number."""
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    readers = {name: sum(name in node.input for node in nodes) for node in nodes for name in node.output}
    gates = {node.output[0]: node for node in nodes if node.op_type == "HardSigmoid" and is_swish_gate(node)}
    kept, fused, dropped = [], 0, set()
    for node in nodes:
        gate = next((gates[name] for name in node.input if name in gates), None) if node.op_type == "Mul" else None
        if gate and set(node.input) == {gate.input[0], gate.output[0]} and readers[gate.output[0]] == 1:
            kept.append(helper.make_node("HardSwish", [gate.input[0]], node.output, name=node.name))
            dropped.add(gate.output[0])
            fused += 1
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(node for node in kept if node.output[0] not in dropped)
    onnx.checker.check_model(model)
    return model.SerializeToString(), fused


def is_swish_gate(node: onnx.NodeProto) -> bool:
    """Whether a HardSigmoid has HardSwish's slope of 1/6 and offset of 1/2."""
    values = {attribute.name: attribute.f for attribute in node.attribute}
    return bool(np.isclose(values.get("alpha", 0.2), 1 / 6) and np.isclose(values.get("beta", 0.5), 0.5))


def onnx_runtime(bundle: Bundle) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
    return lambda tensor: session.run(None, {bundle.input: tensor})


def open_vino(graph: bytes, **properties: str) -> Run:
    core = openvino.Core()
    threads = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    compiled = core.compile_model(core.read_model(graph), "CPU", {**threads, **properties})
    request = compiled.create_infer_request()
    outputs = list(compiled.outputs)

    def run(tensor: np.ndarray) -> list[np.ndarray]:
        answer = request.infer([tensor], share_inputs=True, share_outputs=True)
        return [answer[output] for output in outputs]

    return run


def processor_ms(run: Run, tensor: np.ndarray) -> float:
    """Processor time of this whole process: OpenVINO works on a thread of its own."""
    begun = time.process_time_ns()
    run(tensor)
    return (time.process_time_ns() - begun) / 1e6


def ratio(ours: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """Median of one over the median of the other, with a 95 % interval (bootstrap over rounds: a round's pair stays together)."""
    random = np.random.default_rng(SEED)
    picks = random.integers(0, len(base), (RESAMPLES, len(base)))
    drawn = np.median(ours[picks], axis=1) / np.median(base[picks], axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"ratio": round(float(np.median(ours) / np.median(base)), 3), "low": round(low, 3), "high": round(high, 3)}


def largest_differences(run: Run, tensors: np.ndarray, expected: list[list[np.ndarray]], names: list[str]) -> dict[str, float]:
    """By output, over all tensors."""
    worst = np.zeros(len(names))
    for tensor, wanted in zip(tensors, expected):
        worst = np.maximum(worst, [np.abs(found - expect).max() for found, expect in zip(run(tensor), wanted)])
    return {name: float(f"{value:.2g}") for name, value in zip(names, worst)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=100, help="images that each computes, in turns (10 or more)")
    args = parser.parse_args()
    if args.rounds < 10:
        parser.error(f"--rounds {args.rounds}: give 10 or more")
    bundle = Bundle.open(args.bundle)
    fused_graph, fused = with_hard_swish(bundle.graph)
    f32 = {"INFERENCE_PRECISION_HINT": "f32"}
    runs = {
        "onnxruntime": onnx_runtime(bundle),
        "openvino_f32": open_vino(bundle.graph, **f32),
        "openvino_f32_hard_swish": open_vino(fused_graph, **f32),
        "openvino_default": open_vino(bundle.graph),
    }
    random = np.random.default_rng(SEED)
    tensors = random.standard_normal((8, 1, 3, bundle.height, bundle.width), dtype=np.float32)
    expected = [runs["onnxruntime"](tensor) for tensor in tensors]
    outputs = [output.name for output in onnx.load_from_string(bundle.graph).graph.output]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(args.rounds):
        names = list(runs)[turn % len(runs) :] + list(runs)[: turn % len(runs)]
        for name in names:
            times[name].append(processor_ms(runs[name], tensors[turn % len(tensors)]))
    answer: dict = {"rounds": args.rounds, "hard_swish_fused": fused, "openvino": openvino.__version__}
    for name, run in runs.items():
        of_this = np.array(times[name])
        answer[name] = {"cpu_ms": round(float(np.median(of_this)), 2)}
        if name != "onnxruntime":
            # Above 1 this one needs more than ONNX Runtime.
            answer[name] |= ratio(of_this, np.array(times["onnxruntime"]))
            answer[name]["largest_difference"] = largest_differences(run, tensors, expected, outputs)
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}")
