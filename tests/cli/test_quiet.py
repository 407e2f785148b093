"""Libraries stay off stdout, and lines that say nothing stay out of the log."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from tacos.cli.quiet import quiet


@pytest.mark.slow
def test_an_import_prints_nothing_before_the_json() -> None:
    code = "from tacos.cli.quiet import quiet; quiet(); import transformers.integrations.integration_utils; print('{}')"
    environment = os.environ | {"WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "{}\n"


def test_deepspeed_does_not_tell_of_a_machine_without_accelerator(caplog: pytest.LogCaptureFixture) -> None:
    quiet()
    logger = logging.getLogger("DeepSpeed")
    with caplog.at_level(logging.INFO, logger="DeepSpeed"):
        logger.warning("Setting accelerator to CPU. If you have GPU, we were unable to detect it.")
        logger.info("Setting ds_accelerator to cpu (auto detect)")
        logger.warning("a checkpoint is missing")
    assert [record.message for record in caplog.records] == ["a checkpoint is missing"]


def test_deprecations_of_libraries_among_themselves_are_no_warnings() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet()
        warnings.warn(
            "`torch.jit.script_method` is deprecated. Please switch.", DeprecationWarning, stacklevel=1
        )
        warnings.warn("something else is deprecated", DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["something else is deprecated"]


def test_what_an_import_turns_on_again_stays_quiet() -> None:
    code = (
        "import warnings; from tacos.cli.quiet import quiet; from tacos.grouping.normalize import association_rules;"
        "from tacos.selection import Tags; quiet(); association_rules(Tags((('a', 'b'),) * 5), 3, 0.9);"
        "warnings.warn('`torch.jit.script_method` is deprecated.', DeprecationWarning)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_called_twice_it_does_no_more() -> None:
    quiet()
    before = len(sys.meta_path), len(logging.getLogger("DeepSpeed").filters)
    quiet()
    assert (len(sys.meta_path), len(logging.getLogger("DeepSpeed").filters)) == before
