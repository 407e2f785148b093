"""Batch files: calls written out as JSONL for a server that answers within a day at half the price, and its replies.

OpenAI's form (https://platform.openai.com/docs/guides/batch), which `vllm run-batch` takes too; `custom_id` is the
name of the reply in our cache, so whatever comes back finds its place, in any order:

    out    {"custom_id": "9f86...", "method": "POST", "url": "/v1/chat/completions", "body": {"model": ...}}
    back   {"custom_id": "9f86...", "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}

120,000 requests are three files: 50,000, 50,000 and 20,000, or more where 200 MB are reached before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import orjson

from tacos.errors import ConfigError, TacosError
from tacos.llm.backends.call_errors import CallError, Sender, excerpt_of
from tacos.llm.backends.decode import loads
from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.backends.wire import read_reply
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.cache import ReplyCache
from tacos.llm.failures import count_reason
from tacos.llm.request_key import request_key
from tacos.store.files import cannot_write
from tacos.types import Message

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
"""What OpenAI takes in one file, as of 2026 (200 MB, read as the smaller of its two meanings)."""
BLOCK = 500
"""Replies kept in one commit."""
URL = "/v1/chat/completions"
_BATCH = Sender(blot=str, key_source="the key of the batch", url="the server of the batch", outage_s=0.0)


class Exported(Exception):  # noqa: N818, it is no error
    """The end of a stage whose calls were written out instead of being asked."""


class BatchWriter:
    """`<folder>/<name>-00001.jsonl`, -00002, ...; a context manager. A file has its name when it is whole.

    seen: keys that are written already, by any writer of this export; they are left out.

    Raises: TacosError when the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seen: set[bytes],
        max_requests: int = MAX_REQUESTS,
        max_bytes: int = MAX_BYTES,
    ):
        self.folder = folder
        self.name = name
        self.files: list[Path] = []
        self.requests = 0
        self._seen = seen
        self._limits = max_requests, max_bytes
        self._out: BinaryIO | None = None
        self._rows = self._bytes = 0

    def add(self, key: bytes, body: bytes) -> None:
        """body: the JSON that would be posted."""
        if key in self._seen:
            return
        row = b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}\n' % (
            key.hex().encode(),
            URL.encode(),
            body,
        )
        if self._rows >= self._limits[0] or self._bytes + len(row) > self._limits[1]:
            self.close()
        try:
            self._file().write(row)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        self._seen.add(key)
        self.requests += 1
        self._rows += 1
        self._bytes += len(row)

    def _file(self) -> BinaryIO:
        if self._out is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.files.append(self.folder / f"{self.name}-{len(self.files) + 1:05d}.jsonl")
            self._out = self.files[-1].with_suffix(".partial").open("wb")
        return self._out

    def close(self) -> None:
        """End the file that is open; the next row begins another."""
        if self._out is None:
            return
        try:
            self._out.close()
            self.files[-1].with_suffix(".partial").replace(self.files[-1])
        except OSError as error:
            raise cannot_write(self.files[-1], error) from error
        self._out, self._rows, self._bytes = None, 0, 0

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordBackend:
    """A backend that writes its requests out; behind `CachedLLM`, those that the cache does not answer."""

    def __init__(self, backend: OpenAIBackend, writer: BatchWriter):
        self.model = backend.model
        self._backend = backend
        self._writer = writer

    async def stream(self, requests: Iterable[Request]) -> AsyncGenerator[Reply, None]:
        """Raises: Exported, after the last request, where there was one."""
        settings, count = self._backend.settings, 0
        for request in requests:
            key = request_key(self.model, request, settings.structured, settings.altered)
            self._writer.add(key, self._backend.body(request))
            yield Reply(count, Completion(error="written to a batch file"))
            count += 1
        if count:
            raise Exported


