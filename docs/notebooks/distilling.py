# %% [markdown]
# # Distilling
#
# **Which program does a network compute?**
#
# A network that has learned an exact rule should be replaceable by the rule: a few lines that a person can read, that
# agree with the network, and that work for inputs of sizes that it never saw. Two kinds of networks are turned into
# programs here.
#
# *Essence networks* have three layers of threshold units, fitted without gradients, and tell columns from rows in an
# image. The question is that of Blazek, Venkatesh and Lin (*Automated discovery of algorithms from data*, 2024); the
# method is mechlab's own. The second network is recurrent, reads integers and adds binary numbers, a task of the MIPS
# benchmark (Michaud et al., arXiv 2402.05110).

# %%
import glob

import matplotlib.pyplot as plt
import numpy as np
import torch

import mechlab
from mechlab.distill import distill, distill_rnn, distill_sizes
from mechlab.distill.certificate import DistillError
from mechlab.tasks.orientation import Orientation

plt.rcParams.update({"figure.dpi": 80, "font.size": 8})

# %% [markdown]
# ## Five networks, from 6 × 6 to 28 × 28 pixels
#
# Each saw the 2N full lines of an image of N × N pixels and nothing else. A multirun (`-m`) makes all five; the last
# lines that it prints name the folders of the runs.

# %% language="bash"
# python -m mechlab.train -m experiment=distill_orientation "analysis=[]" > train.log && tail -n 5 train.log

# %%
runs = sorted(
    map(mechlab.load_run, glob.glob("runs/orientation-enn/*")),
    key=lambda run: run.config["task"]["size"],
)
networks = {
    run.config["task"]["size"]: run.model().layers() for run in runs
}  # arrays (n_in + 1, n_out), biases last
parameters = {
    size: sum(layer.size for layer in layers)
    for size, layers in networks.items()
}
print(
    "parameters:",
    ", ".join(f"{count:,} (N = {size})" for size, count in parameters.items()),
)

rng = np.random.default_rng(0)
first = networks[6][
    0
]  # (37, 36): 36 units that read 6 x 6 pixels, and their biases
permuted = rng.permuted(first, axis=0)
figure, axes = plt.subplots(
    2, 9, figsize=(9, 2.6), layout="constrained", sharex=True, sharey=True
)
for row, layer in zip(axes, (first, permuted)):
    for i, axis in enumerate(row):
        weights = layer[:-1, 4 * i].reshape(6, 6)
        image = axis.imshow(
            weights,
            cmap="RdBu_r",
            vmin=-np.abs(first).max(),
            vmax=np.abs(first).max(),
        )
for i, axis in enumerate(axes[0]):
    axis.set_title(f"unit {4 * i}")
axes[0, 0].set_ylabel("fitted\nrow (pixels)")
axes[1, 0].set_ylabel("permuted\nrow (pixels)")
axes[1, 4].set_xlabel("column (pixels)")
figure.colorbar(image, ax=axes, label="weight")
figure.suptitle(
    "Weights of first-layer units over the image: essence network, "
    "orientation, N = 6, seed 0"
)
plt.show()

# %% [markdown]
# Each unit compares one column with one row; where they cross the weights cancel. The second row is a control for
# what follows: the weights of each unit permuted, a network with the same numbers and without the structure.
#
# ## One network, one program
#
# `distill` finds the integers behind the weights, groups units that differ by their places alone, and proves that
# each unit of the network has the sign that the program computes.

# %%
program = distill(networks[28], (28, 28))
print(program.source)
print(
    "certificate:",
    program.status,
    "for",
    program.certificate.units[1],
    "units,",
    f"{parameters[28]:,} parameters",
)

# %% [markdown]
# The network with permuted weights is a threshold network as well, so that it has a program, but not a short one. A
# network that was not fitted has no integers behind its weights.

# %%
lengths = [
    distill([layer, *networks[6][1:]], (6, 6)).lines
    for layer in (first, permuted)
]
print(f"N = 6: {lengths[0]} lines; with permuted weights {lengths[1]} lines")
try:
    distill(runs[2].untrained().layers(), (9, 9))
except DistillError as error:
    print("not fitted:", str(error).splitlines()[0])

# %% [markdown]
# ## All sizes, one program
#
# The programs of four sizes are matched block by block, and each number becomes a polynomial in N. N = 28 is left out
# and validates it.

# %%
general = distill_sizes(networks, held_out=28)
print(general.source)

# %% [markdown]
# ## On shapes that no network saw
#
# Five families of shapes, at the sizes of the networks and beyond: no network exists at N = 57 and 101. Shown are
# the program and, where there is one, the network. In both an image and its transpose have opposite answers unless
# scores are equal.

