"""Ways to embed on a CPU, for `embedding.py`: what sentence-transformers does, what the framework does, and others.

`onnx` and `openvino` are exported from the packaged weights on the spot, without the network. They and `static` need
packages that the framework does not: `pip install onnx onnxruntime`, `openvino nncf`, `model2vec[distill]`.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tacos.models.batches import buckets
from tacos.models.embedder import MINILM, Embedder, EmbedderSettings, packaged_minilm, unit_rows

Encode = Callable[[Sequence[str], int], np.ndarray]
"""Texts and where they are cut, in tokens -> (n_texts, dim) of unit length."""
Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Ids and mask, both (n, length) -> what the encoder says of each token, (n, length, dim)."""


def minilm() -> Any:
    """As sentence-transformers loads it, with torch's own linear layers."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        str(packaged_minilm() or MINILM), device="cpu", model_kwargs={"dtype": "float32"}
    )


def reference(threads: int) -> Encode:
    """Sorted by characters, batches of 32, in float32."""
    model = minilm()

    def encode(texts: Sequence[str], cut: int) -> np.ndarray:
        model.max_seq_length = cut
        return np.asarray(model.encode(list(texts), batch_size=32, normalize_embeddings=True))

    return encode


def ours(threads: int, dtype: str, batch_tokens: int = 1024) -> Encode:
    settings = EmbedderSettings.model_validate(
        {"dtype": dtype, "device": "cpu", "batch_tokens": batch_tokens}
    )
    embedder = Embedder(settings)
    return lambda texts, cut: embedder(texts, cut)


def pooled(forward: Forward, batch_tokens: int) -> Encode:
    """Mean of the tokens, in batches by tokens as `Embedder` makes them."""
    tokenizer = minilm().tokenizer

    def encode(texts: Sequence[str], cut: int) -> np.ndarray:
        ids = tokenizer(list(texts), truncation=True, max_length=cut)["input_ids"]
        vectors: dict[int, np.ndarray] = {}
        for places in buckets(list(map(len, ids)), batch_tokens):
            read = tokenizer.pad({"input_ids": [ids[place] for place in places]}, return_tensors="np")
            mask = read["attention_mask"]
            said = forward(read["input_ids"], mask) * mask[..., None]
            vectors |= dict(zip(places, said.sum(1) / mask.sum(1, keepdims=True), strict=True))
        return unit_rows(np.array([vectors[place] for place in range(len(texts))]))

    return encode


def encoder() -> Any:
    """Ids and mask -> the last hidden state, as a torch module."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self, model: Any):
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    return Encoder(minilm()[0].auto_model).eval()


def by_torch(module: Any) -> Forward:
    import torch

    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy())

    return forward


def torch_int8(threads: int, batch_tokens: int = 1024) -> Encode:
    import torch

    quantized = torch.ao.quantization.quantize_dynamic(encoder(), {torch.nn.Linear}, dtype=torch.qint8)
    return pooled(by_torch(quantized), batch_tokens)


def compiled(threads: int, batch_tokens: int = 1024) -> Encode:
    import torch

    return pooled(by_torch(torch.compile(encoder(), dynamic=True)), batch_tokens)


def onnx(threads: int, int8: bool, batch_tokens: int = 1024) -> Encode:
    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path, names, some = f"{folder}/model.onnx", ["input_ids", "attention_mask"], torch.ones(2, 16).long()
        axes = {name: {0: "rows", 1: "length"} for name in (*names, "said")}
        torch.onnx.export(
            encoder(),
            (some, some),
            path,
            input_names=names,
            output_names=["said"],
            dynamic_axes=axes,
            dynamo=False,
        )
        if int8:
            kind = {"weight_type": QuantType.QInt8, "per_channel": True, "op_types_to_quantize": ["MatMul"]}
            quantize_dynamic(path, path, **kind)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return pooled(
        lambda ids, mask: session.run(None, dict(zip(names, (ids, mask), strict=True)))[0], batch_tokens
    )


def openvino(threads: int, hint: str, int8: bool = False, batch_tokens: int = 1024) -> Encode:
    import openvino as ov
    import torch

    some = torch.ones(2, 16).long()
    model = ov.convert_model(encoder(), example_input=(some, some))
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    if int8:
        import nncf

        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "128"
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    return pooled(lambda ids, mask: request.infer([ids, mask])[0], batch_tokens)


def static(threads: int) -> Encode:
    """One vector a token, distilled from MiniLM."""
    from model2vec.distill import distill_from_model
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(packaged_minilm())
    model = distill_from_model(copy.deepcopy(minilm()[0].auto_model), tokenizer, pca_dims=384)
    return lambda texts, cut: unit_rows(model.encode(list(texts), max_length=cut, use_multiprocessing=False))


def shortened(threads: int, cut: int) -> Encode:
    """The reference, with texts cut earlier."""
    encode = reference(threads)
    return lambda texts, longest: encode(texts, min(cut, longest))


WAYS: dict[str, Callable[[int], Encode]] = {
    "reference": reference,
    "reference, 32 tokens": partial(shortened, cut=32),
    "float32": partial(ours, dtype="float32"),
    "float32, batches of 4,096": partial(ours, dtype="float32", batch_tokens=4096),
    "bfloat16, batches of 256": partial(ours, dtype="bfloat16", batch_tokens=256),
    "bfloat16": partial(ours, dtype="bfloat16"),
    "bfloat16, batches of 4,096": partial(ours, dtype="bfloat16", batch_tokens=4096),
    "torch.compile": compiled,
    "torch int8": torch_int8,
    "onnx": partial(onnx, int8=False),
    "onnx int8": partial(onnx, int8=True),
    "openvino": partial(openvino, hint="f32"),
    "openvino bfloat16": partial(openvino, hint="bf16"),
    "openvino int8": partial(openvino, hint="f32", int8=True),
    "static": static,
}
