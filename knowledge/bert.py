"""The weights of a BERT encoder -> an ONNX graph from word pieces to one vector of unit length a text.

Run in a child process (`python -m knowledge.bert FOLDER FILE FORM`), because writing the graph takes four times the memory of
running it. Folders are those of sentence-transformers: config.json, model.safetensors, tokenizer.json, 1_Pooling/config.json.

    NotOurs     the folder holds another kind of model, or not all of it
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Form = Literal["int8", "fp32"]
FORMAT = 2
"""Raised when the graph is written differently, so that vectors of the older one are not mixed with the newer one's."""
SMOOTH, SMOOTH_ACTIVE = 0.7, 0.5
"""How far a channel that runs high is brought down before it is put in 8 bits (and its row of the weights up): all channels
share one scale, which the highest sets. Of 300 passages the vectors' least cosine with the exact ones is .991 so, .982 without;
it costs nothing."""
LOW = -1e4
"""What is added to a score at a place that is only filling: exp of it is 0."""


class NotOurs(Exception):
    """One sentence on what in the folder cannot be used."""


def config(folder: Path) -> dict[str, Any]:
    """Its config.json, checked: a BERT encoder with the usual activation and places. raises NotOurs"""
    found = _json(folder / "config.json")
    if not found:
        raise NotOurs(f"{folder} has no readable config.json: copy the whole folder of the model.")
    kind = (found.get("model_type"), found.get("hidden_act", "gelu"), found.get("position_embedding_type", "absolute"))
    if kind != ("bert", "gelu", "absolute"):
        raise NotOurs(f"{folder} holds a model of type {kind[0]!r} ({kind[1]}, {kind[2]}): take one of type 'bert'.")
    steps = _json(folder / "modules.json") or []
    others = sorted({str(step.get("type", "")).rpartition(".")[2] for step in steps} - {"Transformer", "Pooling", "Normalize"})
    if others:
        raise NotOurs(f"{folder} needs the further steps {', '.join(others)}: take a model that only pools and normalizes.")
    return dict(found)


def pooling(folder: Path) -> Literal["mean", "cls"]:
    """How the vectors of the word pieces become one. raises NotOurs"""
    found = _json(folder / "1_Pooling" / "config.json") or {"pooling_mode_mean_tokens": True}
    on = sorted(name for name, is_on in found.items() if name.startswith("pooling_mode_") and is_on is True)
    if on == ["pooling_mode_mean_tokens"]:
        return "mean"
    if on == ["pooling_mode_cls_token"]:
        return "cls"
    raise NotOurs(f"{folder} pools by {', '.join(on)}: take a model that pools by mean or by its first token.")


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def write(folder: Path, out: Path, form: Form) -> None:
    """Write the graph to `out`, whole or not at all.

    inputs    input_ids, attention_mask: int64 (texts, pieces)
    output    vectors: float32 (texts, hidden size), rows of unit length
    raises    NotOurs
    """
    import onnx
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    settings = config(folder)
    try:
        weights = load_file(str(folder / "model.safetensors"))
    except (OSError, SafetensorError, KeyError) as wrong:
        raise NotOurs(f"{folder / 'model.safetensors'} cannot be read: copy the whole folder of the model again.") from wrong
    named = {name.removeprefix("bert."): value for name, value in weights.items()}
    try:
        model = _Writer(named, settings, form).model(pooling(folder))
    except KeyError as missing:
        raise NotOurs(f"{folder / 'model.safetensors'} has no {missing}: it is no whole BERT encoder.") from None
    onnx.checker.check_model(model)
    part = out.with_suffix(f".{os.getpid()}.part")
    onnx.save(model, str(part))
    part.replace(out)


