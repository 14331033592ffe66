#!/usr/bin/env python3
"""Writes golden/optimizer_case.json: updates of a few tensors by each optimizer, in float64.

It needs only Python and shares no code with ane-train; the formulas are those of the papers and of PyTorch's documentation.

    tests/train/make_optimizer_case.py > tests/train/golden/optimizer_case.json
"""
import json
import math
import random

LR, DECAY, GRAD_FACTOR, UPDATES = 0.0625, 0.25, 0.5, 3
EPS, BETA1, BETA2 = 1e-8, 0.9, 0.95
LION_BETA1, LION_BETA2 = 0.9, 0.99
SGD_MOMENTUM, MUON_MOMENTUM = 0.9, 0.95

random.seed(20)


def number():
    """Exact in fp32, and never near 0, so that a sign is certain."""
    return random.choice([-1, 1]) * random.randint(64, 2048) / 1024


def numbers(count):
    return [number() for _ in range(count)]


def rank_one(rows, columns):
    left = [random.randint(-32, 32) / 32 for _ in range(rows)]
    right = [random.randint(-32, 32) / 32 for _ in range(columns)]
    return [x * y for x in left for y in right]


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(column) for column in zip(*a)]


def orthogonalized(values, rows, columns):
    x = [values[i * columns:(i + 1) * columns] for i in range(rows)]
    if rows > columns:
        x = transposed(x)
    norm = math.sqrt(sum(value * value for value in values))
    x = [[value / (norm + 1e-7) for value in row] for row in x]
    for _ in range(5):
        gram = product(x, transposed(x))
        cubic = product(gram, x)
        quintic = product(gram, cubic)
        x = [[3.4445 * p - 4.7750 * q + 2.0315 * r for p, q, r in zip(*each)] for each in zip(x, cubic, quintic)]
    if rows > columns:
        x = transposed(x)
    return [value for row in x for value in row]


class AdamW:
    def __init__(self, tensor):
        self.m, self.v, self.count = [0.0] * tensor["size"], [0.0] * tensor["size"], 0

    def step(self, values, gradient, decay, tensor):
        self.count += 1
        self.m = [BETA1 * m + (1 - BETA1) * g for m, g in zip(self.m, gradient)]
        self.v = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(self.v, gradient)]
        first, second = 1 - BETA1**self.count, 1 - BETA2**self.count
        return [p - LR * decay * p - LR * (m / first) / (math.sqrt(v / second) + EPS)
                for p, m, v in zip(values, self.m, self.v)]


class Lion:
    def __init__(self, tensor):
        self.m = [0.0] * tensor["size"]

    def step(self, values, gradient, decay, tensor):
        means = [LION_BETA1 * m + (1 - LION_BETA1) * g for m, g in zip(self.m, gradient)]
        self.m = [LION_BETA2 * m + (1 - LION_BETA2) * g for m, g in zip(self.m, gradient)]
        assert all(mean == 0 or abs(mean) > 1e-5 for mean in means), "the sign is not certain in fp32"
        return [p - LR * decay * p - LR * ((mean > 0) - (mean < 0)) for p, mean in zip(values, means)]


class Sgd:
    def __init__(self, tensor):
        self.m = [0.0] * tensor["size"]

    def step(self, values, gradient, decay, tensor):
        self.m = [SGD_MOMENTUM * m + g for m, g in zip(self.m, gradient)]
        return [p - LR * decay * p - LR * m for p, m in zip(values, self.m)]


class Muon:
    def __init__(self, tensor):
        self.m, self.adamw = [0.0] * tensor["size"], AdamW(tensor)

    def step(self, values, gradient, decay, tensor):
        if tensor["role"] != "matrix":
            return self.adamw.step(values, gradient, decay, tensor)
        rows, columns = tensor["shape"]
        self.m = [MUON_MOMENTUM * m + (1 - MUON_MOMENTUM) * g for m, g in zip(self.m, gradient)]
        ahead = [(1 - MUON_MOMENTUM) * g + MUON_MOMENTUM * m for m, g in zip(self.m, gradient)]
        scale = 0.2 * math.sqrt(max(rows, columns))
        return [p - LR * decay * p - LR * scale * o for p, o in zip(values, orthogonalized(ahead, rows, columns))]


OPTIMIZERS = {"adamw": AdamW, "lion": Lion, "sgd": Sgd, "muon": Muon}


def tensor_case(name, role, shape, make=None):
    size = math.prod(shape)
    tensor = {"name": name, "role": role, "shape": shape, "size": size, "values": numbers(size),
              "gradients": [make(*shape) if make else numbers(size) for _ in range(UPDATES)], "after": {}}
    decay = 0 if role in ("norm", "bias") else DECAY
    for kind, optimizer in OPTIMIZERS.items():
        state, values, after = optimizer(tensor), tensor["values"], []
        for gradient in tensor["gradients"]:
            values = state.step(values, [GRAD_FACTOR * g for g in gradient], decay, tensor)
            after.append(values)
        tensor["after"][kind] = after
    if role == "matrix":
        tensor["orthogonalized"] = orthogonalized(tensor["gradients"][0], *shape)
    return tensor


def shown(value):
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [shown(each) for each in value]
    if isinstance(value, dict):
        return {key: shown(each) for key, each in value.items()}
    return value


def zeros(rows, columns):
    return [0.0] * (rows * columns)


CASE = {
    "lr": LR, "weight_decay": DECAY, "grad_factor": GRAD_FACTOR, "eps": EPS,
    "options": {
        "adamw": {"momentum": 0, "beta1": BETA1, "beta2": BETA2},
        "muon": {"momentum": MUON_MOMENTUM, "beta1": BETA1, "beta2": BETA2},
        "lion": {"momentum": 0, "beta1": LION_BETA1, "beta2": LION_BETA2},
        "sgd": {"momentum": SGD_MOMENTUM, "beta1": BETA1, "beta2": BETA2},
    },
    "tensors": [
        tensor_case("embedding", "embedding", [5, 4]),
        tensor_case("square", "matrix", [6, 6]),
        tensor_case("wide", "matrix", [4, 10]),
        tensor_case("tall", "matrix", [10, 4]),
        tensor_case("row", "matrix", [1, 7]),
        tensor_case("column", "matrix", [7, 1]),
        tensor_case("without gradient", "matrix", [3, 5], zeros),
        tensor_case("rank one", "matrix", [8, 6], rank_one),
        tensor_case("norm", "norm", [5]),
        tensor_case("bias", "bias", [3]),
        tensor_case("adapter", "adapter", [2, 6]),
    ],
}
print(json.dumps(shown(CASE), indent=1).replace("\n    ", " ").replace("\n   ]", " ]"))
