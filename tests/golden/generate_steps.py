"""Three whole training steps of MAE and of DINOv2 in PyTorch, for tests/suite/train.rs.

    python tests/golden/generate_steps.py --out tests/golden

Writes train/{mae,dinov2,dino}/steps.safetensors and settings.toml. The models are written here in plain PyTorch from the
papers (webssl specification, 3 and 4); names are those of this project. Every step's images and masks are stored, so
that nothing depends on anybody's random numbers. Float64 throughout, stored as float32.
"""
import argparse
import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
P, D, DEPTH, HEADS, MLP = 4, 32, 2, 2, 64
SIZE, LOCAL, B, LOCALS = 16, 8, 4, 3
N = (SIZE // P) ** 2
K, HIDDEN, BOTTLENECK, K_IBOT = 24, 40, 16, 20
DEC_D, DEC_DEPTH, DEC_HEADS = 16, 1, 2
STEPS = 3


def draw(gen, shape, scale):
    return scale * torch.randn(shape, generator=gen)


def linear(p, name, gen, out, inn):
    p[f"{name}.weight"] = draw(gen, (out, inn), 1.0 / math.sqrt(inn))
    p[f"{name}.bias"] = draw(gen, (out,), 0.1)


def norm(p, name, gen, dim):
    p[f"{name}.weight"] = 1 + draw(gen, (dim,), 0.1)
    p[f"{name}.bias"] = draw(gen, (dim,), 0.1)


def block(p, name, gen, dim, hidden, scale):
    norm(p, f"{name}.norm1", gen, dim)
    linear(p, f"{name}.attn.qkv", gen, 3 * dim, dim)
    linear(p, f"{name}.attn.proj", gen, dim, dim)
    if scale:
        p[f"{name}.ls1"] = 0.5 + draw(gen, (dim,), 0.1)
    norm(p, f"{name}.norm2", gen, dim)
    linear(p, f"{name}.mlp.fc1", gen, hidden, dim)
    linear(p, f"{name}.mlp.fc2", gen, dim, hidden)
    if scale:
        p[f"{name}.ls2"] = 0.5 + draw(gen, (dim,), 0.1)


def backbone(p, gen, dino):
    p["backbone.patch_embed.weight"] = draw(gen, (D, 3, P, P), 0.15)
    p["backbone.patch_embed.bias"] = draw(gen, (D,), 0.1)
    p["backbone.cls_token"] = draw(gen, (1, 1, D), 0.3)
    if dino:
        p["backbone.mask_token"] = draw(gen, (1, 1, D), 0.3)
    p["backbone.pos_embed"] = draw(gen, (1, N + 1, D), 0.3) if dino else sin_cos(SIZE // P, D)
    for i in range(DEPTH):
        block(p, f"backbone.blocks.{i}", gen, D, MLP, dino)
    norm(p, "backbone.norm", gen, D)


def head(p, name, gen, k):
    linear(p, f"{name}.mlp.0", gen, HIDDEN, D)
    linear(p, f"{name}.mlp.1", gen, HIDDEN, HIDDEN)
    linear(p, f"{name}.mlp.2", gen, BOTTLENECK, HIDDEN)
    p[f"{name}.last_layer.weight_v"] = draw(gen, (k, BOTTLENECK), 1.0 / math.sqrt(BOTTLENECK))
    p[f"{name}.last_layer.weight_g"] = 1 + draw(gen, (k, 1), 0.05)


def sin_cos(side, dim):
    """MAE's table: first half of the columns encodes x, second half y, each [sin | cos]; class row zero."""
    omega = 1.0 / 10000 ** (torch.arange(dim // 4) / (dim / 4.0))
    rows = [torch.zeros(dim)]
    for y in range(side):
        for x in range(side):
            rows.append(torch.cat([f(v * omega) for v in (x, y) for f in (torch.sin, torch.cos)]))
    return torch.stack(rows)[None]


def lin(p, name, x):
    return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def ln(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)


def subset_add(x, samples, branch, gamma):
    """DINOv2's drop_add_residual_stochastic_depth, with its random subset given."""
    scale = x.shape[0] / len(samples)
    residual = branch(x[samples])
    if gamma is not None:
        residual = residual * gamma
    flat = torch.index_add(x.flatten(1), 0, samples, residual.flatten(1), alpha=scale)
    return flat.view_as(x)


def run_block(p, name, x, heads, drop=None):
    def attn(x):
        b, n, d = x.shape
        q, k, v = lin(p, f"{name}.attn.qkv", ln(p, f"{name}.norm1", x)).view(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        a = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d // heads), -1)
        return lin(p, f"{name}.attn.proj", (a @ v).transpose(1, 2).reshape(b, n, d))

    def mlp(x):
        return lin(p, f"{name}.mlp.fc2", F.gelu(lin(p, f"{name}.mlp.fc1", ln(p, f"{name}.norm2", x))))

    g1, g2 = p.get(f"{name}.ls1"), p.get(f"{name}.ls2")
    everyone = torch.arange(x.shape[0])
    attn_samples, mlp_samples = drop if drop else (everyone, everyone)
    x = subset_add(x, attn_samples, attn, g1)
    return subset_add(x, mlp_samples, mlp, g2)


def positions(p, side):
    pos = p["backbone.pos_embed"]
    native = SIZE // P
    if side == native:
        return pos[:, 1:]
    grid = pos[:, 1:].reshape(1, native, native, D).permute(0, 3, 1, 2)
    factor = (side + 0.1) / native
    out = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic", antialias=False)
    assert out.shape[-2:] == (side, side)
    return out.permute(0, 2, 3, 1).reshape(1, side * side, D)


def embed(p, x):
    return F.conv2d(x, p["backbone.patch_embed.weight"], p["backbone.patch_embed.bias"], stride=P).flatten(2).transpose(1, 2)


def encode(p, images, mask=None, drops=None):
    x = embed(p, images)
    if mask is not None:
        x = torch.where(mask[..., None], p["backbone.mask_token"], x)
    x = x + positions(p, images.shape[-1] // P)
    cls = p["backbone.cls_token"] + p["backbone.pos_embed"][:, :1]
    x = torch.cat([cls.expand(len(x), -1, -1), x], 1)
    for i in range(DEPTH):
        x = run_block(p, f"backbone.blocks.{i}", x, HEADS, drops[i] if drops else None)
    x = ln(p, "backbone.norm", x)
    return x[:, 0], x[:, 1:]


def project(p, name, x):
    x = F.gelu(lin(p, f"{name}.mlp.0", x))
    x = F.gelu(lin(p, f"{name}.mlp.1", x))
    x = F.normalize(lin(p, f"{name}.mlp.2", x), dim=-1, eps=1e-12)
    v, g = p[f"{name}.last_layer.weight_v"], p[f"{name}.last_layer.weight_g"]
    return x @ (g * v / v.norm(dim=1, keepdim=True)).t()


def sinkhorn(logits, temp):
    q = torch.exp(logits / temp).t()
    q = q / q.sum()
    k, n = q.shape
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / n
    return (q * n).t()


def ce(student, teacher):
    return -(teacher * F.log_softmax(student / 0.1, -1)).sum(-1).mean()


def koleo(x):
    z = F.normalize(x, dim=-1, eps=1e-8)
    dots = (z @ z.t()).detach()
    dots.fill_diagonal_(-1)
    return -torch.log(F.pairwise_distance(z, z[dots.argmax(1)], 2, 1e-8) + 1e-8).mean()


def groups_dino(name):
    """lr multiplier, wd multiplier, part: layer decay 0.9, patch embedding 0.2."""
    part, rest = name.split(".", 1)
    decay = 0.0 if name.endswith("bias") or "norm" in name or name.endswith(("ls1", "ls2")) else 1.0
    lr = 1.0
    if part == "backbone":
        layer = int(rest.split(".")[1]) + 1 if rest.startswith("blocks") else DEPTH + 1 if rest.startswith("norm") else 0
        lr = 0.9 ** (DEPTH + 1 - layer) * (0.2 if rest.startswith("patch_embed") else 1.0)
    return lr, decay, part


def groups_mae(name, tensor):
    return 1.0, 0.0 if tensor.ndim <= 1 or name.endswith("bias") else 1.0, name.split(".", 1)[0]


class AdamW:
    """torch.optim.AdamW with a group a parameter, so that every multiplier is its own."""

    def __init__(self, p, betas, fixed=()):
        self.params = {n: t.requires_grad_(n not in fixed) for n, t in p.items()}
        self.opt = torch.optim.AdamW([{"params": [t], "name": n} for n, t in self.params.items() if n not in fixed], lr=0.0, betas=betas, eps=1e-8)

    def step(self, lr, wd, last_lr, groups, clip):
        parts = {}
        for g in self.opt.param_groups:
            parts.setdefault(groups(g["name"], g["params"][0])[2], []).append(g["params"][0])
        norms = {}
        for part, params in parts.items():
            if clip:
                norms[part] = torch.nn.utils.clip_grad_norm_(params, clip)
        for g in self.opt.param_groups:
            lr_mult, wd_mult, _ = groups(g["name"], g["params"][0])
            g["lr"] = (last_lr if "last_layer" in g["name"] else lr) * lr_mult
            g["weight_decay"] = wd * wd_mult
        self.opt.step()
        self.opt.zero_grad()
        return norms


def cosine(start, base, end, warmup, total, step):
    if step < warmup:
        return start + (base - start) * step / max(warmup - 1, 1)
    return end + 0.5 * (base - end) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def store(out, name, t):
    folder = os.path.join(out, "train", name)
    os.makedirs(folder, exist_ok=True)
    convert = lambda v: v.detach().to(torch.float32 if v.is_floating_point() else torch.int32).contiguous().clone()
    save_file({k: convert(v) for k, v in t.items()}, os.path.join(folder, "steps.safetensors"))
    print(name, len(t), "tensors")


def dinov2(out, name, gen, *, sk, ibot, koleo_weight, separate, drop):
    p = {}
    backbone(p, gen, True)
    head(p, "dino_head", gen, K)
    if separate:
        head(p, "ibot_head", gen, K_IBOT)
    patch_head = "ibot_head" if separate else "dino_head"
    k_ibot = K_IBOT if separate else K
    # Every number begins as float32, so that both sides start from the same bits.
    p = {n: v.float().double() for n, v in p.items()}
    t = {f"start.{n}": v.clone() for n, v in p.items()}
    teacher = {n: v.clone() for n, v in p.items()}
    opt = AdamW(p, (0.9, 0.999))
    p = opt.params
    center, center_ibot = torch.zeros(1, K), torch.zeros(1, k_ibot)
    total, warmup = 10, 2
    for step in range(STEPS):
        lr = cosine(0.0, 2e-3, 1e-6, warmup, total, step + 1)
        wd = cosine(0.0, 0.04, 0.4, 0, total, step + 1)
        momentum = cosine(0.0, 0.9, 1.0, 0, total, step + 1)
        temp = cosine(0.04, 0.07, 0.07, 4, 4, step + 1) if step + 1 < 4 else 0.07
        last_lr = 0.0 if step + 1 < 2 else lr
        images = draw(gen, (2 * B, 3, SIZE, SIZE), 1.0).float().double()
        local = draw(gen, (LOCALS * B, 3, LOCAL, LOCAL), 1.0).float().double()
        mask = torch.zeros(2 * B, N, dtype=torch.bool)
        for crop, count in ((1, 3), (3, 5), (4, 2), (6, 7)):
            mask[crop, torch.randperm(N, generator=gen)[:count]] = True
        places = mask.flatten().nonzero().flatten()
        weights = (1.0 / mask.sum(-1).clamp(min=1.0)).unsqueeze(-1).expand(-1, N)[mask]
        t |= {f"{step}.global": images, f"{step}.local": local, f"{step}.places": places}
        def subsets(batch, name):
            if not drop:
                return None
            keep = max(int(batch * (1 - drop)), 1)
            rows = [[torch.randperm(batch, generator=gen)[:keep] for _ in range(2)] for _ in range(DEPTH)]
            t[f"{step}.drop.{name}"] = torch.stack([torch.stack(r) for r in rows])
            return rows
        with torch.no_grad():
            cls, patches = encode(teacher, images)
            z = project(teacher, "dino_head", cls)
            probs = sinkhorn(z, temp) if sk else F.softmax((z - center) / temp, -1)
            if ibot:
                zi = project(teacher, patch_head, patches.flatten(0, 1)[places])
                probs_i = sinkhorn(zi, temp) if sk else F.softmax((zi - center_ibot) / temp, -1)
        global_drop, local_drop = subsets(2 * B, "global"), subsets(LOCALS * B, "local")
        cls, patches = encode(p, images, mask if ibot else None, global_drop)
        sg = project(p, "dino_head", cls)
        sl = project(p, "dino_head", encode(p, local, drops=local_drop)[0])
        terms = 2 + 2 * LOCALS
        teachers = probs.chunk(2)
        loss_local = sum(ce(s, q) for s in sl.chunk(LOCALS) for q in teachers) / terms
        loss_global = 2 * ce(sg, torch.cat([teachers[1], teachers[0]])) / terms
        loss = loss_local + loss_global
        t |= {f"{step}.loss.dino_local": loss_local.reshape(1), f"{step}.loss.dino_global": loss_global.reshape(1)}
        if koleo_weight:
            k = koleo_weight * sum(koleo(c) for c in cls.chunk(2))
            t[f"{step}.loss.koleo"] = k.reshape(1)
            loss = loss + k
        if ibot:
            si = project(p, patch_head, patches.flatten(0, 1)[places])
            li = -((probs_i * F.log_softmax(si / 0.1, -1)).sum(-1) * weights).sum() / (2 * B)
            t[f"{step}.loss.ibot"] = li.reshape(1)
            loss = loss + li
            center_ibot = 0.9 * center_ibot + 0.1 * zi.mean(0, keepdim=True)
        center = 0.9 * center + 0.1 * z.mean(0, keepdim=True)
        loss.backward()
        norms = opt.step(lr, wd, last_lr, lambda n, _: groups_dino(n), 3.0)
        for part, value in norms.items():
            t[f"{step}.norm.{part}"] = value.reshape(1)
        with torch.no_grad():
            for n in teacher:
                teacher[n].mul_(momentum).add_(p[n], alpha=1 - momentum)
        t |= {f"{step}.student.{n}": v.clone() for n, v in p.items()} if step == STEPS - 1 else {f"{step}.student.{n}": p[n].clone() for n in ("backbone.pos_embed", "backbone.cls_token", "dino_head.last_layer.weight_v")}
    t |= {f"end.teacher.{n}": v for n, v in teacher.items()}
    t |= {"end.center.dino": center, "end.center.ibot": center_ibot}
    store(out, name, t)


def mae(out, gen):
    p = {}
    backbone(p, gen, False)
    linear(p, "decoder.decoder_embed", gen, DEC_D, D)
    p["decoder.mask_token"] = draw(gen, (1, 1, DEC_D), 0.3)
    p["decoder.decoder_pos_embed"] = sin_cos(SIZE // P, DEC_D)
    for i in range(DEC_DEPTH):
        block(p, f"decoder.decoder_blocks.{i}", gen, DEC_D, 4 * DEC_D, False)
    norm(p, "decoder.decoder_norm", gen, DEC_D)
    linear(p, "decoder.decoder_pred", gen, 3 * P * P, DEC_D)
    p = {n: v.float().double() for n, v in p.items()}
    t = {f"start.{n}": v.clone() for n, v in p.items()}
    opt = AdamW(p, (0.9, 0.95), fixed=("backbone.pos_embed", "decoder.decoder_pos_embed"))
    p = opt.params
    keep = int(N * 0.25)
    for step in range(STEPS):
        # MAE's warm-up excludes its end: step / warmup.
        s = step + 1
        lr = 2e-3 * s / 2 if s < 2 else 0.5 * 2e-3 * (1 + math.cos(math.pi * (s - 2) / 8))
        images = draw(gen, (B, 3, SIZE, SIZE), 1.0).float().double()
        noise = torch.rand((B, N), generator=gen).float().double()
        t |= {f"{step}.global": images, f"{step}.noise": noise}
        shuffle = torch.argsort(noise, dim=1, stable=True)
        restore = torch.argsort(shuffle, dim=1, stable=True)
        x = embed(p, images) + p["backbone.pos_embed"][:, 1:]
        x = torch.gather(x, 1, shuffle[:, :keep, None].expand(-1, -1, D))
        x = torch.cat([(p["backbone.cls_token"] + p["backbone.pos_embed"][:, :1]).expand(B, -1, -1), x], 1)
        for i in range(DEPTH):
            x = run_block(p, f"backbone.blocks.{i}", x, HEADS)
        x = lin(p, "decoder.decoder_embed", ln(p, "backbone.norm", x))
        full = torch.cat([x[:, 1:], p["decoder.mask_token"].expand(B, N - keep, -1)], 1)
        full = torch.gather(full, 1, restore[..., None].expand(-1, -1, DEC_D))
        x = torch.cat([x[:, :1], full], 1) + p["decoder.decoder_pos_embed"]
        for i in range(DEC_DEPTH):
            x = run_block(p, f"decoder.decoder_blocks.{i}", x, DEC_HEADS)
        pred = lin(p, "decoder.decoder_pred", ln(p, "decoder.decoder_norm", x))[:, 1:]
        g = SIZE // P
        target = images.reshape(B, 3, g, P, g, P).permute(0, 2, 4, 3, 5, 1).reshape(B, N, -1)
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        hidden = (restore >= keep).double()
        loss = (((pred - target) ** 2).mean(-1) * hidden).sum() / hidden.sum()
        t[f"{step}.loss.mae"] = loss.reshape(1)
        loss.backward()
        opt.step(lr, 0.05, lr, groups_mae, 0.0)
    t |= {f"{STEPS - 1}.student.{n}": v for n, v in p.items()}
    store(out, "mae", t)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a = a.parse_args()
    mae(a.out, torch.Generator().manual_seed(1))
    dinov2(a.out, "dinov2", torch.Generator().manual_seed(2), sk=True, ibot=True, koleo_weight=0.1, separate=True, drop=0.0)
    dinov2(a.out, "dinov2-centering", torch.Generator().manual_seed(3), sk=False, ibot=True, koleo_weight=0.1, separate=False, drop=0.0)
    dinov2(a.out, "dino", torch.Generator().manual_seed(4), sk=False, ibot=False, koleo_weight=0.0, separate=False, drop=0.4)


main()
