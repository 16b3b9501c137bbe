"""References of DINOv2's losses, heads, optimiser step and stochastic depth: losses/io.safetensors.

    pip install -r tests/golden/requirements.txt
    python tests/golden/generate_losses.py --out tests/golden

Formulas as in facebookresearch/dinov2 (loss/, layers/dino_head.py, layers/block.py, train/ssl_meta_arch.py), written
anew. Inputs are float32; everything is computed from them in float64, save AdamW, which is torch's own in float32.
Names are `case.tensor`; `grad_x` is the gradient of the case's loss, or of sum(y · grad_out), by `x`.
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True

import torch
import torch.nn.functional as F

from common import generator, save_tensors

STUDENT_TEMP, TEACHER_TEMP = 0.1, 0.05


def normal(gen, *shape):
    """Normal float32 values as float64."""
    return torch.randn(*shape, generator=gen).double()


def sinkhorn(logits, temp, iterations=3):
    """loss/dino_clstoken_loss.py on one device, nothing shortened."""
    q = torch.exp(logits / temp).t()
    b, k = q.shape[1], q.shape[0]
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / b
    return (q * b).t()


def targets(t):
    """Centring with two updates of the centre, and Sinkhorn-Knopp at two temperatures."""
    gen = generator("losses.targets")
    b, k = 6, 64
    logits, center = normal(gen, 2 * b, k), (0.1 * normal(gen, 1, k)).float().double()
    t |= {"targets.logits": logits, "targets.center": center}
    t["targets.centred"] = F.softmax((logits - center) / TEACHER_TEMP, -1)
    after = center * 0.9 + logits.mean(0, keepdim=True) * 0.1
    t["targets.center.1"] = after
    t["targets.center.2"] = after * 0.9 + (2 * logits).mean(0, keepdim=True) * 0.1
    t["targets.sinkhorn.0.05"] = sinkhorn(logits, 0.05)
    t["targets.sinkhorn.0.07.one"] = sinkhorn(logits, 0.07, 1)


def dino(t):
    """Pair by pair, as DINO writes it: every student's crop with every other global crop of the teacher."""
    gen = generator("losses.dino")
    b, k, n_local = 4, 48, 3
    crops = [normal(gen, b, k).requires_grad_() for _ in range(2 + n_local)]
    teacher = [F.softmax(2 * normal(gen, b, k), -1).float().double() for _ in range(2)]

    def ce(s, p):
        return -(p * F.log_softmax(s / STUDENT_TEMP, -1)).sum(-1).mean()
    for name, n in (("dino", n_local), ("dino_two", 0)):
        pairs = 2 + 2 * n
        globals_ = (ce(crops[0], teacher[1]) + ce(crops[1], teacher[0])) / pairs
        locals_ = sum(ce(s, p) for s in crops[2:2 + n] for p in teacher) / pairs
        g = torch.autograd.grad(globals_ + locals_, crops[:2 + n])
        t |= {f"{name}.global": globals_.reshape(1), f"{name}.grad_global": torch.cat(g[:2])}
        if n:
            t |= {f"{name}.local": locals_.reshape(1), f"{name}.grad_local": torch.cat(g[2:])}
    t |= {"dino.student_global": torch.cat(crops[:2]), "dino.student_local": torch.cat(crops[2:]), "dino.teacher": torch.cat(teacher)}


def ibot(t):
    """Six global crops, three of them masked, with 5, 1 and 4 masked patches."""
    gen = generator("losses.ibot")
    counts, k, crops = (5, 1, 4), 48, 6
    student = normal(gen, sum(counts), k).requires_grad_()
    teacher = F.softmax(2 * normal(gen, sum(counts), k), -1).float().double()
    weights = torch.cat([torch.full((n,), 1 / n) for n in counts]).double()
    loss = -((teacher * F.log_softmax(student / STUDENT_TEMP, -1)).sum(-1) * weights).sum() / crops
    (g,) = torch.autograd.grad(loss, student)
    t |= {"ibot.student": student, "ibot.teacher": teacher, "ibot.weights": weights, "ibot.loss": loss.reshape(1), "ibot.grad_student": g}


