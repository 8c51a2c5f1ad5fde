"""The formats that a network is exported to: how each is written, and how it is read again.

To add one, write a function that writes it and one that reads it, and add an entry to
:data:`FORMATS`.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from retrieval.deployment.portable import (
    CHANNELS,
    EMBEDDING,
    ENCODED,
    IMAGES,
    Portable,
    graph_of,
)
from retrieval.errors import UserError, how_to_install, one_line
from retrieval.quiet import hold_back_stderr

OPSET = 18  # of ONNX: the newest that tf2onnx writes
SERVING = "serving_default"  # the signature that servers of TensorFlow models call
# What int8 ONNX computes in whole numbers. Clip and Relu belong to it so that the range of a
# convolution is measured after them; without, EfficientNet-Lite0 keeps a cosine of 0.8 only.
QUANTIZED = ("Conv", "Clip", "Relu", "MatMul", "Gemm")
HEAD = "/head"  # in the names of the head's operations, which stay in float32
INSTALL = how_to_install("export")

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Opened:
    """An exported file that was read again by the library that its users have.

    Attributes:
        images: uint8 (n, H, W, 3) to float32 (n, D).
        encoded: Bytes of n image files to float32 (n, D); None if the format takes none.
    """

    images: Embed
    encoded: Callable[[Sequence[bytes]], np.ndarray] | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of exported networks.

    Attributes:
        title: Its name as people write it.
        suffix: Ending of its files.
        write: ``write(graph, path, precision, samples)`` writes a file, or fills an empty folder.
            ``samples`` are images of the size ``loaded``, uint8 (n, L, M, 3), which ``int8``
            measures ranges on.
        read: Opens what was written.
        precisions: Names of the precisions that it can store.
        any_size: Whether images may have any size; otherwise, that of the run.
        is_folder: Whether it is a folder of files.
        packages: Modules that write and read it, besides those that this package needs anyway.
        runtime: The package that runs it elsewhere.
    """

    title: str
    suffix: str
    write: Callable[[Portable, Path, str, np.ndarray], None]
    read: Callable[[Path], Opened]
    precisions: tuple[str, ...]
    any_size: bool
    is_folder: bool = False
    packages: tuple[str, ...] = ()
    runtime: str


