"""What is asked of a model: tasks of lm-eval by name, in folders or YAML files of one's own, or a panel of them.

LMTasksSettings(tasks=("instruct",))                                a panel
LMTasksSettings(tasks=("gsm8k", "mmlu"), limit=100)                 tasks and groups that lm-eval has
LMTasksSettings(tasks=("arith",), include_path=("own/tasks",))      one's own, which need no network
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from tacos.errors import ConfigError
from tacos.models.batches import BUDGET
from tacos.store.fingerprint import file_digest
from tacos.types import Record

PANELS: dict[str, tuple[str, ...]] = {
    "instruct": ("ifeval", "mmlu", "gsm8k", "bbh", "truthfulqa_mc2", "arc_challenge", "hellaswag"),
}
"""Tasks that belong together, by one name: what papers on instruction tuning report beside judged answers."""
FEWSHOT_SEED = 1234
"""lm-eval's own, so that its figures have the same examples in their prompts."""
OWN_FILES = ("yaml", "yml", "py", "json", "jsonl", "csv", "tsv", "parquet", "txt", "gz", "zst")
"""How names of files with tasks and data end; without the dot, as lm-eval's tasks include "_default_template_yaml"."""
EXECUTION = {"include_path", "token_budget", "batch_size"}
"""Settings that change no answer; what lies in `include_path` does, and is told apart by its content."""


class LMTasksSettings(Record):
    """How a model is examined. Unset, everything is as the task says."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of tasks, groups or `PANELS`, paths of YAML files, or folders, whose tasks are all asked."""
    include_path: tuple[str, ...] = ()
    """Folders in which names are looked up before lm-eval's own."""
    num_fewshot: int | None = Field(None, ge=0)
    """Examples in the prompt. A task that sets 0 itself keeps it, as in lm-eval."""
    limit: int | None = Field(None, ge=1)
    """Questions of each task, the first ones; the figure is then not the benchmark's."""
    apply_chat_template: bool = False
    """Whether prompts are conversations in the model's template. As trained, for a model that was taught in one."""
    fewshot_as_multiturn: bool = True
    """Whether examples are turns of that conversation, or all stand in its one user turn."""
    system_instruction: str | None = None
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Over each task's own `generation_kwargs`: until, max_gen_toks, do_sample, temperature, top_p, ..."""
    max_gen_toks: int = Field(256, ge=1)
    """Tokens of a reply where the task does not say."""
    max_length: int | None = Field(None, ge=2)
    """Tokens of prompt and reply together; the oldest are cut. None is what the model's config says, else 2,048."""
    dtype: str = "auto"
    template: str = "auto"
    """As `tacos.models.chat.ensure_template`."""
    fewshot_seed: int = FEWSHOT_SEED
    allow_code: bool = False
    """Run tasks that execute what the model wrote (HumanEval, MBPP); nothing keeps that code from doing harm."""
    token_budget: int = Field(BUDGET, ge=1)
    """Tokens of a batch."""
    batch_size: int = Field(16, ge=1)
    """Replies that are generated at a time."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The tasks, panels spelled out; each once."""
        return tuple(dict.fromkeys(name for given in self.tasks for name in PANELS.get(given, (given,))))

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where tasks of one's own are looked up: `include_path`, and where given files and folders lie."""
        paths = [Path(name) for name in self.asked if is_path(name)]
        own = [path if path.is_dir() else path.parent for path in paths]
        return tuple(dict.fromkeys([*map(Path, self.include_path), *own]))

    def identity(self) -> dict[str, Any]:
        """What changes an answer, for a stage's fingerprint: tasks of one's own by the content of their folders."""
        asked = [Path(name).name if is_path(name) else name for name in self.asked]
        own = [folder_digest(folder) for folder in self.folders]
        return {
            **self.model_dump(exclude=EXECUTION),
            "tasks": asked,
            "own": own,
            "lm_eval": lm_eval_version(),
        }


def is_path(name: str) -> bool:
    """Whether a task is given as a YAML file or a folder."""
    return Path(name).suffix in (".yaml", ".yml") or ("/" in name and Path(name).is_dir())


def folder_digest(folder: Path) -> str:
    """12 hex digits of the tasks and data in a folder. Raises: ConfigError when there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}: `include_path` names folders with tasks in YAML files")
    digest = hashlib.sha256()
    for path in _own_files(folder):
        digest.update(f"{path.relative_to(folder)}\0{file_digest(path)}\0".encode())
    return digest.hexdigest()[:12]


def _own_files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.name.endswith(OWN_FILES) and path.is_file())


def lm_eval_version() -> str:
    """Raises: ConfigError where lm-eval is not installed."""
    from importlib import metadata

    if find_spec("lm_eval") is None:
        raise ConfigError("lm-eval is not installed: pip install 'tacos-select[lm-eval]'")
    return metadata.version("lm_eval")