def koleo(t):
    """A batch, the least batch, and one that holds the same row twice (its value only: its gradient is a difference of numbers of size 1e7)."""
    gen = generator("losses.koleo")
    twice = 3 * normal(gen, 4, 8)
    twice[2] = twice[0]
    for name, x in (("koleo", 3 * normal(gen, 9, 32)), ("koleo_two", normal(gen, 2, 5)), ("koleo_twice", twice)):
        x = x.float().double().requires_grad_()
        z = F.normalize(x, dim=-1, eps=1e-8)
        dots = (z @ z.t()).detach().fill_diagonal_(-1)
        loss = -torch.log(F.pairwise_distance(z, z[dots.argmax(1)], 2, 1e-8) + 1e-8).mean()
        (g,) = torch.autograd.grad(loss, x)
        t |= {f"{name}.x": x, f"{name}.loss": loss.reshape(1)}
        if name != "koleo_twice":
            t[f"{name}.grad_x"] = g


def head(t):
    """DINO's head of three layers, of two and of one, its prototypes not of unit length."""
    d, hidden, bottleneck, k, rows = 24, 40, 16, 52, 7
    for layers in (3, 2, 1):
        gen = generator(f"losses.head.{layers}")
        widths = [d] + [hidden] * (layers - 1) + [bottleneck]
        names = ["mlp"] if layers == 1 else [f"mlp.{2 * i}" for i in range(layers)]
        p = {}
        for i, name in enumerate(names):
            p[f"{name}.weight"] = normal(gen, widths[i + 1], widths[i]) * 1.5 / widths[i] ** 0.5
            p[f"{name}.bias"] = 0.1 * normal(gen, widths[i + 1])
        p["last_layer.weight_g"] = 1 + 0.2 * normal(gen, k, 1)
        p["last_layer.weight_v"] = normal(gen, k, bottleneck) / bottleneck ** 0.5
        p = {name: value.float().double().requires_grad_() for name, value in p.items()}
        x = normal(gen, rows, d).requires_grad_()
        y = x
        for i, name in enumerate(names):
            y = F.linear(y, p[f"{name}.weight"], p[f"{name}.bias"])
            y = F.gelu(y) if i + 1 < layers else y
        v = p["last_layer.weight_v"]
        y = F.normalize(y, dim=-1, eps=1e-12) @ (p["last_layer.weight_g"] * v / v.norm(dim=1, keepdim=True)).t()
        grad_out = normal(gen, rows, k)
        leaves = {"x": x} | p
        grads = torch.autograd.grad(y, list(leaves.values()), grad_out)
        case = f"head{layers}"
        t |= {f"{case}.{name}": value for name, value in leaves.items()} | {f"{case}.y": y, f"{case}.grad_out": grad_out}
        t |= {f"{case}.grad_{name}": g for name, g in zip(leaves, grads)}


def optimiser(t):
    """Three steps of torch.optim.AdamW, with a learning rate and a decay that change; two steps of the teacher."""
    gen = generator("losses.adamw")
    p = torch.nn.Parameter(torch.randn(70, generator=gen))
    t["adamw.0"] = p.clone()
    optimiser = torch.optim.AdamW([p], betas=(0.9, 0.999), eps=1e-8, foreach=False)
    for i, (lr, decay, scale) in enumerate([(1e-2, 0.04, 1.0), (5e-3, 0.2, 1.0), (2e-2, 0.4, 0.25)], 1):
        grad = torch.randn(70, generator=gen)
        optimiser.param_groups[0] |= {"lr": lr, "weight_decay": decay}
        p.grad = grad * scale
        optimiser.step()
        t |= {f"adamw.grad.{i}": grad, f"adamw.{i}": p.clone()}
    state = optimiser.state[p]
    t |= {"adamw.m.3": state["exp_avg"], "adamw.v.3": state["exp_avg_sq"]}
    teacher, students = normal(gen, 70), (normal(gen, 70), normal(gen, 70))
    after = teacher * 0.992 + students[0] * (1 - 0.992)
    t |= {"ema.teacher": teacher, "ema.student.1": students[0], "ema.student.2": students[1], "ema.1": after}
    t["ema.2"] = after * 0.9999 + students[1] * (1 - 0.9999)


