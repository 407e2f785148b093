"""Upstream's files: from a folder, or downloaded once and checked by SHA-256.

Questions, judge prompts, reference answers, baseline outputs and the tables of the length-controlled fit
belong to their authors and are not part of this project:

    mt_bench/     https://github.com/lm-sys/FastChat, fastchat/llm_judge/data
    test_sets/    https://github.com/hexixiang/TACOS, data/test; PandaLM's and CoachLM's questions from their authors
    prompts/      https://github.com/hexixiang/TACOS, prompts: what its authors asked an LLM with; AlpacaEval's prompt
    tacos_data/   https://github.com/hexixiang/TACOS, data: the training sets that its authors released
    alpaca_eval/  https://github.com/tatsu-lab/alpaca_eval, results, and the hub's dataset of that name

A folder that the user names is trusted: people bring newer files, so another hash there is a warning. A
download is not: another hash is refused, and so is a cached file that has been changed.

    Assets(None, cache).path("mt_bench/question.jsonl")  ->  cache/mt_bench/question.jsonl, 48,929 bytes,
                                                             SHA-256 119565ad...
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from tacos.errors import ConfigError, TacosError, nearest
from tacos.store.files import write_bytes
from tacos.store.fingerprint import file_digest
from tacos.types import Record

log = logging.getLogger(__name__)

Fetch = Callable[[str], bytes]
"""The bytes behind a URL; raises OSError where there are none."""

TIMEOUT_S = 60.0
_FASTCHAT = (
    "https://raw.githubusercontent.com/lm-sys/FastChat/587d5cfa1609a43d192cedb8441cac3c17db105d/"
    "fastchat/llm_judge/data/"
)
_TACOS = "https://raw.githubusercontent.com/hexixiang/TACOS/d79350f016c03c0430f61c658fc4df677a42ea65/"
_PANDALM = "https://raw.githubusercontent.com/WeOpenML/PandaLM/3871806e72b4832f815ecafd24d3503c73403f48/"
_COACHLM = "https://raw.githubusercontent.com/lunyiliu/CoachLM/37617299916c3ae550b2f6da713835e21bea6e60/"
_ALPACA_EVAL = (
    "https://raw.githubusercontent.com/tatsu-lab/alpaca_eval/cd543a149df89434d8a54582c0151c0b945c3d20/"
)
_HUB = (
    "https://huggingface.co/datasets/tatsu-lab/alpaca_eval/resolve/2edc6fad8be6b14ea7230aabfd08188da6b8b814/"
)


class Pinned(Record):
    """Where a file comes from, and which bytes it must hold."""

    url: str
    sha256: str
    reconstructed: str | None = None
    """SHA-256 of the known stand-in: the same table computed from published results, for machines without
    the hub. Good in a folder, with no warning; never accepted as a download."""


PINNED: Mapping[str, Pinned] = {
    "mt_bench/question.jsonl": Pinned(
        url=_FASTCHAT + "mt_bench/question.jsonl",
        sha256="119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
    ),
    "mt_bench/judge_prompts.jsonl": Pinned(
        url=_FASTCHAT + "judge_prompts.jsonl",
        sha256="fd283293406d024f44c174b094ef48031d0687a4682fd3a56b29b138f80281b6",
    ),
    "mt_bench/reference_answer_gpt-4.jsonl": Pinned(
        url=_FASTCHAT + "mt_bench/reference_answer/gpt-4.jsonl",
        sha256="f957a5bc977badb66885ec970e6cd08527845780313f0995764260e5777b9b3f",
    ),
    "test_sets/vicuna.jsonl": Pinned(
        url=_TACOS + "data/test/vicuna.jsonl",
        sha256="590c39157bc561eadd7f03cad4be18c2b597f93029780af65f86718f39eafa87",
    ),
    "test_sets/koala.jsonl": Pinned(
        url=_TACOS + "data/test/koala.jsonl",
        sha256="c8cda5c53810dc30aad34fabbb828fe3eba0957119e00916650c971905d19886",
    ),
    "test_sets/wizardlm.jsonl": Pinned(
        url=_TACOS + "data/test/wizardlm.jsonl",
        sha256="1a39103c4ad7e0b68a0f7ed770f13a60cc60749418263dafb20cfe8f5e51901e",
    ),
    "test_sets/sinstruct.jsonl": Pinned(
        url=_TACOS + "data/test/sinstruct.jsonl",
        sha256="81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e",
    ),
    "test_sets/lima.jsonl": Pinned(
        url=_TACOS + "data/test/lima.jsonl",
        sha256="4584225a820754afd473de7a37c2ff912cd9a4b6ae44ec5c7419d6e875f01fac",
    ),
    "test_sets/pandalm170.json": Pinned(
        url=_PANDALM + "data/testset-inference-v1.json",
        sha256="170fef9eb10de404cdb3e2d9c6e3fab5cf656d47bd199cd6b368509e5bfc2967",
    ),
    "test_sets/coachlm150.json": Pinned(
        url=_COACHLM + "CoachLM150%20Test%20Set.json",
        sha256="7ca9d9f064b26953e2390fb75fc4ccddd1da005fef5d4d9b951aedfe47acd412",
    ),
    "prompts/tacos_tag_tag_pro.txt": Pinned(
        url=_TACOS + "prompts/tag/tag_pro.txt",
        sha256="544d531da9003704a0f08d9ca8e7018d056b35b46b57175bbdc22282c46774f9",
    ),
    "prompts/tacos_score_myprompt_pair.txt": Pinned(
        url=_TACOS + "prompts/score/myprompt/pair.txt",
        sha256="f023d7a4d95a1c9f20388fe46d39f5675bca915c196e1bc5fcb374ce5a59b479",
    ),
    "prompts/tacos_score_ALIGNMENT_rank_score.txt": Pinned(
        url=_TACOS + "prompts/score/ALIGNMENT/rank_score.txt",
        sha256="1be5ade4b6ae84cfbb350c4f65c2dd7f1bedb83f0f89870d229f3bfe7a281883",
    ),
    "prompts/alpaca_eval_clf.txt": Pinned(
        url=_ALPACA_EVAL
        + "src/alpaca_eval/evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        sha256="784227e6dc2832fc08c43d2c8ea3a308e7523780187a1aaad2f85e30bac85f62",
    ),
    "tacos_data/alpaca_1k_opencs_wo_contrastive_score.json": Pinned(
        url=_TACOS + "data/alpaca_1k_opencs_wo_contrastive_score.json",
        sha256="70a597247d2ea18bbdeb07c29efd92435299f5dc6a510c3c7608861d31eff779",
    ),
    "tacos_data/alpaca_1k_opencs_wo_open_tag_cluster.json": Pinned(
        url=_TACOS + "data/alpaca_1k_opencs_wo_open_tag_cluster.json",
        sha256="66b415ac688dae3285b451140802ddeb13bc3d8118549ceac1c6ff5939045b1b",
    ),
    "tacos_data/fastchat_lima_1k.json": Pinned(
        url=_TACOS + "data/fastchat_lima_1k.json",
        sha256="c961526b294922256f11269e0ac295def1fe6bc191d03d5ff92152388d8674d3",
    ),
    "tacos_data/filtered_alpaca_1k_opencs.json": Pinned(
        url=_TACOS + "data/filtered_alpaca_1k_opencs.json",
        sha256="107f1f90913bec9b87a6666ceb5e2ca1c58d4abde229c04fd8f05b0a43ec8373",
    ),
    "tacos_data/filtered_alpaca_1k_score.json": Pinned(
        url=_TACOS + "data/filtered_alpaca_1k_score.json",
        sha256="4c49fae4bba9945aeb3f72e4e01b8ae273afe19a9747590366869778710288c5",
    ),
    "tacos_data/filtered_evol_instruct_1k_opencs.json": Pinned(
        url=_TACOS + "data/filtered_evol_instruct_1k_opencs.json",
        sha256="ffae296db9b9f14a7c43321763a7dd27611c11c448f45e019ae0a398f2576ff1",
    ),
    "tacos_data/filtered_evol_instruct_1k_score.json": Pinned(
        url=_TACOS + "data/filtered_evol_instruct_1k_score.json",
        sha256="4a3c21ff87a58415f50476ffb263952887e43e7a233321145fa1cef15b8ce726",
    ),
    "tacos_data/refined_alpaca_1k_longest.json": Pinned(
        url=_TACOS + "data/refined_alpaca_1k_longest.json",
        sha256="f0645ce19c2bf79e0d74ddcc72c4792b9b84acc2a54abcc6a4ed57739ec96c57",
    ),
    "tacos_data/refined_alpaca_1k_opencs.json": Pinned(
        url=_TACOS + "data/refined_alpaca_1k_opencs.json",
        sha256="4d492695da3397fbbaa011c3d21fd286d9d739f83550bb105401730d2dbdfdc1",
    ),
    "prompts/deita_llama_scorer.py": Pinned(
        url="https://raw.githubusercontent.com/hkust-nlp/deita/b279f2c329b403d2612a61e270c8d2a2eeaed6f4/"
        "src/deita/selection/scorer/llama_scorer.py",
        sha256="8cd7091dc3907ed9c21828612a73bc2cbdc1f872c291c807f710d1cffbd2f5f2",
    ),
    "alpaca_eval/gpt4_1106_preview_outputs.json": Pinned(
        url=_HUB + "alpaca_eval_gpt4_baseline.json",
        sha256="83db546b872ddebee8965fd05fa48461ee3c32bc695c62fb57f2d214ff741ec4",
    ),
    "alpaca_eval/alpaca-7b_outputs.json": Pinned(
        url=_ALPACA_EVAL + "results/alpaca-7b/model_outputs.json",
        sha256="21048628f20187affc7d9c9e756d9618e08c4991fc8a48184612eb484565c5db",
    ),
    "alpaca_eval/instruction_difficulty.csv": Pinned(
        url=_HUB + "instruction_difficulty.csv",
        sha256="e28d875bb334f75e17acd1e4ed659b261860e3db379cf5de29060301bed0a18b",
        reconstructed="64d5fe5484a22a24f852a12b8d4224ca45f04d78553051bb92ddf74f51b55e8f",
    ),
    "alpaca_eval/df_gamed.csv": Pinned(
        url=_HUB + "df_gamed.csv",
        sha256="97aeec3f1c7de6dee6fd31fe66f1702623f4614c3efe1c6fc5f4927cd5fd674d",
        reconstructed="37007626054180d274b226a70947c59b156573d2d46d90fc2031ec6fd8fd1782",
    ),
}
"""Every file by the name it has here. MT-Bench's three are the same bytes at FastChat 0e6d3e4."""


