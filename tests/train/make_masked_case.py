#!/usr/bin/env python3
"""Writes golden/masked_case.json: training steps of a tiny Llama with a loss mask, in float64.

It needs only Python and shares no code with ane-train: gradients come from reverse-mode differentiation of scalars.

    tests/train/make_masked_case.py > tests/train/golden/masked_case.json
"""
import json
import math
import random


class Value:
    """A number that remembers what it was computed from, with the derivatives by it."""

    __slots__ = ("number", "gradient", "inputs")

    def __init__(self, number, inputs=()):
        self.number, self.gradient, self.inputs = number, 0.0, inputs

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.number + other.number, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.number * other.number, ((self, other.number), (other, self.number)))

    def function(self, number, derivative):
        return Value(number, ((self, derivative),))

    def exp(self):
        e = math.exp(self.number)
        return self.function(e, e)

    def log(self):
        return self.function(math.log(self.number), 1 / self.number)

    def power(self, exponent):
        return self.function(self.number**exponent, exponent * self.number ** (exponent - 1))

    def differentiate(self):
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            value, done = stack.pop()
            if done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                stack.append((value, True))
                stack.extend((each, False) for each, _ in value.inputs)
        self.gradient = 1.0
        for value in reversed(order):
            for each, derivative in value.inputs:
                each.gradient += derivative * value.gradient


def total(values):
    sum_ = Value(0.0)
    for value in values:
        sum_ = sum_ + value
    return sum_


DIM, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, VOCAB, SEQ, EPS, THETA = 8, 12, 2, 1, 4, 11, 6, 1e-5, 10000.0
LAYER = "model.layers.0."
SHAPES = {
    "model.embed_tokens.weight": (VOCAB, DIM),
    LAYER + "input_layernorm.weight": (DIM,),
    LAYER + "self_attn.q_proj.weight": (HEADS * HEAD_DIM, DIM),
    LAYER + "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, DIM),
    LAYER + "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, DIM),
    LAYER + "self_attn.o_proj.weight": (DIM, HEADS * HEAD_DIM),
    LAYER + "post_attention_layernorm.weight": (DIM,),
    LAYER + "mlp.gate_proj.weight": (HIDDEN, DIM),
    LAYER + "mlp.up_proj.weight": (HIDDEN, DIM),
    LAYER + "mlp.down_proj.weight": (DIM, HIDDEN),
    "model.norm.weight": (DIM,),
}


def rows(p, name):
    columns = SHAPES[name][1]
    return [p[name][i : i + columns] for i in range(0, len(p[name]), columns)]


def product(p, name, x):
    return [total(w * v for w, v in zip(row, x)) for row in rows(p, name)]


def norm(p, name, x):
    r = (total(v * v for v in x) * (1 / len(x)) + EPS).power(-0.5)
    return [w * v * r for w, v in zip(p[name], x)]


def rotate(x, position):
    half = HEAD_DIM // 2
    out = [None] * HEAD_DIM
    for i in range(half):
        angle = position * THETA ** (-2 * i / HEAD_DIM)
        c, s = math.cos(angle), math.sin(angle)
        out[i] = x[i] * c + x[i + half] * -s
        out[i + half] = x[i + half] * c + x[i] * s
    return out


def heads(x, count, position=None):
    parts = [x[i * HEAD_DIM : (i + 1) * HEAD_DIM] for i in range(count)]
    return parts if position is None else [rotate(part, position) for part in parts]


def softmax(x):
    largest = max(v.number for v in x)
    e = [(v + -largest).exp() for v in x]
    inverse = total(e).power(-1)
    return [v * inverse for v in e]


