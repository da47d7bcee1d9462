# %% [markdown]
# # Binding
#
# **Where does a recurrent network keep its variables?**
#
# A network reads four vectors of four signs and then repeats them. For that it must hold 16 variables and move them
# on at each step. The claim (Karuvally et al., arXiv 2310.02430) is that the trained network, linearised where its
# state is 0, is the companion matrix Φ of the rule in other coordinates. Three things follow, and each is looked at
# here beside a network that was not trained: its eigenvalues are those of Φ, every variable has a direction of its
# own in the state, and to change the state along that direction is to change the variable.

# %%
import glob

import matplotlib.pyplot as plt
import numpy as np
import torch

import mechlab
from mechlab.binding import linearise, observability_decoder, spectral_distance

plt.rcParams.update({"figure.dpi": 80, "font.size": 8})

# %% [markdown]
# ## Train
#
# An Elman network of 64 units, on 2 to 16 repeats, tested on 50, in some 25 seconds of processor time. The last line
# that the command prints names the folder of the run.

# %% language="bash"
# python -m mechlab.train experiment=binding_quick "analysis=[spectrum]" > train.log && tail -n 1 train.log

# %%
run = mechlab.load_run(glob.glob("runs/repeat_copy-rnn/*")[0])
rule = run.task.ground_truth()  # the companion matrix and its spectrum
s = d = 4
name = f"Elman network, 64 units, repeat copy of 4 vectors, seed {run.seed}"

batch = run.evaluation("test", 100)
prediction = run.predict(batch.inputs)
print(
    f"accuracy over {batch.targets.shape[1]} steps: "
    f"{prediction.score['accuracy'].mean():.4f} (chance: 0.5)"
)
print(
    "shapes of inputs, targets and outputs:",
    *map(
        tuple,
        (batch.inputs.shape, batch.targets.shape, prediction.outputs.shape),
    ),
)

# %% [markdown]
# The first 24 steps of one sequence: what the network reads, what it should output, and what it does.