def download(url: str) -> bytes:
    """Raises: OSError (urllib's own are OSErrors) when the server or the network says no."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # https only: all URLs stand in PINNED
        content: bytes = reply.read()
    return content


class Assets:
    """Finds benchmark files by name.

    folder: where the user keeps them; None downloads everything.
    cache: where downloads are kept.
    fetch: how bytes are got, for tests and mirrors.
    """

    def __init__(self, folder: Path | None, cache: Path, fetch: Fetch = download):
        self.folder = folder
        self.cache = cache
        self._fetch = fetch
        self._found: dict[str, Path] = {}

    def path(self, name: str) -> Path:
        """The file called `name` in `PINNED`. A file that the folder lacks is downloaded.

        Raises: ConfigError for an unknown name or a folder that does not exist; TacosError when the
            download fails or holds other bytes than the pinned ones.
        """
        if name not in PINNED:
            raise ConfigError(f"no benchmark file {name!r}: {nearest(name, PINNED)}")
        if name not in self._found:
            self._found[name] = self._given(name, PINNED[name]) or self._downloaded(name, PINNED[name])
        return self._found[name]

    def _given(self, name: str, pinned: Pinned) -> Path | None:
        if self.folder is None:
            return None
        if not self.folder.is_dir():
            raise ConfigError(f"no assets folder {self.folder}: set TACOS_ASSETS to one, or unset it")
        path = self.folder / name
        if not path.is_file():
            log.warning("%s has no %s; taking the pinned download", self.folder, name)
            return None
        found = sha256(path)
        if found not in (pinned.sha256, pinned.reconstructed):
            log.warning(
                "%s is not the pinned file (SHA-256 %s, pinned %s): figures may differ from published ones",
                path,
                found[:12],
                pinned.sha256[:12],
            )
        return path

    def _downloaded(self, name: str, pinned: Pinned) -> Path:
        path = self.cache / name
        if path.is_file():
            if sha256(path) == pinned.sha256:
                return path
            log.warning("%s has been changed; downloading it again", path)
        log.info("downloading %s", pinned.url)
        try:
            content = self._fetch(pinned.url)
        except (OSError, http.client.HTTPException) as error:
            trust = (
                "name your organisation's certificates in SSL_CERT_FILE, " if "CERTIF" in str(error) else ""
            )
            raise TacosError(
                f"cannot download {name} from {pinned.url}: {error}; {trust}go online once, or put the file into "
                "a folder and name that in TACOS_ASSETS"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != pinned.sha256:
            raise TacosError(
                f"{name} from {pinned.url} is not the pinned file: SHA-256 {found}, expected "
                f"{pinned.sha256}; nothing was kept. Put a file you trust into a folder and name that in "
                "TACOS_ASSETS"
            )
        write_bytes(path, content)
        return path


def sha256(path: Path) -> str:
    """Raises: TacosError when the file cannot be read."""
    try:
        return file_digest(path)
    except OSError as error:
        raise TacosError(f"cannot read {path}: {error.strerror or error}") from error