def losses(p, tokens):
    """Cross-entropy of each position."""
    embedding = rows(p, "model.embed_tokens.weight")
    stream = [embedding[token] for token in tokens[:-1]]
    keys, values, after = [], [], []
    for position, x in enumerate(stream):
        h = norm(p, LAYER + "input_layernorm.weight", x)
        q = heads(product(p, LAYER + "self_attn.q_proj.weight", h), HEADS, position)
        keys.append(heads(product(p, LAYER + "self_attn.k_proj.weight", h), KV_HEADS, position))
        values.append(heads(product(p, LAYER + "self_attn.v_proj.weight", h), KV_HEADS))
        mixed = []
        for head in range(HEADS):
            kv = head * KV_HEADS // HEADS
            weights = softmax([total(a * b for a, b in zip(q[head], k[kv])) * HEAD_DIM**-0.5 for k in keys])
            mixed += [total(w * v[kv][i] for w, v in zip(weights, values)) for i in range(HEAD_DIM)]
        x = [a + b for a, b in zip(x, product(p, LAYER + "self_attn.o_proj.weight", mixed))]
        h = norm(p, LAYER + "post_attention_layernorm.weight", x)
        gate = product(p, LAYER + "mlp.gate_proj.weight", h)
        up = product(p, LAYER + "mlp.up_proj.weight", h)
        inner = [g * ((g * -1.0).exp() + 1.0).power(-1) * u for g, u in zip(gate, up)]
        after.append([a + b for a, b in zip(x, product(p, LAYER + "mlp.down_proj.weight", inner))])
    result = []
    for x, target in zip(after, tokens[1:]):
        logits = product(p, "model.embed_tokens.weight", norm(p, "model.norm.weight", x))
        result.append(softmax(logits)[target].log() * -1.0)
    return result


def main():
    rng = random.Random(5)
    numbers = {}
    for name, shape in SHAPES.items():
        middle, deviation = (1.0, 0.1) if len(shape) == 1 else (0.0, shape[1] ** -0.5)
        # Numbers that fp32 represents.
        numbers[name] = [round((middle + rng.gauss(0, deviation)) * 1024) / 1024 for _ in range(math.prod(shape))]
    # Two sequences for each update. One has no token that counts, and so has all of the third update.
    masks = ["011010", "000111", "000000", "000100", "000000", "000000", "111111", "100000"]
    sequences = [[rng.randrange(VOCAB) for _ in range(SEQ + 1)] for _ in masks]
    case = {
        "config": {"dim": DIM, "hidden": HIDDEN, "heads": HEADS, "kv_heads": KV_HEADS, "head_dim": HEAD_DIM,
                   "vocab": VOCAB, "seq_len": SEQ, "norm_eps": EPS, "rope_theta": THETA},
        "accum_steps": 2, "lr": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1,
        "parameters": {name: list(values) for name, values in numbers.items()},
        "sequences": sequences, "masks": masks, "losses": [], "mean_losses": [], "grad_norms": [],
    }
    m = {name: [0.0] * len(values) for name, values in numbers.items()}
    v = {name: [0.0] * len(values) for name, values in numbers.items()}
    applied = 0
    for update in range(len(masks) // 2):
        p = {name: [Value(number) for number in values] for name, values in numbers.items()}
        counted = []
        for i in (2 * update, 2 * update + 1):
            of_sequence = [loss for loss, bit in zip(losses(p, sequences[i]), masks[i]) if bit == "1"]
            case["losses"].append(sum(l.number for l in of_sequence) / len(of_sequence) if of_sequence else None)
            counted += of_sequence
        if not counted:
            case["mean_losses"].append(None)
            case["grad_norms"].append(0.0)
            continue
        mean = total(counted) * (1 / len(counted))
        mean.differentiate()
        case["mean_losses"].append(mean.number)
        case["grad_norms"].append(math.sqrt(sum(w.gradient**2 for values in p.values() for w in values)))
        applied += 1
        for name, values in numbers.items():
            for i, w in enumerate(p[name]):
                m[name][i] = 0.9 * m[name][i] + 0.1 * w.gradient
                v[name][i] = 0.95 * v[name][i] + 0.05 * w.gradient**2
                step = m[name][i] / (1 - 0.9**applied) / (math.sqrt(v[name][i] / (1 - 0.95**applied)) + 1e-8)
                decay = 0.1 if len(SHAPES[name]) == 2 else 0.0
                values[i] -= 0.01 * (step + decay * values[i])
    case["trained"] = numbers
    print(json.dumps(case))


main()
