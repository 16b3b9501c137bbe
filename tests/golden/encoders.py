"""Vision encoders of Hugging Face transformers: weights, inputs, hidden states, attentions, outputs.

Each case is a folder `models/NAME` with config.json, model.safetensors and io.safetensors.
Input groups in io.safetensors: the native size without prefix, then `other_size.` (not square),
`third_size.` (square, larger) and `fourth_size.` (not square, but with as many patches as the
native grid: positions must be interpolated all the same).
"""
import copy
import os

import torch
from transformers import (CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model,
                          Dinov2WithRegistersConfig, Dinov2WithRegistersModel, SiglipConfig, SiglipModel,
                          SiglipVisionConfig, SiglipVisionModel, ViTConfig, ViTModel)

from common import generator, randomise, save_json, save_model, save_tensors

EAGER = dict(attn_implementation="eager")  # the only one that hands out attention probabilities
# Grids in patches, for a native grid of 4 x 4.
OTHER_GRIDS = {"other_size": (3, 7), "third_size": (6, 6), "fourth_size": (2, 8)}


def images(gen, batch, height, width):
    """Normalised pixels [batch, 3, height, width]."""
    return torch.randn(batch, 3, height, width, generator=gen)


def encoder_io(model, gen, size, patch, pooled, interpolate, grids=OTHER_GRIDS):
    """Run the encoder at its native size (all states) and at the other sizes (outputs only)."""
    x = images(gen, 2, size, size)
    with torch.no_grad():
        y = model(pixel_values=x, output_attentions=True, output_hidden_states=True)
        t = {"pixel_values": x, "last_hidden_state": y.last_hidden_state}
        if pooled:
            t["pooler_output"] = y.pooler_output
        t |= {f"hidden_states.{i}": h for i, h in enumerate(y.hidden_states)}
        t |= {f"attentions.{i}": a for i, a in enumerate(y.attentions)}
        for group, (rows, columns) in grids.items():
            x = images(gen, 1, rows * patch, columns * patch)
            y = model(pixel_values=x, **interpolate)
            t |= {f"{group}.pixel_values": x, f"{group}.last_hidden_state": y.last_hidden_state}
            if pooled:
                t[f"{group}.pooler_output"] = y.pooler_output
    return t


def cases():
    """name -> (class, config, weights exact in half precision, has a pooler that counts)."""
    dino = dict(layer_norm_eps=1e-6, **EAGER)
    yield "webdino-swiglu", Dinov2Model, Dinov2Config(  # Web-DINO: SwiGLU at every size
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, use_swiglu_ffn=True, patch_size=7, image_size=28, **dino), True, False
    yield "dinov2-mlp", Dinov2Model, Dinov2Config(
        hidden_size=64, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=2, patch_size=7, image_size=28, **dino), True, False
    yield "dinov2-registers", Dinov2WithRegistersModel, Dinov2WithRegistersConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, num_register_tokens=4, patch_size=7, image_size=28, **dino), True, False
    yield "webmae-vit", ViTModel, ViTConfig(  # heads 80 wide, as in ViT-H; the pooler is in the file but never trained
        hidden_size=160, num_hidden_layers=1, num_attention_heads=2, intermediate_size=80, patch_size=4, image_size=16, qkv_bias=True, **dino), False, False
    yield "clip-vision", CLIPVisionModel, CLIPVisionConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=112, patch_size=7, image_size=28, **EAGER), False, True
    yield "siglip-vision", SiglipVisionModel, SiglipVisionConfig(  # heads 16 wide
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, patch_size=7, image_size=28, **EAGER), False, True


def vision_encoders(out):
    """Write the plain encoders; return {name: (model, stored tensors, io tensors)} for the other layouts."""
    made = {}
    for name, cls, config, half_exact, pooled in cases():
        gen = generator(name)
        model = cls(config).eval()
        randomise(model, gen, half_exact)
        takes_flag = not name.startswith(("webdino", "dinov2"))  # the DINOv2 classes always interpolate
        t = encoder_io(model, gen, config.image_size, config.patch_size, pooled, {"interpolate_pos_encoding": True} if takes_flag else {})
        stored = save_model(model, os.path.join(out, name))
        save_tensors(os.path.join(out, name, "io.safetensors"), t)
        made[name] = (model, stored, t)
    return made


def stored_otherwise(out, model, stored):
    """dinov2-mlp again: in f16, in bf16, in two shards (f16). Same weights, so dinov2-mlp's io.safetensors holds for all."""
    folder = os.path.join(out, "dinov2-mlp-sharded")
    half = copy.deepcopy(model).half()
    half.save_pretrained(folder, max_shard_size=int(sum(p.numel() * 2 for p in half.parameters()) * 0.6))
    assert sorted(f for f in os.listdir(folder) if f != "config.json") == [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    for suffix, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        folder = os.path.join(out, f"dinov2-mlp-{suffix}")
        tensors = {k: v.to(dtype) for k, v in stored.items()}
        save_tensors(os.path.join(folder, "model.safetensors"), tensors, {"format": "pt"})
        save_json(os.path.join(folder, "config.json"), model.config.to_diff_dict() | {
            "architectures": ["Dinov2Model"], "dtype": str(dtype).removeprefix("torch.")})


def whole_checkpoints(out):
    """CLIP and SigLIP with their text towers: the vision keys stand under `vision_model.` among others."""
    text = dict(vocab_size=48, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=8, **EAGER)
    vision = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1, patch_size=7, image_size=28, **EAGER)
    special = dict(pad_token_id=1, bos_token_id=46, eos_token_id=47)
    clip = CLIPConfig(text_config=text | special, vision_config=vision, projection_dim=24, **EAGER)
    siglip = SiglipConfig(text_config=text | special, vision_config=vision, **EAGER)
    for name, cls, config in (("clip-whole", CLIPModel, clip), ("siglip-whole", SiglipModel, siglip)):
        gen = generator(name)
        model = cls(config).eval()
        randomise(model, gen)
        t = encoder_io(model.vision_model, gen, 28, 7, True, {}, grids={})
        stored = save_model(model, os.path.join(out, name))
        if cls is CLIPModel:
            with torch.no_grad():
                t["image_embeds"] = model.visual_projection(t["pooler_output"])  # before CLIP's L2 normalisation
            # The published CLIP files hold these integer buffers; newer transformers no longer write them.
            for tower, length in (("text_model", 8), ("vision_model", 17)):
                stored[f"{tower}.embeddings.position_ids"] = torch.arange(length).reshape(1, -1)
        assert any(k.startswith("vision_model.") for k in stored), name
        save_tensors(os.path.join(out, name, "model.safetensors"), stored, {"format": "pt"})
        save_tensors(os.path.join(out, name, "io.safetensors"), t)
