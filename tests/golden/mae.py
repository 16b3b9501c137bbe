"""ViTMAEForPreTraining: loss, logits, mask and every gradient, and the same weights as the official `.pth`."""
import os
from collections import OrderedDict

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import ViTMAEConfig, ViTMAEForPreTraining
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

from common import generator, randomise, save_json, save_pth, save_tensors
from originals import block, fuse_qkv


def published_names(file, model):
    """Rename the decoder to the published `decoder.decoder_layers.N` where transformers saves it otherwise;
    return {name in memory: name in the file}, found by value."""
    tensors = {k.replace("decoder_encoder.layer.", "decoder_layers."): v for k, v in load_file(file).items()}
    save_file({k: tensors[k] for k in sorted(tensors)}, file, metadata={"format": "pt"})
    names = {}
    for name, p in model.named_parameters():
        same = [k for k, v in tensors.items() if v.shape == p.shape and torch.equal(v, p.detach())]
        assert len(same) == 1, (name, same)
        names[name] = same[0]
    assert sorted(names.values()) == sorted(tensors)
    return names, tensors


def sincos(grid, dim):
    """MAE's fixed 2-D table [1+grid², dim]: cls row zero, first half the column, second half the row,
    each half [sin | cos] of position / 10000^(i / (dim/4)), in float64 before rounding."""
    def axis(p):
        angle = p.double()[:, None] / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
        return torch.cat([angle.sin(), angle.cos()], 1)
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    table = torch.cat([axis(column.flatten()), axis(row.flatten())], 1)
    return torch.cat([torch.zeros(1, dim, dtype=torch.float64), table]).float()


