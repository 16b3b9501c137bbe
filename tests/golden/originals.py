"""The original code's `.pth` layouts of DINOv2 and Web-DINO, beside the Hugging Face ones.

Names as in facebookresearch/dinov2 and webssl: fused qkv, `blocks.{i}.` or, with block_chunks,
`blocks.{c}.{i}.` where i counts through the whole model; training files wrap backbone and heads
in {"teacher": …}. Original code interpolates positions by scale factor with an offset of 0.1,
so at other sizes its outputs differ from Hugging Face's; its own are written here.
"""
import argparse
import os
from collections import OrderedDict

import torch
import torch.nn.functional as F

from common import generator, save_json, save_pth, save_tensors
from encoders import OTHER_GRIDS


def fuse_qkv(stored, prefix, part):
    """Rows of query, key and value, in this order, as one tensor."""
    return torch.cat([stored[f"{prefix}.{n}.{part}"] for n in ("query", "key", "value")])


def to_original(stored):
    """Hugging Face Dinov2 names -> the original, unchunked ones."""
    e = "embeddings."
    s = OrderedDict(cls_token=stored[e + "cls_token"], pos_embed=stored[e + "position_embeddings"], mask_token=stored[e + "mask_token"])
    if e + "register_tokens" in stored:
        s["register_tokens"] = stored[e + "register_tokens"]
    for part in ("weight", "bias"):
        s[f"patch_embed.proj.{part}"] = stored[f"{e}patch_embeddings.projection.{part}"]
    depth = 1 + max(int(k.split(".")[2]) for k in stored if k.startswith("encoder.layer."))
    for i in range(depth):
        theirs, ours = f"encoder.layer.{i}", f"blocks.{i}"
        swiglu = f"{theirs}.mlp.weights_in.weight" in stored
        ffn = (("mlp.w12", "mlp.weights_in"), ("mlp.w3", "mlp.weights_out")) if swiglu else (("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"))
        for part in ("weight", "bias"):
            s[f"{ours}.attn.qkv.{part}"] = fuse_qkv(stored, f"{theirs}.attention.attention", part)
            for key, name in (("norm1", "norm1"), ("attn.proj", "attention.output.dense"), ("norm2", "norm2"), *ffn):
                s[f"{ours}.{key}.{part}"] = stored[f"{theirs}.{name}.{part}"]
        for n in (1, 2):
            s[f"{ours}.ls{n}.gamma"] = stored[f"{theirs}.layer_scale{n}.lambda1"]
    for part in ("weight", "bias"):
        s[f"norm.{part}"] = stored[f"layernorm.{part}"]
    return s


def chunked(s, chunk):
    """`blocks.{i}.` -> `blocks.{i // chunk}.{i}.`, as block_chunks > 0 saves it."""
    def rename(key):
        if not key.startswith("blocks."):
            return key
        i = int(key.split(".")[1])
        return f"blocks.{i // chunk}.{key.removeprefix('blocks.')}"
    return OrderedDict((rename(k), v) for k, v in s.items())


