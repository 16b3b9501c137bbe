"""Make the goldens: small random models and operations with what PyTorch computed from them.

    pip install -r tests/golden/requirements.txt      (torch 2.15.0, transformers 5.23.0, Python 3.11)
    python tests/golden/generate.py --out tests/golden
    python tests/golden/generate.py --check tests/golden     make them again elsewhere and compare

Everything is seeded by the case's name and computed in float32 on one CPU thread; nothing is downloaded.
The README beside this file says what is in each file.
"""
import argparse
import filecmp
import os
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # configs and models are built here, never fetched
sys.dont_write_bytecode = True

import torch
from safetensors.torch import load_file
from transformers.utils import logging

from encoders import stored_otherwise, vision_encoders, whole_checkpoints
from layers import layer_references
from mae import mae_cases, mae_original
from originals import dino_originals, pth_forms
from preprocess import pillow_references

MADE = ("models", "pth", "layers.safetensors", "preprocess.safetensors")


def generate(out):
    """Write every golden under `out`, replacing what earlier runs left."""
    for name in MADE:
        path = os.path.join(out, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
    torch.manual_seed(0)  # for initialisations that are overwritten anyway
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    logging.disable_progress_bar()
    models = os.path.join(out, "models")
    made = vision_encoders(models)
    stored_otherwise(models, *made["dinov2-mlp"][:2])
    whole_checkpoints(models)
    dino_originals(models, made)
    mae_original(models, mae_cases(models))
    pth_forms(out)
    layer_references(out)
    pillow_references(out)


def files(folder):
    """Every made file below `folder`, relative, sorted."""
    found = [os.path.relpath(os.path.join(d, f), folder) for d, _, names in os.walk(folder) for f in names]
    return sorted(f for f in found if f.split(os.sep)[0] in MADE)


def check(committed):
    """Make the goldens again and compare with `committed`; return the number of differing files."""
    with tempfile.TemporaryDirectory() as fresh:
        generate(fresh)
        differing = 0
        for name in sorted(set(files(committed)) | set(files(fresh))):
            a, b = os.path.join(committed, name), os.path.join(fresh, name)
            if not (os.path.exists(a) and os.path.exists(b)):
                print(name, "is only", "committed" if os.path.exists(a) else "in the new run")
            elif filecmp.cmp(a, b, shallow=False):
                continue
            elif name.endswith(".safetensors"):
                old, new = load_file(a), load_file(b)
                gap = max(((old[k].double() - new[k].double()).abs().max().item() for k in old if k in new and old[k].shape == new[k].shape and old[k].numel()), default=0.0)
                print(name, "differs: largest absolute difference", gap, "" if old.keys() == new.keys() else "and other names")
            else:
                print(name, "differs")
            differing += 1
    print(len(files(committed)), "files,", differing, "differ")
    return differing


def main():
    """The command line."""
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--out", help="folder to write into, usually tests/golden")
    a.add_argument("--check", metavar="FOLDER", help="compare a fresh run with this folder instead of writing")
    a = a.parse_args()
    if (a.out is None) == (a.check is None):
        sys.exit("give either --out FOLDER or --check FOLDER")
    if a.check:
        sys.exit(1 if check(a.check) else 0)
    generate(a.out)
    sizes = [os.path.getsize(os.path.join(a.out, f)) for f in files(a.out)]
    print(f"{len(sizes)} files, {sum(sizes) / 1e6:.2f} MB in {a.out}")


if __name__ == "__main__":
    main()