def fill_positions(model):
    """Put the fixed tables in: a new model of transformers 5.23 has zeros there."""
    for table in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
        grid, dim = round((table.shape[1] - 1) ** 0.5), table.shape[2]
        theirs = build_2d_sinusoidal_position_embedding(height=grid, width=grid, embed_dim=dim, cls_token=True)
        theirs = torch.cat([theirs[:, dim // 2 :], theirs[:, : dim // 2]], 1)  # MAE has the column first
        assert (sincos(grid, dim) - theirs).abs().max() < 2e-6
        table.data.copy_(sincos(grid, dim))


def mae_cases(out):
    """Write mae-normpix and mae-rawpix; return the first's stored tensors, config and io for the `.pth`."""
    kept = None
    for name, norm_pix, depth, decoder_heads in (("mae-normpix", True, 2, 1), ("mae-rawpix", False, 1, 2)):
        gen = generator(name)
        config = ViTMAEConfig(
            hidden_size=64, num_hidden_layers=depth, num_attention_heads=2, intermediate_size=96, patch_size=6, image_size=36,
            decoder_hidden_size=32, decoder_num_hidden_layers=depth, decoder_num_attention_heads=decoder_heads, decoder_intermediate_size=64,
            mask_ratio=0.75, norm_pix_loss=norm_pix, layer_norm_eps=1e-6, attn_implementation="eager")
        model = ViTMAEForPreTraining(config)
        randomise(model, gen)
        fill_positions(model)
        x = torch.randn(2, 3, 36, 36, generator=gen)
        noise = torch.rand(2, 36, generator=gen)
        y = model(pixel_values=x, noise=noise)
        y.loss.backward()
        folder = os.path.join(out, name)
        model.save_pretrained(folder)
        names, stored = published_names(os.path.join(folder, "model.safetensors"), model)
        t = {"pixel_values": x, "noise": noise, "loss": y.loss.reshape(1), "logits": y.logits, "mask": y.mask, "ids_restore": y.ids_restore.to(torch.int32)}
        t |= {"grad." + names[n]: p.grad for n, p in model.named_parameters() if p.grad is not None}
        save_tensors(os.path.join(folder, "io.safetensors"), t)
        kept = kept or (stored, config, t)
    return kept


def to_official(stored):
    """Hugging Face names -> the names of facebookresearch/mae (timm's, with fused qkv)."""
    s = OrderedDict()
    for key, name in (("cls_token", "vit.embeddings.cls_token"), ("pos_embed", "vit.embeddings.position_embeddings"),
                      ("mask_token", "decoder.mask_token"), ("decoder_pos_embed", "decoder.decoder_pos_embed")):
        s[key] = stored[name]
    for key, name in (("patch_embed.proj", "vit.embeddings.patch_embeddings.projection"), ("norm", "vit.layernorm"), ("decoder_embed", "decoder.decoder_embed"),
                      ("decoder_norm", "decoder.decoder_norm"), ("decoder_pred", "decoder.decoder_pred")):
        for part in ("weight", "bias"):
            s[f"{key}.{part}"] = stored[f"{name}.{part}"]
    for ours, theirs in (("blocks", "vit.encoder.layer"), ("decoder_blocks", "decoder.decoder_layers")):
        depth = 1 + max(int(k[len(theirs) + 1:].split(".")[0]) for k in stored if k.startswith(theirs))
        for i in range(depth):
            for part in ("weight", "bias"):
                s[f"{ours}.{i}.attn.qkv.{part}"] = fuse_qkv(stored, f"{theirs}.{i}.attention.attention", part)
                for key, name in (("norm1", "layernorm_before"), ("attn.proj", "attention.output.dense"), ("norm2", "layernorm_after"),
                                  ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")):
                    s[f"{ours}.{i}.{key}.{part}"] = stored[f"{theirs}.{i}.{name}.{part}"]
    return s


def official_forward(s, x, noise, heads, decoder_heads, patch):
    """facebookresearch/mae's forward from its own key names: logits [B, N, 3p²]. Checks the renaming."""
    depth = lambda prefix: 1 + max(int(k.split(".")[1]) for k in s if k.startswith(prefix + "."))
    h = F.conv2d(x, s["patch_embed.proj.weight"], s["patch_embed.proj.bias"], stride=patch).flatten(2).transpose(1, 2)
    h = h + s["pos_embed"][:, 1:]
    b, n, d = h.shape
    shuffle = noise.argsort(1)
    restore = shuffle.argsort(1)
    keep = shuffle[:, : int(n * 0.25)]
    h = h.gather(1, keep[..., None].expand(-1, -1, d))
    h = torch.cat([(s["cls_token"] + s["pos_embed"][:, :1]).expand(b, -1, -1), h], 1)
    for i in range(depth("blocks")):
        h = block(h, s, f"blocks.{i}", heads)
    h = F.layer_norm(h, (d,), s["norm.weight"], s["norm.bias"], 1e-6)
    h = F.linear(h, s["decoder_embed.weight"], s["decoder_embed.bias"])
    e = h.shape[-1]
    full = torch.cat([h[:, 1:], s["mask_token"].expand(b, n + 1 - h.shape[1], -1)], 1)
    h = torch.cat([h[:, :1], full.gather(1, restore[..., None].expand(-1, -1, e))], 1) + s["decoder_pos_embed"]
    for i in range(depth("decoder_blocks")):
        h = block(h, s, f"decoder_blocks.{i}", decoder_heads)
    h = F.layer_norm(h, (e,), s["decoder_norm.weight"], s["decoder_norm.bias"], 1e-6)
    return F.linear(h, s["decoder_pred.weight"], s["decoder_pred.bias"])[:, 1:]


def mae_original(out, kept):
    """`{"model": state dict}` as facebookresearch/mae publishes it, with the decoder (its *visualize* files)."""
    stored, config, t = kept
    s = to_official(stored)
    assert sum(v.numel() for v in s.values()) == sum(v.numel() for v in stored.values())
    with torch.no_grad():
        y = official_forward(s, t["pixel_values"], t["noise"], config.num_attention_heads, config.decoder_num_attention_heads, config.patch_size)
    assert (y - t["logits"]).abs().max() < 2e-5, (y - t["logits"]).abs().max()
    s._metadata = OrderedDict([("", {"version": 1})])  # what state_dict() attaches, and readers must skip
    folder = os.path.join(out, "mae-normpix-original")
    save_pth(os.path.join(folder, "mae.pth"), {"model": s})
    save_json(os.path.join(folder, "config.json"), config.to_diff_dict() | {"architectures": ["ViTMAEForPreTraining"]})
