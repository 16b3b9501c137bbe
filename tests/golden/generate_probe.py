"""References of the linear probe: probe/logistic.safetensors, by scikit-learn's LogisticRegression.

    python3 -m venv /tmp/venv-probe
    /tmp/venv-probe/bin/pip install scikit-learn==1.9.1 numpy==2.4.6 safetensors==0.8.0
    /tmp/venv-probe/bin/python tests/golden/generate_probe.py tests/golden

Names are `case.tensor`. Features are float32; all else is computed from them in float64 with the solver run to the end
(tol 1e-12). `coef` and `intercept` are those of the classifier behind a StandardScaler, `proba` its probabilities of
the examples. Two classes have one row of weights, as scikit-learn writes them.
"""
import os
import sys
import zlib

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

CASES = {  # rows, width, classes, C, standardised
    "three": (45, 12, 3, 1.0, True),
    "two": (30, 7, 2, 0.3, True),
    "wide": (24, 64, 4, 10.0, True),
    "plain": (40, 9, 3, 0.05, False),
}


def main(out):
    tensors = {}
    for name, (n, dim, classes, c, standardised) in CASES.items():
        rng = np.random.default_rng(zlib.crc32(("probe." + name).encode()))
        labels = np.arange(n) % classes
        centres = rng.normal(size=(classes, dim))
        scale = rng.uniform(0.2, 3.0, size=dim)
        features = ((centres[labels] + 1.2 * rng.normal(size=(n, dim))) * scale + 0.5).astype(np.float32)
        features[:, 1] = 2.5  # a dimension that does not vary
        x = features.astype(np.float64)
        if standardised:
            x = StandardScaler().fit_transform(x)
        model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000).fit(x, labels)
        tensors |= {
            f"{name}.features": features,
            f"{name}.labels": labels.astype(np.int64),
            f"{name}.c": np.array([c]),
            f"{name}.standardised": np.array([standardised]),
            f"{name}.coef": model.coef_,
            f"{name}.intercept": model.intercept_,
            f"{name}.proba": model.predict_proba(x),
        }
    path = os.path.join(out, "probe", "logistic.safetensors")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file({key: np.ascontiguousarray(tensors[key]) for key in sorted(tensors)}, path)


if __name__ == "__main__":
    main(sys.argv[1])
