"""References of single operations, with gradients: layers.safetensors.

Names are `op[.variant].tensor`; for an output y and a given grad_out, `grad_x` is d(sum(y · grad_out))/dx.
All float32, computed in float32.
"""
import math
import os

import torch
import torch.nn.functional as F

from common import generator, save_tensors
from mae import sincos
from originals import interpolate


def record(t, name, f, gen, **inputs):
    """Store inputs, output, a random grad_out and the gradient of each input under `name.`."""
    leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    y = f(**leaves)
    grad_out = torch.randn(y.shape, generator=gen)
    grads = torch.autograd.grad(y, list(leaves.values()), grad_out)
    t |= {f"{name}.{k}": v for k, v in inputs.items()} | {f"{name}.y": y, f"{name}.grad_out": grad_out}
    t |= {f"{name}.grad_{k}": g for k, g in zip(leaves, grads)}


def activations(t, gen):
    """Exact-erf GELU, its tanh form (SigLIP), quick GELU (CLIP), and the SwiGLU gate silu(a)·b over [a|b]."""
    spread = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([0.0, -0.0, 1e-6, -1e-6, 40.0, -40.0]), torch.randn(25, generator=gen)])
    record(t, "gelu", lambda x: F.gelu(x), gen, x=spread)
    record(t, "gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), gen, x=spread)
    record(t, "quick_gelu", lambda x: x * torch.sigmoid(1.702 * x), gen, x=spread)

    def silu_gate(x):
        gate, value = x.chunk(2, -1)
        return F.silu(gate) * value
    record(t, "silu_gate", silu_gate, gen, x=3 * torch.randn(5, 2 * 13, generator=gen))


def norms(t, gen):
    """LayerNorm over the last axis; one row is so small that eps shows, one so far from zero that a one-pass variance fails."""
    for dim in (5, 80, 300):
        x = 2 * torch.randn(7, dim, generator=gen)
        x[2] *= 1e-3  # where eps shows
        x[3] += 300.0
        for eps, tag in ((1e-6, ""), (1e-5, ".eps1e-5")) if dim == 5 else ((1e-6, ""),):
            record(t, f"layer_norm.{dim}{tag}", lambda x, gamma, beta: F.layer_norm(x, x.shape[-1:], gamma, beta, eps), gen,
                   x=x, gamma=1 + 0.1 * torch.randn(dim, generator=gen), beta=0.1 * torch.randn(dim, generator=gen))


def attention(t, gen):
    """softmax(q·kᵀ/√d)·v over [B, H, N, d]."""
    def attend(q, k, v):
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v
    shapes = [(2, 3, 5, 16), (2, 3, 5, 32), (2, 2, 5, 64), (2, 2, 5, 80), (1, 2, 5, 96), (1, 2, 5, 128),
              (1, 2, 70, 32), (1, 1, 70, 64), (1, 1, 70, 80)]
    for b, h, n, d in shapes:
        q, k, v = (torch.randn(b, h, n, d, generator=gen) for _ in range(3))
        record(t, f"attention.d{d}.n{n}", attend, gen, q=2 * q, k=k, v=v)  # 2·q: softmaxes that are not flat


def patch_embedding(t, gen):
    """Convolution with stride = kernel, then tokens row by row: [B, 3, H, W] -> [B, h·w, D]; not square."""
    record(t, "patch_embed", lambda x, weight, bias: F.conv2d(x, weight, bias, stride=14).flatten(2).transpose(1, 2), gen,
           x=torch.randn(1, 3, 28, 42, generator=gen), weight=torch.randn(12, 3, 14, 14, generator=gen) / 24, bias=torch.randn(12, generator=gen))


def positions(t, gen):
    """Bicubic position embeddings [1, 1+M², D] at other grids, in each source's own way, with gradients.

    `interpolate.{mode}.{M}to{rows}x{columns}`: 16 -> 7 is a local crop of 98 pixels, 37 -> 16 is DINOv2's
    518-pixel table at 224, 16 -> 27 is 224 at 378; `4to2x8` has as many patches as before.
    """
    for m, dim, targets in ((4, 6, [(3, 7), (7, 7), (2, 8), (1, 1), (3, 3)]), (16, 2, [(7, 7), (27, 27), (15, 17)]), (37, 2, [(16, 16)])):
        pos = torch.randn(1, 1 + m * m, dim, generator=gen)
        for rows, columns in targets:
            for mode in ("hf_size", "antialias", "scale_offset"):
                name = f"interpolate.{mode}.{m}to{rows}x{columns}"
                record(t, name, lambda pos: interpolate(pos, rows, columns, mode), gen, pos=pos)
                del t[f"{name}.pos"]
        t[f"interpolate.{m}.pos"] = pos


def layer_references(out):
    """Write layers.safetensors."""
    t = {}
    for part in (activations, norms, attention, patch_embedding, positions):
        part(t, generator("layers." + part.__name__))
    for dim in (16, 32):
        t[f"sincos.4x4.d{dim}"] = sincos(4, dim)
    save_tensors(os.path.join(out, "layers.safetensors"), t)
