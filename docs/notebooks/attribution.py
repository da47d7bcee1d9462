# %% [markdown]
# # Attribution
#
# **Which training examples produced this prediction?**
#
# Training moves the parameters step by step, and each step is made of the gradients of the examples in its batch and
# of the optimizer's own terms. So the output of the trained network is a sum over examples, steps and parameters
# (Bell et al., arXiv 2308.00824; for Adam and AdamW: *ExPLAIND*, arXiv 2505.20076). The *path kernel* computes this
# sum. The *metagradient* is another answer: the derivative of the output in the weight of each training example,
# through the whole of training (*MAGIC*, arXiv 2504.16430).
#
# Three questions about both: does the sum add up, what does it show, and what does it say about a training without
# some examples? The last one is answered by such trainings.

# %%
import glob

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import spearmanr

import mechlab
from mechlab.kernels import (
    gradient_dot,
    metagradient,
    nearest,
    path_kernel,
    retrained_outputs,
    trak,
)

plt.rcParams.update({"figure.dpi": 80, "font.size": 8})

# %% [markdown]
# ## Train
#
# A perceptron distinguishes handwritten threes from eights (scikit-learn's digits), 200 steps of AdamW.
# `history=full` records every step, which attribution needs. The last line that the command prints names the folder
# of the run.

# %% language="bash"
# python -m mechlab.train experiment=epk_mlp "task.classes=[3,8]" optimizer=adamw history=full \
#     "analysis=[]" > train.log && tail -n 1 train.log

# %%
run = mechlab.load_run(glob.glob("runs/digits-mlp/*")[0])
train, test = run.task.examples("train"), run.evaluation("test")
name = f"perceptron, digits 3 and 8, seed {run.seed}"
digits = [3, 8]

right = torch.log_softmax(run.predict(test.inputs).outputs, -1)[
    torch.arange(len(test)), test.targets
]
hardest = right.argsort()[:4]
explained = test[
    hardest
]  # the four test images with the least probability of their own class
print(f"{len(train)} training images, {len(test)} test images")
print(f"test accuracy: {run.results['metrics']['test/accuracy']:.3f}")
for target, value in zip(explained.targets, right[hardest]):
    print(f"a {digits[target]}: probability of its own class {value.exp():.3f}")

# %% [markdown]
# ## Does the sum add up?
#
# The explained scalar is the margin, the log-odds of an image's own class. It changes over training by the sum of all
# terms. *Quadrature* is the error of the integral along each step (here with four nodes), *rounding* what
# floating-point arithmetic leaves.

# %%
account = path_kernel(run, explained, "margin", nodes=4)
terms = {
    "data": account.data,
    "weight decay": account.decay,
    "quadrature": account.residual,
    "rounding": account.arithmetic,
    "sum of all terms": account.data
    + account.decay
    + account.clipping
    + account.residual
    + account.arithmetic,
    "change of the margin": account.final - account.initial,
}
figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
for i, target in enumerate(explained.targets):
    values = [float(term[i, 0]) for term in terms.values()]
    axis.plot(
        np.arange(len(terms)) + 0.1 * (i - 1.5),
        values,
        "os^D"[i],
        label=f"image {i + 1}, a {digits[target]}",
    )
axis.axhline(0, color="#888888", linewidth=0.8)
axis.set_xticks(range(len(terms)), terms, rotation=20, ha="right")
axis.set_ylabel("change of the margin (nats)")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(f"Terms of the path kernel: {name}")
plt.show()
print(
    "largest difference of sum and change:",
    f"{np.abs(account.completeness).max():.1e} nats",
)
print("largest quadrature term:", f"{np.abs(account.residual).max():.1e} nats")

# %% [markdown]
# That the terms sum to the change holds by construction, for any network, and is no evidence about it. What can be
# wrong is the size of the quadrature term, and it is small here.
#
# ## When, and where?
#
# The same sum in other orders: by the step whose gradient it is (left, accumulated), and by the tensor that moved
# (right).

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
for part in ("data", "decay"):
    axes[0].plot(
        account.steps + 1,
        account.by_step[part][:, 0, 0].cumsum(),
        label="data" if part == "data" else "weight decay",
    )
axes[0].plot(
    account.steps + 1,
    account.by_step["change"][:, 0, 0].cumsum(),
    "k:",
    label="margin, less its initial value",
)
axes[0].set(
    xlabel="optimiser step", ylabel="nats, accumulated", ylim=(None, 0.75)
)
axes[0].legend(loc="upper right")
tensors = account.layout.names
for i, (part, label) in enumerate(
    (("data", "data"), ("decay", "weight decay"))
):
    axes[1].barh(
        np.arange(len(tensors)) + 0.4 * i - 0.2,
        account.by_tensor[part][0, 0],
        0.4,
        label=label,
    )
axes[1].axvline(0, color="#888888", linewidth=0.8)
axes[1].set_yticks(range(len(tensors)), tensors)
axes[1].invert_yaxis()
axes[1].set(xlabel="nats")
axes[1].legend()
figure.suptitle(f"Path kernel by step and by tensor: {name}, first image")
plt.show()

# %% [markdown]
# ## Which images?
#
# The training images with the largest influence on the margin of the first image, for and against, by the path
# kernel.

