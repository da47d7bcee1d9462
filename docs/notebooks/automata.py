# %% [markdown]
# # Automata
#
# **Which automaton does a recurrent network run?**
#
# A recurrent network that classifies the words of a regular language behaves like a finite automaton. Does it also
# have the automaton's states inside, as regions of its hidden state? Clusters of hidden states are often compared
# with automaton states (Muškardin et al., *On the Relationship Between RNN Hidden State Vectors and Semantic Ground
# Truth*, arXiv 2306.16854). The score is the *ambiguity* of a clustering: the entropy of the automaton state given the
# cluster, 0 where every cluster belongs to one state and 1 where clusters say nothing.
#
# The network here is a GRU, and the language is Tomita 3: no odd block of 1s is followed by an odd block of 0s. Its
# minimal automaton has 5 states.

# %%
import glob

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

import mechlab
from mechlab.automata import equivalent, minimise, read_automaton, trie_states
from mechlab.clustering import ambiguity
from mechlab.plotting.automaton import automaton_figure

plt.rcParams.update({"figure.dpi": 80, "font.size": 8})

# %% [markdown]
# ## Train
#
# One command trains the network, records its weights at log-spaced steps, and extracts an automaton from it, in some
# 20 seconds of processor time. The last line that it prints names the folder of the run.

# %% language="bash"
# python -m mechlab.train experiment=clustering_quick "analysis=[extraction]" > train.log && tail -n 1 train.log

# %%
run = mechlab.load_run(glob.glob("runs/tomita-gru/*")[0])
truth = run.task.ground_truth()  # the minimal automaton of the language
name = (
    f"GRU of {run.config['model']['hidden']} units, Tomita 3, seed {run.seed}"
)

batch = run.evaluation(
    "val", 250
)  # 250 held-out words; rows of zeros follow the end of a word
words = [
    [int(letter) for letter, read in zip(row.argmax(-1), row.any(-1)) if read]
    for row in batch.inputs
]
labels = np.concatenate(
    [truth.run([word])[0, 1:] for word in words]
)  # the automaton's state after each letter


def states_of(model):
    """Return the network's state after each letter of the words, (R, H)."""
    every = trie_states(model, words)
    return every.states[every.index]


trained, untrained = states_of(run.model()), states_of(run.untrained())
print(
    f"{len(words)} words, {len(labels)} letters, states of the automaton: "
    f"{', '.join(truth.states)}"
)
print(f"test accuracy: {run.results['metrics']['test/accuracy']:.4f}")

# %% [markdown]
# ## States in the plane
#
# Every point is the network's state after one letter, in the plane of the first two principal components, coloured by
# the state in which the automaton is then. The same words are read by the network before training: the negative
# control.

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for axis, states, title in zip(
    axes, (trained, untrained), ("trained", "untrained")
):
    plane = PCA(2).fit(states)
    points = plane.transform(states)
    for state, letters in enumerate(truth.states):
        here = labels == state
        axis.plot(
            *points[here].T, ".", markersize=3, color=f"C{state}", label=letters
        )
    shares = 100 * plane.explained_variance_ratio_
    axis.set(
        title=title,
        xlabel=f"component 1 ({shares[0]:.0f} % of the variance)",
        ylabel=f"component 2 ({shares[1]:.0f} %)",
    )
axes[1].legend(
    title="automaton state", loc="center left", bbox_to_anchor=(1, 0.5)
)
figure.suptitle(f"Hidden states: {name}")
plt.show()

# %% [markdown]
# The trained network keeps the five states apart; where clusters of one colour are several, the network remembers
# more than the automaton needs to. Before training all colours are mixed.
#
# ## Ambiguity
#
# k-means with k clusters, on the states of the trained and of the untrained network. In the third curve the labels of
# the trained network's states are permuted: what a clustering with as many clusters reaches by chance.

# %%
permuted = np.random.default_rng(0).permutation(labels)
sizes = [2, 3, 4, 5, 7, 10, 15, 20, 30, 40]


def ambiguities(states, labels):
    clusters = [
        KMeans(k, n_init=3, random_state=0).fit_predict(states) for k in sizes
    ]
    return [ambiguity(found, labels).weighted for found in clusters]


figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.plot(sizes, ambiguities(trained, labels), "o-", label="trained")
axis.plot(sizes, ambiguities(untrained, labels), "s--", label="untrained")
axis.plot(
    sizes,
    ambiguities(trained, permuted),
    "^:",
    label="trained, labels permuted",
)
axis.axvline(truth.size, color="#888888", linewidth=0.8)
axis.text(
    truth.size,
    1.01,
    "states of the automaton",
    color="#888888",
    transform=axis.get_xaxis_transform(),
    ha="center",
)
axis.set(
    xlabel="number k of clusters",
    ylabel="weighted ambiguity (0 to 1)",
    xscale="log",
    ylim=(-0.03, 1.03),
)
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
axis.legend()
figure.suptitle(name)
plt.show()