def block(x, s, p, heads):
    """One pre-norm block from original names: fused qkv, MLP or SwiGLU, LayerScale when there. [B, N, D]"""
    b, n, d = x.shape
    norm = lambda h, k: F.layer_norm(h, (d,), s[f"{p}.{k}.weight"], s[f"{p}.{k}.bias"], 1e-6)
    linear = lambda h, k: F.linear(h, s[f"{p}.{k}.weight"], s[f"{p}.{k}.bias"])
    scale = lambda h, k: h * s[f"{p}.{k}.gamma"] if f"{p}.{k}.gamma" in s else h
    q, k, v = linear(norm(x, "norm1"), "attn.qkv").reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    a = (q @ k.transpose(-2, -1) * (d // heads) ** -0.5).softmax(-1) @ v
    x = x + scale(linear(a.transpose(1, 2).reshape(b, n, d), "attn.proj"), "ls1")
    h = norm(x, "norm2")
    if f"{p}.mlp.w12.weight" in s:
        gate, value = linear(h, "mlp.w12").chunk(2, -1)
        h = linear(F.silu(gate) * value, "mlp.w3")
    else:
        h = linear(F.gelu(linear(h, "mlp.fc1")), "mlp.fc2")
    return x + scale(h, "ls2")


def interpolate(pos, rows, columns, mode):
    """Position embeddings [1, 1+M², D] -> [1, 1+rows·columns, D] in one of the three ways in use.

    hf_size       Hugging Face Dinov2, ViT, CLIP, SigLIP: bicubic to a size.
    antialias     DINOv2 with registers: bicubic to a size, antialiased.
    scale_offset  original DINOv2 and Web-DINO: bicubic by the factor (size + 0.1) / M, which shifts
                  the sampling coordinates; no antialiasing.
    Only a square grid of the native size is left as it is.
    """
    m = round((pos.shape[1] - 1) ** 0.5)
    if rows == columns == m:
        return pos
    grid = pos[:, 1:].reshape(1, m, m, -1).permute(0, 3, 1, 2)
    if mode == "scale_offset":
        grid = F.interpolate(grid, scale_factor=((rows + 0.1) / m, (columns + 0.1) / m), mode="bicubic", antialias=False)
    else:
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=mode == "antialias")
    assert grid.shape[-2:] == (rows, columns)
    return torch.cat([pos[:, :1], grid.flatten(2).transpose(1, 2)], 1)


def original_forward(s, x, heads, mode):
    """The original DINOv2 forward from unchunked names: all tokens after the last norm. [B, N, D]"""
    patch = s["patch_embed.proj.weight"].shape[-1]
    h = F.conv2d(x, s["patch_embed.proj.weight"], s["patch_embed.proj.bias"], stride=patch)
    rows, columns = h.shape[-2:]
    h = torch.cat([s["cls_token"].expand(len(x), -1, -1), h.flatten(2).transpose(1, 2)], 1)
    h = h + interpolate(s["pos_embed"], rows, columns, mode)
    if "register_tokens" in s:
        h = torch.cat([h[:, :1], s["register_tokens"].expand(len(x), -1, -1), h[:, 1:]], 1)
    for i in range(1 + max(int(k.split(".")[1]) for k in s if k.startswith("blocks."))):
        h = block(h, s, f"blocks.{i}", heads)
    return F.layer_norm(h, h.shape[-1:], s["norm.weight"], s["norm.bias"], 1e-6)


def original_io(s, t, heads, mode, hf_mode):
    """The original code's outputs for the inputs of `t`; first checked against Hugging Face's in its own mode."""
    result = {}
    with torch.no_grad():
        for prefix in ("", *(g + "." for g in OTHER_GRIDS)):
            x = t[prefix + "pixel_values"]
            gap = (original_forward(s, x, heads, hf_mode) - t[prefix + "last_hidden_state"]).abs().max()
            assert gap < 2e-5, (prefix, gap)
            result[prefix + "pixel_values"] = x
            result[prefix + "last_hidden_state"] = original_forward(s, x, heads, mode)
    return result


def head(gen, dim, hidden=32, bottleneck=16, prototypes=24):
    """A DINO head as stored: three linears, then a weight-normalised one."""
    normal = lambda *shape: torch.randn(*shape, generator=gen) * 0.1
    s = OrderedDict()
    for n, (i, o) in zip((0, 2, 4), ((dim, hidden), (hidden, hidden), (hidden, bottleneck))):
        s |= {f"mlp.{n}.weight": normal(o, i), f"mlp.{n}.bias": normal(o)}
    return s | {"last_layer.weight_g": normal(prototypes, 1), "last_layer.weight_v": normal(prototypes, bottleneck)}


def teacher(s, gen, prefix, dtype):
    """{"teacher": {backbone.…, dino_head.…, ibot_head.…}}, as a training run leaves it."""
    dim = s["cls_token"].shape[-1]
    parts = {"backbone": s, "dino_head": head(gen, dim), "ibot_head": head(gen, dim)}
    return {"teacher": OrderedDict((f"{prefix}{part}.{k}", v.to(dtype)) for part, d in parts.items() for k, v in d.items())}


def cast(s, dtype):
    """The state dict in another dtype; exact, since these cases' weights fit both halves."""
    return OrderedDict((k, v.to(dtype)) for k, v in s.items())


def dino_originals(out, made):
    """Original layouts of the three DINO cases; half-precision files save room and test the reader's dtypes."""
    for name, mode, hf_mode in (("dinov2-mlp", "scale_offset", "hf_size"), ("webdino-swiglu", "scale_offset", "hf_size"), ("dinov2-registers", "antialias", "antialias")):
        model, stored, t = made[name]
        s = to_original(stored)
        assert sum(v.numel() for v in s.values()) == sum(p.numel() for p in model.parameters())
        folder = os.path.join(out, name + "-original")
        gen = generator(name + "-original")
        theirs = original_io(s, t, model.config.num_attention_heads, mode, hf_mode)
        if mode != hf_mode:  # else the Hugging Face case's io.safetensors holds as it is
            save_tensors(os.path.join(folder, "io.safetensors"), theirs)
        save_json(os.path.join(folder, "config.json"), model.config.to_diff_dict() | {"architectures": [type(model).__name__]})
        if name == "dinov2-mlp":
            save_pth(os.path.join(folder, "flat.pth"), s)
            save_pth(os.path.join(folder, "chunked.pth"), cast(chunked(s, 2), torch.float16))  # last chunk shorter, as in Web-DINO 3B
            save_pth(os.path.join(folder, "teacher.pth"), teacher(chunked(s, 2), gen, "", torch.bfloat16))
            save_pth(os.path.join(folder, "teacher-module.pth"), teacher(s, gen, "module.", torch.float16))
        elif name == "webdino-swiglu":
            save_pth(os.path.join(folder, "chunked.pth"), cast(chunked(s, 1), torch.float16))
        else:
            save_pth(os.path.join(folder, "flat.pth"), cast(s, torch.bfloat16))


class Call:
    """Pickles as a call of os.getcwd: harmless, yet what no reader may do."""
    def __reduce__(self):
        return os.getcwd, ()


def pth_forms(out):
    """Small files for the `.pth` reader: what torch.save may legally hold, and what must be refused.

    legacy.pth holds no tensor, since that format writes memory addresses, which differ from run to run.
    """
    gen = generator("pth")
    base = torch.randn(4, 6, generator=gen)
    plain = {
        "f32": base, "f64": base.double(), "f16": base.half(), "bf16": base.bfloat16(),
        "i64": torch.arange(-3, 5), "i32": torch.arange(-3, 5, dtype=torch.int32), "i16": torch.arange(-3, 5, dtype=torch.int16),
        "i8": torch.arange(-3, 5, dtype=torch.int8), "u8": torch.arange(250, 256, dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3),
        "transposed": base.t(), "row_of_shared": base[2], "column_of_shared": base[:, 3], "broadcast": base[:1].expand(3, 6), "channels_last": torch.randn(1, 3, 2, 2, generator=gen).contiguous(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(3, generator=gen)), "frozen": torch.nn.Parameter(torch.randn(3, generator=gen), requires_grad=False),
    }
    folder = os.path.join(out, "pth")
    state = OrderedDict(plain)
    state._metadata = OrderedDict([("", {"version": 1}), ("norm", {"version": 2})])
    save_pth(os.path.join(folder, "values.pth"), state)
    save_tensors(os.path.join(folder, "values.safetensors"), plain)
    args = argparse.Namespace(model="mae_vit_tiny", mask_ratio=0.75, resume=None, distributed=False)
    save_pth(os.path.join(folder, "training.pth"), {"model": OrderedDict(weight=base), "epoch": 3, "args": args, "scaler": {"scale": 65536.0, "growth_interval": 2000}})
    save_pth(os.path.join(folder, "call.pth"), {"model": OrderedDict(weight=base), "surprise": Call()})
    torch.save({"epoch": 3}, os.path.join(folder, "legacy.pth"), _use_new_zipfile_serialization=False)