class Sent:
    """The requests of an export, found by key. A million of them take some 200 MB: their places, not their texts."""

    def __init__(self, files: Sequence[Path]):
        """Raises: TacosError for a file that cannot be read, or is no batch file."""
        self.files = list(files)
        self._places: dict[bytes, int] = {}
        for number, path in enumerate(self.files):
            for start, line in _lines(path):
                self._places[_key_of(line, path)] = number << 40 | start

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def file(self, key: bytes) -> Path:
        return self.files[self._places[key] >> 40]

    def request(self, key: bytes) -> Request:
        """What was asked, as far as reading the reply needs it."""
        with self.file(key).open("rb") as handle:
            handle.seek(self._places[key] & (1 << 40) - 1)
            body = orjson.loads(handle.readline())["body"]
        messages = tuple(Message.model_validate(message) for message in body["messages"])
        return Request(messages=messages, top_logprobs=body.get("top_logprobs"))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of every line that is not blank. Raises: TacosError."""
    try:
        with path.open("rb") as handle:
            start = 0
            for line in handle:
                if line.strip():
                    yield start, line
                start += len(line)
    except OSError as error:
        raise TacosError(f"cannot read {path}: {error.strerror or error}; check its path") from error


def _key_of(line: bytes, path: Path) -> bytes:
    try:
        return bytes.fromhex(orjson.loads(line)["custom_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise TacosError(f"{path} is damaged, or no file of `tacos llm export`: export again") from error


class Result(NamedTuple):
    """One row of a result file: its key and completion, or only a `problem`."""

    key: bytes | None = None
    completion: Completion | None = None
    problem: str = ""
    """ "unreadable" (no JSON: a file cut off), "unknown" (not of this export)."""


def read_results(path: Path, sent: Sent) -> Iterator[Result]:
    """Rows of a result or error file; a call that failed is a completion with its error. Raises: TacosError."""
    for _, line in _lines(path):
        try:
            row = loads(line)
        except ValueError:
            yield Result(problem="unreadable")
            continue
        try:
            key = bytes.fromhex(row["custom_id"])
        except (ValueError, KeyError, TypeError):
            yield Result(problem="unknown")
            continue
        yield Result(key, _completion(row, sent.request(key))) if key in sent else Result(problem="unknown")


def _completion(row: Mapping[str, object], request: Request) -> Completion:
    response, error = row.get("response"), row.get("error")
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else None
    if status == 200 and body is not None:
        try:
            completion = read_reply(orjson.dumps(body), request, _BATCH)
        except CallError as failure:
            return Completion(error=str(failure))
        if completion.is_answer_to(request):
            return completion
        return Completion(error="cut off at the token limit" if completion.cut else "an empty reply")
    if isinstance(error, dict):
        return Completion(error=excerpt_of({"error": error}))
    return Completion(error=f"HTTP {status}: {excerpt_of(body)}")


class Import:
    """Puts results into the cache. Counts rows by what became of them; running it again changes nothing.

    tokens: per export file, (prompt, completion) of the replies that are new.
    """

    def __init__(self, sent: Sent, cache: ReplyCache):
        self.sent = sent
        self.cache = cache
        self.rows: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.tokens: dict[Path, tuple[int, int]] = {}
        self._answered: set[bytes] = set()

    def read(self, path: Path) -> None:
        """Raises: TacosError for a file that cannot be read."""
        block: dict[bytes, Completion] = {}
        for key, completion, problem in read_results(path, self.sent):
            if key is None or completion is None:
                self.rows[problem] += 1
            elif completion.text is None:
                self.rows["failed"] += 1
                count_reason(self.failed, completion.error)
            elif key in self._answered:
                self.rows["duplicate"] += 1
            else:
                self._answered.add(key)
                block[key] = completion
            if len(block) >= BLOCK:
                self._keep(block)
                block = {}
        self._keep(block)

    def missing(self) -> int:
        """Requests of the export that have no reply yet, here or in the cache."""
        owed = [key for key in self.sent if key not in self._answered]
        return len(owed) - sum(
            len(self.cache.get(owed[start : start + BLOCK])) for start in range(0, len(owed), BLOCK)
        )

    def _keep(self, block: Mapping[bytes, Completion]) -> None:
        """A reply that was there already stays: results may rest on it."""
        known = self.cache.get(block)
        new = {key: completion for key, completion in block.items() if key not in known}
        self.cache.put_many(new.items())
        self.rows["known"] += len(known)
        self.rows["imported"] += len(new)
        for key, completion in new.items():
            prompt, reply = self.tokens.get(self.sent.file(key), (0, 0))
            tokens = prompt + completion.prompt_tokens, reply + completion.completion_tokens
            self.tokens[self.sent.file(key)] = tokens


def result_files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders by the JSONL files in them. Raises: ConfigError when there is none."""
    found = [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    if not found:
        raise ConfigError(
            f"no result file in {', '.join(map(str, paths))}: give the JSONL files of the batch"
        )
    return found
