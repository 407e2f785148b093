"""Readers on the machines of a Ray cluster: the process of `tacos.models.parallel`, as an actor.

Rows travel to the actors and what was found comes back; the machines need this package, and the weights at the same
path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tacos.errors import TacosError, first_line
from tacos.models.parallel import Readers
from tacos.models.reading import Piece, PieceAnswer, PieceReader, RowReading
from tacos.ray_cluster import RayActors, connect, release
from tacos.usage import Ledger


class ReaderActor:
    """One actor, as it is seen from here; it comes when the cluster has room."""

    def __init__(self, ray: Any, reading: RowReading, chosen: RayActors, number: int):
        self.ray, self.number = ray, number
        self.call: Any = None
        self.started = False
        options = {
            "num_cpus": chosen.num_cpus,
            "num_gpus": gpus(ray, chosen),
            "scheduling_strategy": "SPREAD",
        }
        threads = max(1, round(chosen.num_cpus))
        self.handle = ray.remote(PieceReader).options(**options).remote(reading, "auto", threads)

    def begin(self) -> None:
        self.call = self.handle.start.remote()

    def give(self, piece: Piece) -> None:
        self.call = self.handle.read.remote(piece)

    def answer(self) -> PieceAnswer | str:
        """Raises: RayTaskError for a bug there."""
        kinds = self.ray.exceptions
        try:
            said: PieceAnswer = self.ray.get(self.call)
        except kinds.RayTaskError:
            raise
        except kinds.RayError as error:
            return first_line(error)[:300]
        self.started = True
        return said

    def stop(self) -> None:
        self.ray.kill(self.handle)


def gpus(ray: Any, chosen: RayActors) -> float:
    """Of one actor: as configured, else one where the cluster has any."""
    if chosen.num_gpus is not None:
        return chosen.num_gpus
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def ray_readers(reading: RowReading, chosen: RayActors, batch_tokens: int, ledger: Ledger) -> Readers:
    """Actors that read; the cluster is connected to when the first row is read.

    Raises: as `connect`, then.
    """

    def start() -> list[ReaderActor]:
        ray = connect(chosen)
        release()  # actors that answered and are idle may hold the GPUs
        return [ReaderActor(ray, reading, chosen, number) for number in range(chosen.actors)]

    def wait(readers: Sequence[ReaderActor]) -> list[ReaderActor]:
        ray = readers[0].ray
        calls = {reader.call: reader for reader in readers}
        working = any(reader.started for reader in readers)
        ready, _ = ray.wait(list(calls), num_returns=1, timeout=None if working else chosen.start_s)
        if not ready:
            raise TacosError(
                f"{reading.name}: no actor has started within {chosen.start_s:g} s. One takes {chosen.num_cpus:g} CPUs "
                f"and {gpus(ray, chosen):g} GPUs; add machines, or lower ray.num_cpus or ray.num_gpus"
            )
        return [calls[call] for call in ready]

    return Readers(reading, start, wait, batch_tokens, ledger)
