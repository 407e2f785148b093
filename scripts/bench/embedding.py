"""Ways to embed on a CPU, each against sentence-transformers in float32: texts per CPU second, error, effect on picks.

    python -m scripts.bench.embedding speed POOL [NAME ...] [--rows 500] [--threads 1]
    python -m scripts.bench.embedding picks POOL [NAME ...] [--rows 10000] [--budget 1000] [--seeds 5]
    python -m scripts.bench.embedding padding POOL

POOL: a file, or `builtin`, whose defects are known. NAME: of `WAYS`; all by default, `reference` is always done.
Prompts are cut at 128 tokens and responses at 64, as TACOS without an LLM reads them. Error is 1 - cosine to the
reference. Picks are those of `tacos select POOL --method tacos`, with the settings of
`configs/quickstart.yaml` for the builtin pool, of which defects among them are known.

`onnx` and `openvino` are exported from the packaged weights on the spot, without the network. They and `static` need
packages that the framework does not: `pip install onnx onnxruntime`, `openvino nncf`, `model2vec[distill]`.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.read import read_pool
from tacos.models.batches import buckets
from tacos.models.embedder import MINILM, Embedder, EmbedderSettings, packaged_minilm, unit_rows
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.stage import Tools
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tacos.usage import Ledger

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


def pool_of(source: str, rows: int | None) -> Pool:
    pool = build(BuiltinSettings()).pool if source == "builtin" else read_pool(source).pool
    if rows is None or rows >= len(pool):
        return pool
    return pool.take(np.sort(np.random.default_rng(0).permutation(len(pool))[:rows]).tolist())


def measure_speed(pool: Pool, names: Sequence[str], threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    parts = [(list(dict.fromkeys(texts)), cut) for texts, cut in ((pool.prompts, 128), (pool.responses, 64))]
    n = sum(len(texts) for texts, _ in parts)
    truth: np.ndarray | None = None
    print(
        f"{n:,} texts, {threads} threads\n\n| way | texts per second | per CPU second | error: mean | max |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        encode = WAYS[name](threads)
        encode(parts[0][0][:64], 128)  # what a first call sets up is not timed
        wall, cpu = time.perf_counter(), time.process_time()
        vectors = np.vstack([encode(texts, cut) for texts, cut in parts])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        truth = vectors if truth is None else truth
        error = np.maximum(0, 1 - np.einsum("ij,ij->i", vectors, truth, dtype=np.float64))
        print(
            f"| {name} | {n / wall:,.0f} | {n / cpu:,.0f} | {error.mean():.1e} | {error.max():.1e} |",
            flush=True,
        )


class Way(Embedder):
    """One of `WAYS` in the place of a run's embedder; no text is embedded twice."""

    def __init__(self, encode: Encode):
        super().__init__(EmbedderSettings(dtype="float32", device="cpu"))
        self.encode = encode
        self.known: dict[tuple[str, int], np.ndarray] = {}

    def __call__(
        self, texts: Sequence[str], max_tokens: int | None = None, unit: bool = True, what: str = ""
    ) -> np.ndarray:
        cut = max_tokens or self.settings.max_tokens
        new = [text for text in dict.fromkeys(texts) if (text, cut) not in self.known]
        if new:
            self.known |= {
                (text, cut): vector for text, vector in zip(new, self.encode(new, cut), strict=True)
            }
        return np.stack([self.known[text, cut] for text in texts])


def measure_picks(source: str, names: Sequence[str], rows: int | None, budget: int, seeds: int) -> None:
    defects = (
        {row.id for row in build(BuiltinSettings()).truth if row.defect} if source == "builtin" else set()
    )
    truth: list[set[str]] = []
    print("| way | the reference's picks | defects over seeds |\n| --- | --- | --- |")
    for name in names:
        way = Way(WAYS[name](1))
        with tempfile.TemporaryDirectory() as folder:
            pool = pool_file(source, rows, Path(folder))
            picks = [picked(pool, way, budget, Path(folder), seed) for seed in range(seeds)]
        truth = truth or picks
        same = [f"{len(mine & other) / budget:.3f}" for mine, other in zip(picks, truth, strict=True)]
        bad = [len(found & defects) / budget for found in picks]
        told = f"{np.mean(bad):.1%} ({', '.join(f'{share:.1%}' for share in bad)})" if defects else ""
        print(f"| {name} | {', '.join(same)} | {told} |", flush=True)
        if name == "reference" and seeds > 1:
            others = [len(picks[0] & other) / budget for other in picks[1:]]
            print(
                f"| reference, another seed | {', '.join(f'{share:.3f}' for share in others)} | |", flush=True
            )


def pool_file(source: str, rows: int | None, folder: Path) -> str:
    if source == "builtin" or rows is None:
        return source
    lines = [sample.model_dump_json(include={"id", "messages"}) for sample in pool_of(source, rows)]
    (folder / "pool.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "pool.jsonl")


def picked(source: str, way: Embedder, budget: int, folder: Path, seed: int) -> set[str]:
    data = {"pool": {"source": source}, "method": "tacos", "budget": budget, "seed": seed}
    small = {"group": {"k": 30}, "score": {"fit": {"fit_rows": 600}}} if source == "builtin" else {}
    stage = selection_stage(parse(SelectSettings, data | small))
    tools = Tools(Ledger(), lambda settings=None: way, None, "cpu")  # type: ignore[arg-type]
    out = ArtifactStore(folder / "artifacts").run(stage, tools)
    return {row["id"] for row in read_jsonl(out / "selection.jsonl")}


def measure_padding(pool: Pool) -> None:
    """What is computed beside what is read, in batches of 32 by characters and in batches by tokens."""
    tokenizer = minilm().tokenizer
    for name, texts, cut in (("prompts", pool.prompts, 128), ("responses", pool.responses, 64)):
        unique = list(dict.fromkeys(texts))
        ids = tokenizer(unique, truncation=True, max_length=cut)["input_ids"]
        lengths = np.array(list(map(len, ids)))
        by_characters = lengths[np.argsort([-len(text) for text in unique], kind="stable")]
        computed = sum(
            by_characters[i : i + 32].max() * len(by_characters[i : i + 32]) for i in range(0, len(ids), 32)
        )
        ours = sum(lengths[places].max() * len(places) for places in buckets(lengths.tolist(), 1024))
        print(
            f"{name}: {len(unique):,} texts, {lengths.sum():,} tokens; computed by characters "
            f"{computed / lengths.sum():.2f}, by tokens {ours / lengths.sum():.3f} times as many"
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "picks", "padding"))
    parser.add_argument("pool")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WAYS))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    names = list(dict.fromkeys(["reference", *(args.names or WAYS)]))
    if args.what == "speed":
        measure_speed(pool_of(args.pool, args.rows or 500), names, args.threads)
    elif args.what == "picks":
        measure_picks(args.pool, names, args.rows, args.budget, args.seeds)
    else:
        measure_padding(pool_of(args.pool, args.rows))


if __name__ == "__main__":
    main()