def check_packages(name: str) -> None:
    """Check that what a format needs is installed, before anything is computed.

    Args:
        name: A key of :data:`FORMATS`.

    Raises:
        UserError: A package is missing; says what to install.
    """
    for package in FORMATS[name].packages:
        if find_spec(package) is None:
            raise UserError(f"--format {name} needs {package}, which is not installed: {INSTALL}")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what the converters print: of use to their authors, not to those who export."""
    with warnings.catch_warnings(), hold_back_stderr(), open(os.devnull, "w") as nothing:
        warnings.simplefilter("ignore")
        loggers = [
            logging.getLogger(name)
            for name in ("absl", "tf2onnx", "tf2onnx.tfonnx", "tensorflow", "")
        ]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)  # what fails is said in one line
        try:
            with contextlib.redirect_stdout(nothing):
                yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _write_saved_model(graph: Portable, path: Path, precision: str, samples: np.ndarray) -> None:
    """Write a SavedModel with a signature for pixels and one for the bytes of image files."""
    del precision, samples  # there is one precision
    module = tf.Module()
    module.kept = [weight.value for weight in graph.network.variables]
    module.embed = graph_of(
        lambda images: {EMBEDDING: graph.embed_resized(graph.resize_by_kernels(images))},
        IMAGES,
        (None, None, None, CHANNELS),
        tf.uint8,
    )
    module.embed_encoded = graph_of(
        lambda encoded: {EMBEDDING: graph.embed_resized(graph.decode(encoded))},
        ENCODED,
        (None,),
        tf.string,
    )
    signatures = {SERVING: module.embed, ENCODED: module.embed_encoded}
    with _quietly():
        tf.saved_model.save(module, str(path), signatures=signatures)


def _read_saved_model(path: Path) -> Opened:
    with _quietly():
        loaded = tf.saved_model.load(str(path))
    pixels, files = loaded.signatures[SERVING], loaded.signatures[ENCODED]

    def of_images(images: np.ndarray) -> np.ndarray:
        found: np.ndarray = pixels(**{IMAGES: tf.constant(images)})[EMBEDDING].numpy()
        return found

    def of_encoded(encoded: Sequence[bytes]) -> np.ndarray:
        found: np.ndarray = files(**{ENCODED: tf.constant(list(encoded))})[EMBEDDING].numpy()
        return found

    # A signature lives as long as what it was loaded with.
    of_images.loaded = loaded  # type: ignore[attr-defined]
    return Opened(of_images, of_encoded)


def _write_onnx(graph: Portable, path: Path, precision: str, samples: np.ndarray) -> None:
    """Write one ONNX model of three: resizing and averaging stay exact whatever the network is."""
    import onnx
    from onnx import compose

    def cut(images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return {"views": graph.cut(graph.resize(images))}

    with _quietly():
        prepare = _as_onnx(cut, IMAGES, (None, None, None, CHANNELS), tf.uint8)
        network = _as_onnx(
            lambda views: {"vectors": graph.run(views)},
            "views",
            (None, *graph.size, CHANNELS),
            tf.float32,
        )
        finish = _as_onnx(
            lambda vectors: {EMBEDDING: graph.combine(vectors)},
            "vectors",
            (None, graph.width),
            tf.float32,
        )
        if precision == "float16":
            network = _in_half_precision(network)
        elif precision == "int8":
            network = _quantized(network, path.parent, graph, samples)
        stages = [
            compose.add_prefix(stage, f"{name}/", rename_inputs=False, rename_outputs=False)
            for name, stage in (("prepare", prepare), ("network", network), ("finish", finish))
        ]
        for stage in stages:  # the quantizer may have raised those of its own
            stage.ir_version = max(each.ir_version for each in stages)
            _join_opsets(stage, stages)
        whole = compose.merge_models(stages[0], stages[1], [("views", "views")])
        whole = compose.merge_models(whole, stages[2], [("vectors", "vectors")])
    for value, names in (
        (whole.graph.input[0], ("n", "height", "width")),
        (whole.graph.output[0], ("n",)),
    ):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            dimension.dim_param = name
    whole.producer_name, whole.producer_version = "retrieval-workbench", ""
    onnx.checker.check_model(whole)
    onnx.save(whole, path)


def _as_onnx(stage: Callable, name: str, shape: tuple[int | None, ...], dtype: tf.DType) -> Any:
    import onnx
    import tf2onnx

    function = graph_of(stage, name, shape, dtype)
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=[tf.TensorSpec(shape, dtype, name=name)], opset=OPSET
    )
    _keep_constants(model.graph, function.get_concrete_function())  # type: ignore[attr-defined]
    _replace_erfc(model.graph)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        words = one_line(str(error).partition("\n")[0])
        raise UserError(
            f"ONNX cannot hold this network ({words}): give --format saved_model or litert"
        ) from error
    return model


def _keep_constants(graph: Any, traced: Any) -> None:
    """Store the constants of a network that stand outside its graph, such as numbers of positions.

    tf2onnx would make them inputs, which nobody could give.
    """
    from onnx import numpy_helper

    outside = {inner.name: value for value, inner in traced.graph.captures}
    for given in [each for each in graph.input if each.name in outside]:
        value = np.asarray(outside[given.name])
        graph.initializer.append(numpy_helper.from_array(value, given.name))
        graph.input.remove(given)


def _replace_erfc(graph: Any) -> None:
    """Write erfc(x), which ONNX lacks and TensorFlow's exact GELU has, as 1 - erf(x)."""
    from onnx import helper, numpy_helper

    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        one, error = f"{node.name}/one", f"{node.name}/erf"
        graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), one))
        nodes.append(helper.make_node("Erf", list(node.input), [error], name=error))
        nodes.append(
            helper.make_node("Sub", [one, error], list(node.output), name=f"{node.name}/minus")
        )
    del graph.node[:]
    graph.node.extend(nodes)


