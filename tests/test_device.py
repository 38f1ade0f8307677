import platform
import re
from pathlib import Path

import pytest
import torch

from firstsight.device import batch_size, has_fast_bfloat16


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86")
def test_bfloat16_is_fast_where_the_processor_multiplies_it_itself() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("only Linux lists the flags")
    flags = set(re.findall(r"avx512_bf16|amx_bf16", cpuinfo.read_text()))
    assert has_fast_bfloat16() == bool(flags)
    assert has_fast_bfloat16(torch.device("cpu")) == bool(flags)


def test_a_device_without_known_bfloat16_is_computed_in_float32() -> None:
    assert not has_fast_bfloat16(torch.device("meta"))


def test_a_gpu_gets_larger_batches() -> None:
    assert batch_size(torch.device("cuda")) > batch_size(torch.device("cpu"))