# %%
influence = account.influence[0, 0]  # (251,), by the id of the training image
order = np.argsort(influence)
chosen = [*order[::-1][:5], *order[:5]]
figure, axes = plt.subplots(1, 11, figsize=(9, 1.5), layout="constrained")
axes[0].imshow(explained.inputs[0, 0], cmap="gray_r")
axes[0].set_title(f"explained\n{digits[explained.targets[0]]}")
for axis, k in zip(axes[1:], chosen):
    axis.imshow(train.inputs[k, 0], cmap="gray_r")
    axis.set_title(f"{digits[train.targets[k]]}\n{influence[k]:+.2f}")
for axis in axes:
    axis.set_xticks([])
    axis.set_yticks([])
figure.suptitle(f"Training images with the largest influence (nats): {name}")
plt.show()

same = (train.targets == explained.targets[0]).numpy()
first = path_kernel(run.at(1), explained[:1], "margin", nodes=4).influence[
    0, 0
]  # the training stopped after one step
for title, values in (
    ("200 steps", influence),
    ("one step, images of its batch", first),
):
    own, others = (
        (values[which & (values != 0)] > 0).mean() for which in (same, ~same)
    )
    print(
        f"after {title}: {own:.2f} of the images of its class have a positive "
        f"influence, {others:.2f} of the others"
    )

# %% [markdown]
# Images of the same class raise the margin, the others lower it. This is no finding about what the network has
# learned: it is the same after one step from random weights, because the margin of a class names the class. The
# control shows what an influence must exceed to mean anything.
#
# ## Leave one out
#
# What happens to the margin when the network is trained again without one image? `retrained_outputs` does it, from
# the same initial weights and with the same batches, here for 48 training images: the 24 with the largest
# metagradients and 24 others.

# %%
derivative = metagradient(run, explained, "margin").derivative[:, 0]  # (4, 251)
largest = np.argsort(-np.abs(derivative[0]))
left_out = np.concatenate(
    [
        largest[:24],
        np.random.default_rng(0).choice(largest[24:], 24, replace=False),
    ]
)
weights = np.ones((49, len(train)))  # the first training leaves nothing out
weights[np.arange(1, 49), left_out] = 0
margins = retrained_outputs(run, explained, weights, "margin")[:, 0, 0]
change = margins[1:] - margins[0]

figure, axes = plt.subplots(
    1, 2, figsize=(8, 3.1), layout="constrained", sharey=True
)
for axis, (title, scores) in zip(
    axes, {"metagradient": derivative[0], "path kernel": influence}.items()
):
    predicted = -scores[left_out]
    axis.plot(
        predicted[:24],
        change[:24],
        "o",
        markersize=4,
        label="largest metagradients",
    )
    axis.plot(predicted[24:], change[24:], "s", markersize=4, label="others")
    ends = np.array(axis.get_xlim())
    axis.plot(
        ends,
        ends,
        color="#888888",
        linewidth=0.8,
        zorder=0,
        label="predicted = actual",
    )
    axis.set_ylim(1.15 * change.min(), 1.15 * change.max())
    axis.set(title=title, xlabel="predicted change of the margin (nats)")
    correlation, slope = (
        np.corrcoef(predicted, change)[0, 1],
        np.polyfit(predicted, change, 1)[0],
    )
    print(
        f"{title}: correlation {correlation:.3f}, slope {slope:.2f} (exact: 1)"
    )
axes[0].set_ylabel("change after retraining (nats)")
axes[1].legend()
figure.suptitle(f"Without one training image: {name}, first image")
plt.show()

# %% [markdown]
# ## Leave many out
#
# The linear datamodeling score: 60 times a random tenth of the training images is left out. How well does the sum of
# the scores of the images that stay rank the margins after retraining? Shown are the four explained images and their
# mean; the control is the metagradient with the images permuted.

# %%
rng = np.random.default_rng(1)
kept = np.ones((60, len(train)))
for row in kept:
    row[rng.choice(len(train), len(train) // 10, replace=False)] = 0
actual = retrained_outputs(run, explained, kept, "margin")[:, :, 0]  # (60, 4)
methods = {
    "metagradient": derivative,
    "TRAK": trak(run, explained, "margin")[:, 0],
    "path kernel": account.influence[:, 0],
    "gradient product": gradient_dot(run, explained, "margin")[:, 0],
    "nearest neighbours": nearest(run, explained, "margin")[:, 0],
    "metagradient, permuted": derivative[:, rng.permutation(len(train))],
}
correlations = {
    title: [
        spearmanr(kept @ scores[i], actual[:, i]).statistic for i in range(4)
    ]
    for title, scores in methods.items()
}
figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
for i, values in enumerate(correlations.values()):
    axis.plot(
        values,
        [i] * 4,
        "o",
        color="C0",
        alpha=0.5,
        markersize=4,
        label="one image" if i == 0 else None,
    )
    axis.plot(
        np.mean(values),
        i,
        "|",
        color="black",
        markersize=14,
        label="mean of four" if i == 0 else None,
    )
axis.axvline(0, color="#888888", linewidth=0.8)
axis.set_yticks(range(len(correlations)), correlations)
axis.invert_yaxis()
axis.set(
    xlabel="rank correlation of predicted and actual margins", xlim=(-0.5, 1.02)
)
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(f"Without a tenth of the images: {name}")
plt.show()
for title, values in correlations.items():
    print(f"{title}: {np.mean(values):.2f}")

# %% [markdown]
# ## What one reads from this
#
# An exact sum is not a prediction. The path kernel accounts for the training that took place, to the last digit; what
# would have happened without an image is what the metagradient says, and retraining bears it out. Four images and one
# network are an illustration: the [page on attribution](../attribution.md) has intervals, other networks and the cost
# of each method.