# %%
sizes = [9, 11, 28, 57, 101]
by_program, by_network = {}, {}
for size in sizes:
    families = Orientation(size=size).families(
        400, torch.Generator().manual_seed(0)
    )
    network = next(
        (run.model() for run in runs if run.config["task"]["size"] == size),
        None,
    )
    for family, images in families.items():
        answers = general(images.inputs[:, 0].numpy())
        by_program.setdefault(family, []).append(
            (answers == images.targets.numpy()).mean()
        )
        if network is not None:
            with torch.no_grad():
                by_network.setdefault(family, []).append(
                    (network(images.inputs).argmax(-1) == images.targets)
                    .double()
                    .mean()
                )

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for i, (family, values) in enumerate(by_program.items()):
    axis.plot(sizes, values, "-", color=f"C{i}", label=family.replace("_", " "))
    axis.plot(
        sizes[:3],
        by_network[family],
        "osv^D"[i],
        color=f"C{i}",
        fillstyle="none",
        markersize=7,
    )
axis.plot([], [], "ko", fillstyle="none", label="network")
axis.axhline(0.5, color="#888888", linewidth=0.8, linestyle=":", label="chance")
axis.set(
    xscale="log",
    xlabel="size N of the image (pixels)",
    ylabel="accuracy, 400 images at most",
    ylim=(0.45, 1.03),
)
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
axis.legend(title="program (lines)", loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(
    "Columns against rows: program of the size N, essence networks of seed 0"
)
plt.show()

# %% [markdown]
# ## A recurrent network that adds
#
# The network reads two bits at each step, the lowest first, and outputs the next bit of the sum. The smallest network
# that is right everywhere is searched: two numbers of state, and a perceptron of three hidden units for the step.

# %% language="bash"
# python -m mechlab.train experiment=distill_mips task.name=bit_addition "analysis=[]" > rnn.log && tail -n 1 rnn.log

# %%
run = mechlab.load_run(glob.glob("runs/mips-smallest_mlp_rnn/*")[0])
name = f"smallest recurrent network, bit_addition, seed {run.seed}"
adder = distill_rnn(run.model(), run.task)
print(adder.source)
certificate = adder.certificate
print(
    f"certificate: {adder.status}, {certificate.mismatches} mismatches on "
    f"{certificate.inputs:,} sequences"
)
for (length, count, wrong), (_, _, other) in zip(
    certificate.lengths, certificate.network_lengths
):
    print(
        f"{length} letters, {count:,} sequences: {wrong} differ from the rule "
        f"of the task, {other} from the network"
    )
try:
    distill_rnn(run.untrained(), run.task)
except DistillError as error:
    print("untrained:", str(error).splitlines()[0])

# %% [markdown]
# An untrained network is refused by definition, which is no evidence for the method. Is the register v, the sum of both
# bits and the carry, in the network's state, or does it only follow from inputs and outputs? Below are the states after
# each letter of 200 held-out sequences, coloured by the register of the program; on the right the first two components
# of the state of an untrained network.

# %%
words = run.evaluation("test", 200).inputs
a, b = words.long().numpy().transpose(2, 0, 1)
register = np.zeros((200, words.shape[1] + 1), int)
for t in range(words.shape[1]):
    register[:, t + 1] = a[:, t] + b[:, t] + (register[:, t] > 1)

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for axis, title, model in zip(
    axes, ("trained", "untrained"), (run.model(), run.untrained())
):
    with torch.no_grad():
        states = (
            model(words).states[:, 1:].flatten(0, 1)[:, :2].numpy()
        )  # two components: all of the trained network
    for value in range(4):
        here = register[:, 1:].ravel() == value
        axis.plot(
            *states[here].T,
            "osv^"[value],
            markersize=4,
            fillstyle="none",
            color=f"C{value}",
            label=f"v = {value}",
        )
    axis.set(
        title=title,
        xlabel="component 1 of the state",
        ylabel="component 2 of the state",
    )
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(name)
plt.show()
print(
    "registers are determined by:",
    certificate.origin,
    "with an",
    certificate.read_out,
    "read-out",
)

# %% [markdown]
# ## What one reads from this
#
# The first program is proved equal to networks, and general in the size. What is proved is equality; that the rule is
# a good one on other shapes is a measurement. The second is compared, not proved: on long sequences the network,
# which computes with real numbers, leaves its lattice of states now and then, and the program, with integers, does
# not. Short programs do not come from networks without structure. The [page on distilling](../distilling.md) has the
# other tasks, limits and certificates.
