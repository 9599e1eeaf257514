# SPDX-License-Identifier: MIT
"""Tulle's patterns as functions of (head, position of the query, position of the key), written from docs/semantics.md alone.

They take Python's whole numbers as well as PyTorch's tensors of them: only +, -, *, //, %, comparisons, & and | are used, and tables,
which are nested lists until `Mask.to` makes tensors of them.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from compare_npy import read  # noqa: E402


class Table:
    """Values by indices, each of which must be in range."""

    def __init__(self, values):
        self.values = values

    def __call__(self, *indices):
        if not isinstance(self.values, list):
            return self.values[indices]
        value = self.values
        for index in indices:
            value = value[index]
        return value


class Mask:
    """What a spec selects, causal included. selects(h, p, j); by_head: heads differ."""

    def __init__(self, shape):
        self.shape, self.tables, self.by_head = shape, [], False
        self.offset = shape["kv_len"] - shape["q_len"]  # of the first query's position: the last stands at the last key
        patterns = [[self.term(text) for text in split(spec, "+")] for spec in split(shape["pattern"], ";")]
        self.by_head = self.by_head or len(patterns) > 1
        self.patterns = patterns

    def selects(self, h, p, j):
        chosen = None
        for index, terms in enumerate(self.patterns):
            union = terms[0](h, p, j)
            for term in terms[1:]:
                union = union | term(h, p, j)
            if len(self.patterns) > 1:
                union = union & (h % len(self.patterns) == index)
            chosen = union if chosen is None else chosen | union
        return chosen & (j <= p) if self.shape["causal"] else chosen

    def to(self, torch, device):
        """Makes tensors of the tables."""
        for table in self.tables:
            if isinstance(table.values, list):
                table.values = torch.tensor(table.values, device=device)

    def table(self, values):
        self.tables.append(Table(values))
        return self.tables[-1]

    def term(self, text):
        kind, _, words = text.partition(":")
        words = split(words, ",") if words else []
        if kind not in TERMS:
            raise ValueError(f"the pattern has a term that is not known here: {text}")
        return TERMS[kind](self, *words)


def split(text, separator):
    """Where it stands outside of double quotes."""
    return re.split(re.escape(separator) + r'(?=(?:[^"]*"[^"]*")*[^"]*$)', text)


def values_of(word):
    """Shape and values of a FILE.npy, or of what is made up in its place."""
    name = word.strip('"')
    return made_up(name) if name.startswith("@") else read(name)


def everything(j):
    return j == j  # pylint: disable=comparison-with-itself   # True, or a tensor of it


def at_least_0(p):
    return p * (p >= 0)  # an index; what it finds does not count


def dense(_):
    return lambda h, p, j: everything(j)


def window(_, left, right):
    def selects(h, p, j):
        chosen = everything(j)
        if left != "inf":
            chosen = chosen & (p - j <= int(left))
        return chosen if right == "inf" else chosen & (j - p <= int(right))
    return selects


def dilated(mask, left, right, step):
    step = int(step)
    near = window(mask, *(word if word == "inf" else int(word) * step for word in (left, right)))
    return lambda h, p, j: near(h, p, j) & ((p - j) % step == 0)


def global_(mask, word):
    if word.isdigit():
        count = int(word)
        return lambda h, p, j: (j < count) | ((p >= 0) & (p < count))
    listed = set(values_of(word)[1])
    there = mask.table([position in listed for position in range(mask.shape["kv_len"])])
    return lambda h, p, j: there(j) | (there(at_least_0(p)) & (p >= 0))


def sink(_, count):
    return lambda h, p, j: (j < int(count)) & everything(p)


def strided(_, step):
    return lambda h, p, j: (p - j) % int(step) == 0


def fixed(_, step, count):
    step, count = int(step), int(count)
    return lambda h, p, j: (p // step == j // step) | (j % step >= step - count)


def scattered(x):
    for shift, factor in ((30, 0xbf58476d1ce4e5b9), (27, 0x94d049bb133111eb)):
        x = (x ^ x >> shift) * factor % 2 ** 64
    return x ^ x >> 31


def made_up(name):
    """Shape and values of an array that the program makes up, as its --help says."""
    numbers = list(map(int, re.findall(r"\d+", name)))
    if re.fullmatch(r"@\d+x\d+p\d+", name):  # the diagonal, and of the rest what a hash of row and column says
        rows, cols, percent = numbers
        return (rows, cols), [row == col or scattered(row << 32 | (col + 1)) % 100 < percent for row in range(rows) for col in range(cols)]
    if re.fullmatch(r"@\d+x\d+k\d+", name):  # the size x size pixels around each, at an edge the nearest
        height, width, size = numbers
        around = [(range(height)[min(max(p // width - size // 2, 0), height - size):][:size], range(width)[min(max(p % width - size // 2, 0), width - size):][:size])
                  for p in range(height * width)]
        return (height * width,) * 2, [j // width in ys and j % width in xs for ys, xs in around for j in range(height * width)]
    if re.fullmatch(r"@\d+d\d+", name):  # lengths in proportion to a hash
        length, count = numbers
        weights = [1 + scattered(i + 1) % 16 for i in range(count)]
        return (count + 1,), [length * sum(weights[:i]) // sum(weights) for i in range(count + 1)]
    if re.fullmatch(r"@\d+-\d+", name):
        first, last = numbers
        return (last - first + 1,), list(range(first, last + 1))
    raise ValueError(f"no made-up array is called {name}")


def blocks(mask, block, name):
    block = int(block)
    shape, values = values_of(name)
    layouts, rows, cols = (1, *shape)[-3:]
    cells = mask.table([[[bool(values[(l * rows + r) * cols + c]) for c in range(cols)] for r in range(rows)] for l in range(layouts)])
    mask.by_head = mask.by_head or layouts > 1
    heads_a_layout = mask.shape["heads"] // layouts  # one layout, one for each kv head or one for each head
    return lambda h, p, j: cells(h // heads_a_layout, at_least_0(p) // block, j // block) & (p >= 0)


def philox(seed, counter):
    """The first word of Philox4x32-10."""
    k0, k1 = seed % 2 ** 32, seed >> 32
    c0, c1, c2, c3 = counter
    for _ in range(10):
        m0, m1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (m1 >> 32) ^ c1 ^ k0, m1 % 2 ** 32, (m0 >> 32) ^ c3 ^ k1, m0 % 2 ** 32
        k0, k1 = (k0 + 0x9E3779B9) % 2 ** 32, (k1 + 0xBB67AE85) % 2 ** 32
    return c0


def random(mask, block, count, seed):
    block, count, seed = int(block), int(count), int(seed)
    shape = mask.shape
    every = -(-shape["kv_len"] // block)

    def drawn(head, query_block):
        among, taken = query_block + 1 if shape["causal"] else every, set()
        for t in range(max(0, among - count), among):
            if count >= among:
                return set(range(among))
            u = philox(seed, (t, query_block, head, 0)) * (t + 1) >> 32
            taken.add(t if u in taken else u)
        return taken
    rows = [[drawn(head, query_block) for query_block in range(every)] for head in range(shape["heads"])]
    cells = mask.table([[[key_block in row for key_block in range(every)] for row in rows_of] for rows_of in rows])
    mask.by_head = True
    return lambda h, p, j: cells(h, at_least_0(p) // block, j // block) & (p >= 0)


def documents(mask, name):
    bounds = values_of(name)[1]
    numbers = [sum(bound <= position for bound in bounds) for position in range(mask.shape["kv_len"])]
    last = len(bounds)
    document = mask.table(numbers)
    return lambda h, p, j: (document(at_least_0(p)) == document(j)) & (document(j) < last) & (p >= 0)


TERMS = {"dense": dense, "window": window, "dilated": dilated, "global": global_, "sink": sink, "strided": strided, "fixed": fixed,
         "blocks": blocks, "random": random, "documents": documents}