def _join_opsets(model: Any, models: Sequence[Any]) -> None:
    """Let a model import the operator sets of all, in the newest version of each."""
    newest: dict[str, int] = {}
    for each in models:
        for opset in each.opset_import:
            newest[opset.domain] = max(opset.version, newest.get(opset.domain, 0))
    known = {opset.domain: opset for opset in model.opset_import}
    for domain, version in newest.items():
        opset = known.get(domain) or model.opset_import.add(domain=domain)
        opset.version = version


def _in_half_precision(model: Any) -> Any:
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    halved = ONNXModel(convert_float_to_float16(model, keep_io_types=True))
    halved.topological_sort()  # the casts that were added stand at the end
    return halved.model


def _quantized(model: Any, folder: Path, graph: Portable, samples: np.ndarray) -> Any:
    """Store weights and activations of the network, all but its head, as 8-bit whole numbers."""
    import tempfile

    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        """Gives the calibration one image at a time."""

        def __init__(self) -> None:
            self.left = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            if image is None:
                return None
            return {"views": graph.cut(tf.cast(image[None], tf.float32)).numpy()}

    with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-") as inside:
        before, prepared, after = (str(Path(inside) / f"{number}.onnx") for number in range(3))
        onnx.save(model, before)
        quant_pre_process(before, prepared, skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(prepared).graph.node]
        quantize_static(
            prepared,
            after,
            Samples(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_exclude=[name for name in names if HEAD in name],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(after)


def _read_onnx(path: Path) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def of_images(images: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run([EMBEDDING], {IMAGES: images})[0]
        return found

    return Opened(of_images)


def _write_litert(graph: Portable, path: Path, precision: str, samples: np.ndarray) -> None:
    """Write a LiteRT (TensorFlow Lite) model for images of the size ``loaded``."""
    function = graph_of(
        lambda images: {EMBEDDING: graph.embed_resized(tf.cast(images, tf.float32))},
        IMAGES,
        (None, *graph.loaded, CHANNELS),
        tf.uint8,
    )
    module = tf.Module()
    module.kept = [weight.value for weight in graph.network.variables]
    with _quietly():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()],  # type: ignore[attr-defined]
            module,
        )
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif precision == "int8":
            converter.representative_dataset = lambda: ({IMAGES: image[None]} for image in samples)
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                tf.lite.OpsSet.TFLITE_BUILTINS,  # what has no 8-bit version stays in float32
            ]
        path.write_bytes(converter.convert())


def _read_litert(path: Path) -> Opened:
    from ai_edge_litert.interpreter import Interpreter

    with _quietly():
        interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
        embed = interpreter.get_signature_runner()

    def of_images(images: np.ndarray) -> np.ndarray:
        with _quietly():
            found: np.ndarray = embed(**{IMAGES: images})[EMBEDDING]
        return found

    return Opened(of_images)


FORMATS: dict[str, Format] = {
    "saved_model": Format(
        title="TensorFlow SavedModel",
        suffix=".saved_model",
        write=_write_saved_model,
        read=_read_saved_model,
        precisions=("float32",),
        any_size=True,
        is_folder=True,
        runtime="tensorflow",
    ),
    "onnx": Format(
        title="ONNX",
        suffix=".onnx",
        write=_write_onnx,
        read=_read_onnx,
        precisions=("float32", "float16", "int8"),
        any_size=True,
        packages=("onnx", "tf2onnx", "onnxruntime"),
        runtime="onnxruntime",
    ),
    "litert": Format(
        title="LiteRT (TensorFlow Lite)",
        suffix=".tflite",
        write=_write_litert,
        read=_read_litert,
        precisions=("float32", "float16", "int8"),
        any_size=False,
        packages=("ai_edge_litert",),
        runtime="ai-edge-litert",
    ),
}