# %%
figure, axes = plt.subplots(
    1, 3, figsize=(8, 1.9), layout="constrained", sharey=True
)
panels = {
    "inputs": batch.inputs[0],
    "targets": batch.targets[0],
    "outputs of the network": prediction.outputs[0],
}
for axis, (title, values) in zip(axes, panels.items()):
    image = axis.imshow(
        values[:24].T,
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    axis.axvline(s - 0.5, color="black", linewidth=0.8)
    axis.set(title=title, xlabel="step")
axes[0].set(ylabel="component", yticks=range(d))
figure.colorbar(image, ax=axes, label="value")
figure.suptitle(name)
plt.show()

# %% [markdown]
# ## Eigenvalues
#
# `linearise` returns the matrices of any recurrent model at the origin; of an Elman network these are its weights.
# The theory has an eigenvalue at each fourth root of one, four times each. `spectral_distance` pairs learned and
# theoretical eigenvalues so that the sum of the angles between them is least, and reports rank, angle and modulus
# apart.

# %%
networks = {
    "trained": linearise(run.model()),
    "untrained": linearise(run.untrained()),
}
distances = {
    which: spectral_distance(network.recurrent, rule.matrix)
    for which, network in networks.items()
}

circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
figure, axes = plt.subplots(
    1, 2, figsize=(8, 3.3), layout="constrained", sharex=True, sharey=True
)
for axis, (which, network) in zip(axes, networks.items()):
    values = np.linalg.eigvals(network.recurrent)
    axis.plot(circle.real, circle.imag, color="#bbbbbb", linewidth=0.8)
    axis.plot(values.real, values.imag, ".", label="network (64)")
    axis.plot(
        rule.spectrum.real,
        rule.spectrum.imag,
        "o",
        markersize=10,
        markerfacecolor="none",
        color="C3",
        label="theory (4 at each ring)",
    )
    axis.set(
        title=which, aspect="equal", xlabel="real part", ylabel="imaginary part"
    )
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(f"Eigenvalues: {name}")
plt.show()

for which, distance in distances.items():
    print(
        f"{which}: rank {distance.rank} of {distance.rank_theory}, mean angle "
        f"error {distance.angle_error:.4f} rad, ",
        end="",
    )
    print(f"mean |log modulus| {distance.modulus_error:.3f} nats")
chance = run.findings["spectrum"]["scalars"]["chance_angle_error"]
print(f"chance, random orthogonal matrices of rank 16: {chance:.3f} rad")

# %% [markdown]
# Sixteen eigenvalues of the trained network lie where the theory puts them, all others decay. Their moduli are a
# little above one: the network saturates, so that what would grow becomes a cycle of constant size. Before training
# no eigenvalue lasts.
#
# ## A direction for each variable
#
# The decoder D finds the variables by what a state makes the network output in the next steps. In its coordinates the
# trained network should be the companion matrix: a shift by one vector of the four, with the oldest one coming in
# again.

# %%
decoders = {
    which: observability_decoder(
        network.recurrent, network.readout, rule.matrix, rank=16
    )
    for which, network in networks.items()
}
matrices = {"theory: Φ": rule.matrix} | {
    f"{which}: D W Ψ": decoder.decode
    @ networks[which].recurrent
    @ decoder.basis
    for which, decoder in decoders.items()
}
figure, axes = plt.subplots(
    1, 3, figsize=(8, 2.9), layout="constrained", sharey=True
)
for axis, (title, matrix) in zip(axes, matrices.items()):
    image = axis.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    for edge in (3.5, 7.5, 11.5):
        axis.axhline(edge, color="#999999", linewidth=0.5)
        axis.axvline(edge, color="#999999", linewidth=0.5)
    axis.set(title=title, xlabel="variable before")
axes[0].set_ylabel("variable after one step")
figure.colorbar(image, ax=axes, label="weight")
figure.suptitle(f"Interaction of the variables: {name}")
plt.show()

# %% [markdown]
# In twelve of the sixteen rows an untrained network looks right too: that variables shift from one vector to the next
# follows from how D is made, by outputs of later and later steps. What the network had to learn are the last four
# rows, by which the oldest vector comes in again.
#
# Do the decoded numbers follow the variables of a sequence? The window of the rule after t steps holds the last four
# vectors; the decoder reads it from the state alone.

# %%
states = run.cache(batch.inputs)[
    "state"
].numpy()  # (100, T+1, 64), the initial state first
sequence = torch.where(
    torch.arange(204)[:, None] < s, batch.inputs, batch.targets
).numpy()
window = np.stack(
    [sequence[:, t - s : t].reshape(100, -1) for t in range(s, 29)], 1
)  # (100, 25, 16)
decoded = states[:, s:29] @ decoders["trained"].decode.T

figure, axes = plt.subplots(
    1, 2, figsize=(8, 2.8), layout="constrained", sharey=True
)
for axis, (title, values) in zip(
    axes,
    {
        "the rule's variables": window[0],
        "decoded from the state": decoded[0],
    }.items(),
):
    image = axis.imshow(
        values.T,
        cmap="RdBu_r",
        vmin=-1.5,
        vmax=1.5,
        aspect="auto",
        interpolation="nearest",
        extent=(3.5, 28.5, 15.5, -0.5),
    )
    axis.set(title=title, xlabel="step")
axes[0].set_ylabel("variable (oldest vector first)")
figure.colorbar(image, ax=axes, label="value")
figure.suptitle(name)
plt.show()
print(
    "signs decoded right over 100 sequences and 25 steps: "
    f"{(np.sign(decoded) == window).mean():.4f} (chance: 0.5)"
)

# %% [markdown]
# ## Change one variable
#
# A readable variable need not be used. `run.patch` replaces the state after step 8, at the end of the first
# repeat, and runs on: variable i is flipped by a step along its column of Ψ, the inverse of the decoder. The network
# should then repeat the *changed* sequence. The control is a step of the same length in a random direction.

# %%
at, horizon = 8, 40
inputs = batch.inputs[:, : at + horizon]
here = window[:, at - s]  # (100, 16), the variables after step 8
rng = np.random.default_rng(0)
intact = run.predict(inputs).outputs.sign().numpy()[:, at:]
followed = {
    "along the variable's direction": np.empty(16),
    "along a random direction": np.empty(16),
}
undisturbed = {title: np.empty(16) for title in followed}
for i in range(16):
    changed = here.copy()
    changed[:, i] *= -1
    future = np.tile(
        changed.reshape(100, s, d), (1, horizon // s, 1)
    )  # the rule, from the changed variables on
    affected = future != np.tile(here.reshape(100, s, d), (1, horizon // s, 1))
    direction = decoders["trained"].basis[:, i]
    other = rng.standard_normal(64)
    other *= np.linalg.norm(direction) / np.linalg.norm(other)
    for title, vector in zip(followed, (direction, other)):
        state = torch.as_tensor(
            states[:, at] - 2 * here[:, i, None] * vector, dtype=torch.float32
        )
        outputs = (
            run.patch(inputs, {f"state@{at}": state}).sign().numpy()[:, at:]
        )
        followed[title][i] = (outputs == future)[affected].mean()
        undisturbed[title][i] = (outputs == future)[~affected].mean()

figure, axes = plt.subplots(
    1, 2, figsize=(7, 2.9), layout="constrained", sharey=True
)
for axis, (title, shares) in zip(axes, followed.items()):
    image = axis.imshow(shares.reshape(s, d), cmap="viridis", vmin=0, vmax=1)
    for i, share in enumerate(shares):
        axis.text(
            i % d,
            i // d,
            f"{share:.2f}",
            ha="center",
            va="center",
            color="white" if share < 0.6 else "black",
        )
    axis.set(title=title, xlabel="component", xticks=range(d))
axes[0].set(ylabel="vector of the sequence", yticks=range(s))
figure.colorbar(
    image, ax=axes, label="share of outputs that change as they should"
)
figure.suptitle(f"After a flip of one variable: {name}")
plt.show()
for title in followed:
    print(
        f"{title}: outputs that should change do so in "
        f"{followed[title].mean():.4f},",
        end=" ",
    )
    print(f"the others stay right in {undisturbed[title].mean():.4f}")

# %% [markdown]
# ## For how long?
#
# Accuracy far beyond the 16 repeats of the training. `at_length` is the same task with more repeats.

# %%
longer = run.task.at_length(500).generate(
    64, "test", torch.Generator().manual_seed(0)
)  # 500 repeats: 2,000 steps
with torch.no_grad():
    curves = {
        which: ((model(longer.inputs).outputs >= 0) == (longer.targets > 0))[
            :, s:
        ]
        .float()
        .mean((0, 2))
        .reshape(-1, 20)
        .mean(1)
        for which, model in {
            "trained": run.model(),
            "untrained": run.untrained(),
        }.items()
    }
figure, axis = plt.subplots(figsize=(5, 2.8), layout="constrained")
for (which, curve), style in zip(curves.items(), ("-", "--")):
    axis.plot(np.arange(len(curve)) * 20 + 10, curve, style, label=which)
axis.axvspan(0, 64, color="#dddddd", zorder=0, label="lengths of the training")
axis.axhline(0.5, color="#888888", linewidth=0.8)
axis.set(
    xlabel="step after the input",
    ylabel="accuracy, mean of 20 steps",
    ylim=(0.45, 1.02),
)
axis.legend()
figure.suptitle(name)
plt.show()

# %% [markdown]
# ## What one reads from this
#
# Spectrum, interaction matrix and flips agree: the network computes the companion matrix in coordinates of its own,
# and it uses the variables that are decoded. The last figure bounds this: some hundred steps beyond the training,
# errors accumulate. A spectrum within a thousandth of a radian of the theory does not say for how long a network
# computes right; a run of many steps does. The [page on binding](../binding.md) has the four tasks of the paper,
# networks in which an eigenvalue is missing, and the same tests on other architectures.
