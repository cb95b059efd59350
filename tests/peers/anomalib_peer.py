"""anomalib's OpenVINO inferencer on our weights: a peer that people really use, given everything that makes it faster.

The network goes in with HardSwish as one operator, resize and normalising stand inside its graph as anomalib's own exports have them, and
it works on the calling thread only. What is left is anomalib's own: how it opens a picture and what it makes of it before the network.
"""

import io
from pathlib import Path

import numpy as np

from bundle import Bundle, Refused

try:
    import openvino
    from anomalib.deploy import OpenVINOInferencer
    from openvino import opset13 as operators
    from openvino.preprocess import ColorFormat, PrePostProcessor, ResizeAlgorithm
    from PIL import Image

    from model_openvino import with_hard_swish
except ImportError as error:
    raise Refused(f"anomalib cannot be used ({error}): pip install anomalib openvino onnx, some 6 GB") from error


def exported(bundle: Bundle, folder: Path) -> Path:
    """The network as anomalib wants it: a picture of any size in 0..1 goes in, an anomaly's score and its map come out."""
    graph, _fused = with_hard_swish(bundle.graph)
    model = openvino.Core().read_model(graph)
    output = {output.any_name: output.node.input_value(0) for output in model.outputs}
    good = [at for at, verdict in enumerate(bundle.verdicts) if verdict == "Pass"]
    one, axis = np.float32(1), np.int64(1)
    passing = operators.reduce_sum(operators.gather(output[bundle.scores], np.array(good), axis), axis)
    score = operators.subtract(operators.constant(one), passing)
    score.output(0).set_names({"pred_score"})
    bad = [at for at in range(len(bundle.labels)) if at not in good]
    heat = operators.reduce_max(operators.gather(output[bundle.heat], np.array(bad), axis), axis)
    heat.output(0).set_names({"anomaly_map"})
    whole = PrePostProcessor(openvino.Model([score.output(0), heat.output(0)], model.get_parameters(), "anomalib"))
    whole.input().tensor().set_shape([1, 3, -1, -1]).set_layout(openvino.Layout("NCHW")).set_color_format(ColorFormat.RGB)
    whole.input().model().set_layout(openvino.Layout("NCHW"))
    steps = whole.input().preprocess().resize(ResizeAlgorithm.RESIZE_LINEAR)
    steps.mean([float(value) for value in bundle.mean]).scale([float(value) for value in bundle.std])
    path = folder / "anomalib.xml"
    openvino.save_model(whole.build(), path, compress_to_fp16=False)
    return path


def decode(jpeg: np.ndarray) -> Image.Image:
    """As anomalib opens a file."""
    return Image.open(io.BytesIO(jpeg.tobytes())).convert("RGB")


class AnomalibInspector:
    """An inferencer of one thread's own. Its two scores stand for all: good, and the first label that is not."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        threads = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
        self.inferencer = OpenVINOInferencer(exported(bundle, folder), device="CPU", config=threads)
        self.good = bundle.verdicts.index("Pass")
        self.bad = next(at for at, verdict in enumerate(bundle.verdicts) if verdict != "Pass")
        self.labels = len(bundle.labels)

    def scores(self, picture: Image.Image) -> np.ndarray:
        """One probability per label."""
        score = float(np.ravel(self.inferencer.predict(picture).pred_score)[0])
        scores = np.zeros(self.labels, np.float32)
        scores[self.good], scores[self.bad] = 1 - score, score
        return scores