def drop_add(x, branch, subset):
    """layers/block.py, `drop_add_residual_stochastic_depth`, with the subset given."""
    b = x.shape[0]
    return torch.index_add(x.flatten(1), 0, subset, branch(x[subset]).flatten(1), alpha=b / len(subset)).view_as(x)


def drop_path(t):
    """A whole block, each branch over a subset of its own; a single sample of five in the second case."""
    b, n, d, heads, hidden = 5, 4, 32, 2, 48
    for case, subsets in (("drop_path", ([0, 2, 3], [1, 3, 4])), ("drop_path_one", ([4], [0]))):
        gen = generator(f"losses.{case}")
        def vector(size, mean, spread):
            return mean + spread * normal(gen, size)
        def matrix(out, inputs):
            return normal(gen, out, inputs) * 1.5 / inputs ** 0.5
        p = {"norm1.weight": vector(d, 1, 0.1), "norm1.bias": vector(d, 0, 0.1),
             "attn.qkv.weight": matrix(3 * d, d), "attn.qkv.bias": vector(3 * d, 0, 0.1),
             "attn.proj.weight": matrix(d, d), "attn.proj.bias": vector(d, 0, 0.1), "ls1.gamma": vector(d, 0.5, 0.2),
             "norm2.weight": vector(d, 1, 0.1), "norm2.bias": vector(d, 0, 0.1),
             "mlp.fc1.weight": matrix(hidden, d), "mlp.fc1.bias": vector(hidden, 0, 0.1),
             "mlp.fc2.weight": matrix(d, hidden), "mlp.fc2.bias": vector(d, 0, 0.1), "ls2.gamma": vector(d, 0.5, 0.2)}
        p = {name: value.float().double().requires_grad_() for name, value in p.items()}

        def linear(x, name):
            return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

        def norm(x, name):
            return F.layer_norm(x, (d,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

        def attend(x):
            qkv = linear(norm(x, "norm1"), "attn.qkv").reshape(len(x), n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(*qkv).transpose(1, 2).reshape(len(x), n, d)
            return p["ls1.gamma"] * linear(y, "attn.proj")

        def mlp(x):
            return p["ls2.gamma"] * linear(F.gelu(linear(norm(x, "norm2"), "mlp.fc1")), "mlp.fc2")
        x = normal(gen, b, n, d).requires_grad_()
        first, second = (torch.tensor(subset) for subset in subsets)
        y = drop_add(drop_add(x, attend, first), mlp, second)
        grad_out = normal(gen, b, n, d)
        leaves = {"x": x} | p
        grads = torch.autograd.grad(y, list(leaves.values()), grad_out)
        t |= {f"{case}.{name}": value for name, value in leaves.items()} | {f"{case}.y": y, f"{case}.grad_out": grad_out}
        t |= {f"{case}.grad_{name}": g for name, g in zip(leaves, grads)}
        t |= {f"{case}.subset.attn": first.float(), f"{case}.subset.mlp": second.float()}


def main():
    """The command line."""
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--out", required=True, help="folder to write into, usually tests/golden")
    a = a.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    t = {}
    for case in (targets, dino, ibot, koleo, head, optimiser, drop_path):
        case(t)
    t = {name: value.float() for name, value in t.items()}
    path = os.path.join(a.out, "losses", "io.safetensors")
    save_tensors(path, t)
    print(f"{len(t)} tensors, {os.path.getsize(path) / 1e6:.2f} MB in {path}")


if __name__ == "__main__":
    main()
