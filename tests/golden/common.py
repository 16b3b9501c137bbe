"""What every golden shares: seeds by name, weights at which each parameter matters, and file writing."""
import json
import math
import os
import zlib

import torch
from safetensors.torch import load_file, save_file


def generator(name):
    """A random stream of its own for each case, so that changing one case leaves the others as they are."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def randomise(model, gen, half_exact=False):
    """Draw every trainable parameter at a visible size; a usual initialisation hides mistakes.

    Zero biases, unit scales and flat softmaxes would let a dropped bias or a swapped norm pass.
    Frozen parameters (MAE's sin-cos positions) stay.
    With `half_exact` each value is one that bfloat16 and float16 can both hold, so that the same
    model stored in f32, f16 and bf16 is the same model and one set of outputs serves all three.
    """
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.requires_grad:
                continue
            noise = torch.randn(p.shape, generator=gen)
            if "lambda1" in name:
                p.copy_(0.5 + 0.2 * noise)
            elif name.endswith(("position_embeddings", "position_embedding.weight", "token", "tokens", "class_embedding", "probe")):
                p.copy_(0.3 * noise)
            elif p.ndim == 1 and name.endswith("weight"):
                p.copy_(1.0 + 0.1 * noise)
            elif p.ndim == 1:
                p.copy_(0.1 * noise)
            elif p.ndim >= 2:
                p.copy_(noise * (1.5 / math.sqrt(math.prod(p.shape[1:]))))
            if half_exact:
                p.copy_(p.to(torch.bfloat16).to(torch.float16).float())
                assert torch.equal(p, p.to(torch.bfloat16).float()) and torch.equal(p, p.half().float()), name


def save_model(model, folder):
    """`save_pretrained`; returns the tensors under the names in the file, which are the published ones
    (in memory transformers 5 uses others)."""
    model.save_pretrained(folder)
    return load_file(os.path.join(folder, "model.safetensors"))


def save_tensors(path, tensors, metadata=None):
    """Write a safetensors file: detached, contiguous, on the CPU, in the order of the names."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    plain = {k: tensors[k].detach().contiguous().clone() for k in sorted(tensors)}
    save_file(plain, path, metadata=metadata)


def save_json(path, value):
    """Write JSON as Hugging Face does: two spaces, sorted keys."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def save_pth(path, value):
    """`torch.save` in the zip form in use since PyTorch 1.6."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(value, path)
