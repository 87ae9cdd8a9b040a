#!/usr/bin/python3
"""usage: scripts/bench/train_pytorch.py [REPEATS [BATCH [PRECISION]]]
The same steps as scripts/bench/train.lua in PyTorch (Debian's python3-torch), for a comparison in
one run: the same layers on the same samples, oneDNN's convolutions (channels last crashes in
1.13.0). BATCH: triplets (16 and 8). PRECISION: f32, or bf16 by autocast. Best and median of REPEATS
(5), by wall clock, on all threads and on one."""
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

RATE, SAMPLES, N_FFT, HOP, N_MELS = 32000, 160000, 4096, 1227, 128


class Mel(nn.Module):
    """Log mel power, each band's mean taken away, 20 dB as 1."""

    def __init__(self):
        super().__init__()
        mel = torch.linspace(0, 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700)), N_MELS + 2)
        edge = 700 * (10 ** (mel / 2595) - 1)
        bins = torch.arange(N_FFT // 2 + 1) * RATE / N_FFT
        up = (bins - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
        down = (edge[2:, None] - bins) / (edge[2:] - edge[1:-1])[:, None]
        self.register_buffer("matrix", torch.clamp(torch.minimum(up, down), min=0))
        self.register_buffer("window", torch.hann_window(N_FFT))

    def forward(self, x):
        s = torch.stft(x, N_FFT, HOP, window=self.window, return_complex=True).abs() ** 2
        db = 10 * torch.log10(torch.clamp(self.matrix @ s, min=1e-10))
        return ((db - db.mean(2, keepdim=True)) / 20)[:, None]


class Block(nn.Module):
    def __init__(self, ci, co, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(ci, co, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(co, co, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(co), nn.BatchNorm2d(co)
        self.shortcut = nn.Sequential()
        if stride != 1 or ci != co:
            self.shortcut = nn.Sequential(nn.Conv2d(ci, co, 1, stride, bias=False), nn.BatchNorm2d(co))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.shortcut(x), inplace=True)


class TileNet(nn.Module):
    """widths: of five stages. bands: mean and maximum over time, then a linear map of all bands,
    and a projection for the loss; else the mean of 4 x 4."""

    def __init__(self, widths, z, bands):
        super().__init__()
        self.mel, self.bands = Mel(), bands
        self.conv1, self.bn1 = nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0])
        blocks, ci = [], widths[0]
        for stage, co in enumerate(widths):
            blocks += [Block(ci, co, 1 if stage == 0 else 2), Block(co, co, 1)]
            ci = co
        self.blocks = nn.Sequential(*blocks)
        if bands:
            self.mean, self.max = (nn.Conv2d(ci, z, (4, 1), bias=False) for _ in range(2))
            self.projection = nn.Linear(z, 64)

    def forward(self, x):
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            x = self.mel(x)
        x = self.blocks(F.relu(self.bn1(self.conv1(x)), inplace=True))
        if not self.bands:
            return F.avg_pool2d(x, 4).flatten(1)
        x = self.mean(x.mean(3, keepdim=True)) + self.max(x.amax(3, keepdim=True))
        x = x.flatten(1)
        return self.projection(F.relu(x)) if self.training else x


def timed(repeats, work):
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), statistics.median(seconds)


def measure(name, net, threads, repeats, batch, precision):
    torch.set_num_threads(threads)
    adam = torch.optim.AdamW(net.parameters(), 1e-3, (0.5, 0.999))
    roles = [torch.rand(batch, SAMPLES) - 0.5 for _ in range(3)]
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

    def step():
        net.train()
        adam.zero_grad(set_to_none=True)
        with mixed:
            a, p, n = (net(role) for role in roles)
        F.triplet_margin_loss(a.float(), p.float(), n.float()).backward()
        adam.step()

    def encode():
        net.eval()
        with torch.no_grad(), mixed:
            net(torch.cat(roles))

    best, median = timed(repeats, step)
    label = f"{name:7s} {threads} threads"
    print(f"{label} train  B={batch}  best {best * 1e3:8.1f} ms  median {median * 1e3:8.1f} ms  "
          f"{batch / median:6.2f} triplets/s", flush=True)
    best, median = timed(repeats, encode)
    print(f"{label} encode n={3 * batch}  best {best * 1e3:8.1f} ms  median {median * 1e3:8.1f} ms  "
          f"{3 * batch / median:6.2f} windows/s", flush=True)


def main():
    if "--help" in sys.argv or "-h" in sys.argv:
        print(__doc__)
        return
    told = dict(enumerate(sys.argv[1:]))
    repeats, precision = int(told.get(0) or 5), told.get(2) or "f32"
    print(f"PyTorch {torch.__version__}, {precision}, median of {repeats}")
    for name, widths, z, bands, batch in (("default", (8, 16, 32, 64, 64), 256, True, 16),
                                          ("full", (64, 128, 256, 512, 512), 512, False, 8)):
        for threads in sorted({os.cpu_count(), 1}, reverse=True):
            measure(name, TileNet(widths, z, bands), threads, repeats, int(told.get(1) or batch), precision)


main()