# %% [markdown]
# With as many clusters as the automaton has states nothing of the trained network is ambiguous. More clusters lower
# the ambiguity of any network, which is why the controls belong beside it.
#
# ## Methods
#
# The analysis `clusterings` asks this of 22 methods, among them those of the publication; here are ten. It is asked
# of the recorded run, and fits each distinct prefix of the words once (above, prefixes counted as often as they
# occur). The two linear classifiers, `lda` and `lr`, are no clusterings: they are fitted to the labels, and show
# whether the states are linearly separable. For them held-out rows are what counts.

# %% language="bash"
# methods=k_means,k_means_double,k_means_8,DBSCAN,mean_shift_4,OPTICS,HDBSCAN,gaussian_mixture,lda,lr
# python -m mechlab.analyze "run=runs/tomita-gru/*" analysis=clusterings "analysis.clusterings.methods=[$methods]" \
#     analysis.clusterings.words=150 > analyze.log && tail -n 1 analyze.log

# %%
asked = next(name for name in run.findings if name.startswith("clusterings"))
table = run.artifacts(asked).table("methods").set_index("method")

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
rows = np.arange(len(table))
axis.plot(table["weighted"], rows, "o", label="trained")
axis.plot(table["null_permuted"], rows, "^", label="trained, labels permuted")
axis.plot(
    table["held_out"], rows, "x", color="black", label="trained, held-out rows"
)
axis.set_yticks(
    rows,
    [
        f"{method} ({row.clusters:g} clusters)"
        for method, row in table.iterrows()
    ],
)
axis.invert_yaxis()
axis.set(xlabel="weighted ambiguity (0 to 1)", xlim=(-0.03, 1.03))
axis.grid(axis="y", linewidth=0.3)
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.suptitle(name)
plt.show()

# %% [markdown]
# Not every method finds the states. Here k-means with five clusters merges some of them, since each prefix counts once,
# and with OPTICS most of the ambiguity remains. Both linear classifiers name the state of held-out rows without a
# mistake: the states are there, and how well a clustering shows them depends on the method.
#
# ## When do the states form?
#
# The run recorded its weights at log-spaced steps; `run.at(step)` is the network as it was.

# %%
steps = run.history.steps
scores = []
for step in steps:
    states = states_of(run.at(step).model())
    scores.append(
        ambiguity(
            KMeans(20, n_init=3, random_state=0).fit_predict(states), labels
        ).weighted
    )
curve = run.metrics[["step", "val/accuracy"]].dropna()

figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.plot(steps, scores, "o-", label="ambiguity of 20 clusters")
axis.plot(
    curve["step"],
    1 - curve["val/accuracy"],
    "s--",
    markersize=3,
    label="share of wrong outputs, held-out words",
)
axis.set(
    xscale="symlog",
    xlabel="optimiser step",
    ylabel="ambiguity, share of outputs",
    ylim=(-0.03, None),
)
axis.legend()
figure.suptitle(name)
plt.show()

# %% [markdown]
# The states form before step 100, within some fifty steps. (Held-out words are evaluated at the ends of epochs alone,
# when no output is wrong any more.)
#
# ## The automaton itself
#
# The analysis `extraction` makes clusters into states and majorities of observed steps into transitions, and splits a
# cluster wherever the automaton and the network disagree, until they agree. `equivalent` then decides whether two
# automata accept the same words, and returns a shortest word that they treat differently if not.

# %%
extracted = read_automaton(
    run.artifacts("extraction").folder / "automaton.json"
)
tomita4 = mechlab.automata.named("tomita4")
print("states:", minimise(extracted).size)
print("differs from Tomita 3 after the word:", equivalent(extracted, truth))
print("differs from Tomita 4 after the word:", equivalent(extracted, tomita4))
finding = run.findings["extraction"]

outputs = [extracted.classes[output] for output in extracted.outputs]
drawing = automaton_figure(
    extracted.states,
    outputs,
    extracted.alphabet,
    extracted.transitions,
    extracted.initial,
    [output == "accept" for output in outputs],
    heading=f"Extracted from: {name}",
)
display(drawing)

# %% [markdown]
# `None` means that there is no such word: the extracted automaton accepts exactly the words of Tomita 3, of any
# length. That is a proof about the automaton. About the network it is a statement on words that were tried:

# %%
print(
    "agreement of network and automaton on fresh words of 16 to 30 letters: "
    f"{finding['scalars']['agreement']:.4f}"
)
for claim in finding["claims"].values():
    print("holds:" if claim["holds"] else "fails:", claim["statement"])
    print(
        f"       measured {claim['value']:.4f}, untrained network "
        f"{claim['null']:.4f}"
    )

# %% [markdown]
# ## What one reads from this
#
# The accuracy of the network, low ambiguity and an equivalent automaton come together here, and none of them comes
# from a network that was not trained. Ambiguity alone is weak evidence: it falls with the number of clusters, and a
# network may separate the states of an automaton in clusters that no clustering method finds. The [page on
# automata](../automata.md) has more languages, methods and controls.