class _Writer:
    """Collects the graph's nodes and constants.

    In the int8 form every product with fixed weights is one of whole numbers, with a scale for each column of the weights; what
    flows between stays float32. Query, key and value are one product.
    """

    def __init__(self, weights: Mapping[str, Any], settings: Mapping[str, Any], form: Form) -> None:
        self._weights, self._form = weights, form
        self._hidden, self._heads = int(settings["hidden_size"]), int(settings["num_attention_heads"])
        self._layers, self._epsilon = int(settings["num_hidden_layers"]), float(settings["layer_norm_eps"])
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._quantized: dict[str, tuple[str, str, str]] = {}
        self._sizes: dict[str, Any] = {}
        """Tensor -> about how far each channel of it goes, as far as the weights tell."""

    def model(self, pool: Literal["mean", "cls"]) -> Any:
        from onnx import TensorProto, helper

        hidden = self._embedded()
        for layer in range(self._layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        self._op("LpNormalization", [self._pooled(hidden, pool)], "vectors", axis=-1, p=2)
        tensor = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [tensor(name, TensorProto.INT64, ["texts", "pieces"]) for name in ("input_ids", "attention_mask")],
            [tensor("vectors", TensorProto.FLOAT, ["texts", self._hidden])],
            list(self._constants.values()),
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    def _embedded(self) -> str:
        """The sum of what each piece, its place and its kind (always the first) mean; and the mask as numbers to add."""
        import numpy as np
        from onnx import TensorProto

        words = np.asarray(self._weights["embeddings.word_embeddings.weight"])
        kind = np.asarray(self._weights["embeddings.token_type_embeddings.weight"])[0].astype(np.float32)
        if self._form == "int8":  # half the memory; 3 decimals are more than the products below keep
            self._op("Gather", [self._constant("words", words.astype(np.float16)), "input_ids"], "words.half")
            self._op("Cast", ["words.half"], "words.at", to=TensorProto.FLOAT)
        else:
            self._op("Gather", [self._constant("words", words.astype(np.float32)), "input_ids"], "words.at")
        places = np.asarray(self._weights["embeddings.position_embeddings.weight"]).astype(np.float32) + kind
        self._op("Shape", ["input_ids"], "pieces", start=1, end=2)
        self._op("Slice", [self._constant("places", places), self._whole("zero", [0]), "pieces"], "places.at")
        self._op("Add", ["words.at", "places.at"], "embedded")
        self._op("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        self._op("Sub", [self._constant("one", np.array(1, np.float32)), "mask"], "filling")
        self._op("Mul", ["filling", self._constant("low", np.array(LOW, np.float32))], "filling.low")
        self._op("Unsqueeze", ["filling.low", self._whole("axes", [1, 2])], "bias")
        return self._norm("embedded", "embeddings.LayerNorm")

    def _layer(self, name: str, hidden: str) -> str:
        import numpy as np

        width = self._hidden // self._heads
        scale = {"query": width**-0.5, "key": 1.0, "value": 1.0}  # once in the weights, not at each question
        parts = [f"{name}.attention.self.{part}" for part in scale]
        weight = np.concatenate([self._float(f"{p}.weight").T * s for p, s in zip(parts, scale.values(), strict=True)], axis=1)
        bias = np.concatenate([self._float(f"{p}.bias") * s for p, s in zip(parts, scale.values(), strict=True)])
        self._linear(hidden, weight, bias, f"{name}.three")
        self._op("Split", [f"{name}.three"], *[f"{part}.flat" for part in parts], axis=-1, num_outputs=3)
        for part, order in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True):
            shape = self._whole("by_head", [0, 0, self._heads, width])
            self._op("Reshape", [f"{part}.flat", shape], f"{part}.heads")
            self._op("Transpose", [f"{part}.heads"], part, perm=order)
        self._op("MatMul", parts[:2], f"{name}.scores")
        self._op("Add", [f"{name}.scores", "bias"], f"{name}.masked")
        self._op("Softmax", [f"{name}.masked"], f"{name}.shares", axis=-1)
        self._op("MatMul", [f"{name}.shares", parts[2]], f"{name}.mixed")
        self._op("Transpose", [f"{name}.mixed"], f"{name}.turned", perm=[0, 2, 1, 3])
        self._op("Reshape", [f"{name}.turned", self._whole("joined", [0, 0, self._hidden])], f"{name}.joined")
        attended = self._and_back(f"{name}.joined", hidden, f"{name}.attention.output")
        self._dense(attended, f"{name}.intermediate.dense")
        self._op("Gelu", [f"{name}.intermediate.dense"], f"{name}.active")
        self._sizes[f"{name}.active"] = self._active(attended, f"{name}.intermediate.dense")
        return self._and_back(f"{name}.active", attended, f"{name}.output")

    def _and_back(self, x: str, before: str, name: str) -> str:
        self._dense(x, f"{name}.dense")
        self._op("Add", [f"{name}.dense", before], f"{name}.sum")
        return self._norm(f"{name}.sum", f"{name}.LayerNorm")

    def _active(self, x: str, name: str) -> Any:
        """How far each channel goes after the step `name` that takes `x`, as a factor on the usual one."""
        import numpy as np

        far = np.sqrt((self._float(f"{name}.weight") ** 2 * self._spread(x) ** 2).sum(axis=1))
        reach = np.maximum(3 * far + self._float(f"{name}.bias"), 0.02)
        return np.clip(reach / np.median(reach), 0.2, 5) ** SMOOTH_ACTIVE

    def _spread(self, x: str) -> Any:
        """The size of each channel of a normalized tensor: its factor and its shift."""
        import numpy as np

        name = x.removesuffix(".out")
        return np.hypot(self._float(f"{name}.weight"), self._float(f"{name}.bias"))

    def _pooled(self, hidden: str, pool: Literal["mean", "cls"]) -> str:
        if pool == "cls":
            return self._op("Gather", [hidden, self._constant("first", _integer(0))], "pooled", axis=1)
        self._op("Unsqueeze", ["mask", self._whole("last", [-1])], "mask.wide")
        self._op("Mul", [hidden, "mask.wide"], "hidden.masked")
        return self._op("ReduceSum", ["hidden.masked", self._whole("along", [1])], "pooled", keepdims=0)

    def _dense(self, x: str, name: str) -> str:
        return self._linear(x, self._float(f"{name}.weight").T, self._float(f"{name}.bias"), name)

    def _linear(self, x: str, weight: Any, bias: Any, out: str) -> str:
        product = self._whole_product(x, weight, out) if self._form == "int8" else f"{out}.product"
        if self._form == "fp32":
            self._op("MatMul", [x, self._constant(f"{out}.weight", weight)], product)
        return self._op("Add", [product, self._constant(f"{out}.bias", bias)], out)

    def _whole_product(self, x: str, weight: Any, out: str) -> str:
        """x @ weight with both in 8 bits: x by one scale found as it comes, each column of the weights by its own."""
        import numpy as np
        from onnx import TensorProto

        if x in self._sizes:
            weight = weight * self._sizes[x][:, None]
            smooth = self._constant(f"{x}.smooth.by", (1 / self._sizes[x]).astype(np.float32))
            if f"{x}.smooth" not in self._quantized:
                self._op("Mul", [x, smooth], f"{x}.smooth")
            x = f"{x}.smooth"
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
        whole = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        if x not in self._quantized:
            self._quantized[x] = (f"{x}.q", f"{x}.scale", f"{x}.zero")
            self._op("DynamicQuantizeLinear", [x], *self._quantized[x])
        quantized, step, zero = self._quantized[x]
        fixed = self._constant(f"{out}.weight", whole)
        none = self._constant(f"{out}.weight.zero", np.zeros(scale.shape, np.int8))
        self._op("MatMulInteger", [quantized, fixed, zero, none], f"{out}.whole")
        self._op("Cast", [f"{out}.whole"], f"{out}.float", to=TensorProto.FLOAT)
        self._op("Mul", [step, self._constant(f"{out}.weight.scale", scale.astype(np.float32))], f"{out}.step")
        return self._op("Mul", [f"{out}.float", f"{out}.step"], f"{out}.product")

    def _norm(self, x: str, name: str) -> str:
        import numpy as np

        weights = [self._constant(f"{name}.{part}", self._float(f"{name}.{part}")) for part in ("weight", "bias")]
        reach = 3 * np.abs(self._float(f"{name}.weight")) + np.abs(self._float(f"{name}.bias"))
        self._sizes[f"{name}.out"] = (np.maximum(reach, 1e-3) / np.median(reach)) ** SMOOTH
        return self._op("LayerNormalization", [x, *weights], f"{name}.out", axis=-1, epsilon=self._epsilon)

    def _float(self, name: str) -> Any:
        import numpy as np

        return np.asarray(self._weights[name]).astype(np.float32)

    def _whole(self, name: str, values: list[int]) -> str:
        return self._constant(name, _integer(values))

    def _constant(self, name: str, values: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name)
        return name

    def _op(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, list(outputs), **attributes))
        return outputs[0]


def _integer(values: int | list[int]) -> Any:
    import numpy as np

    return np.array(values, np.int64)


def main(folder: str, out: str, form: str) -> int:
    """0 when the graph is written, 1 with one sentence on stderr."""
    try:
        write(Path(folder), Path(out), "fp32" if form == "fp32" else "int8")
    except NotOurs as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201  # a child's only way to say it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
