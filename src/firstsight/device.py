"""Device, precision and randomness of arithmetic. The only file that names a device."""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import get_args

import torch

from firstsight.errors import SettingsError, brief, check_choice, check_count
from firstsight.process import Precision, describe_waiting


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is a CUDA GPU if there is one, else the CPU.

    Raises:
        SettingsError: PyTorch does not know the name, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(name, str):
        raise SettingsError(f"device {brief(name)}; valid here: auto, cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"device {name!r} cannot be used: {reason}; valid here: auto, cpu") from error
    return device


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """The context in which a network computes: plain float32, or bfloat16 for convolutions and matrix products.

    float32 is float32 on a GPU too: TF32, which PyTorch uses there for convolutions by default, keeps 10 bits of 23.

    Raises:
        SettingsError: another precision.
    """
    check_choice("precision", precision, get_args(Precision))
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"))
        yield


def has_fast_bfloat16(device: torch.device | None = None) -> bool:
    """Whether that device, by default the CPU, multiplies bfloat16 natively: the lower precision is the faster one."""
    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # emulated before Ampere
    if device is not None and device.type != "cpu":
        return False
    # Not oneDNN's own answer, which is yes also where AVX512 must emulate it, at four times the time of float32.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def batch_size(device: torch.device) -> int:
    """Pictures to compute at once.

    16 fill a processor; larger batches only take memory. A GPU waits for its next kernel below some 256.
    """
    return 256 if device.type == "cuda" else 16


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor there; to a GPU from locked memory, so that the copy overlaps with what is computed there."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def generator(seed: int) -> torch.Generator:
    """A source of random numbers on the CPU, so that a seed means the same on every device.

    Takes all that PyTorch takes, as runs made before `check_seed` may have such seeds.

    Raises:
        SettingsError: the seed is no integer of 64 bits.
    """
    return torch.Generator().manual_seed(check_count("seed {}", seed, at_least=-(2**63), at_most=2**64 - 1))


def describe_machine() -> dict[str, str | int]:
    """What a result or its time may depend on: cores, threads and how they wait, versions. For the record of a run."""
    return {
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "num_cores": os.cpu_count() or 1,
        "num_threads": torch.get_num_threads(),
        "waiting": describe_waiting(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
