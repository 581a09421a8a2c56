"""The glossary: what every number on the pages means, in one place, one click from the number."""

from typing import Any

import streamlit as st

from core import stability
from core.stability import N_SEEDS

OF_FILMS = "What the catalogue says of a film; empty where it says nothing."
TERMS: dict[str, str] = {
    "A less B": "For a value the difference of the two shares, for a number the difference of the two medians; with "
    "the interval that holds the true one 95 times out of 100.",
    "AMI": "Adjusted mutual information: how much one clustering tells of the other. 1 for the same clusters, about 0 "
    "by chance.",
    "ARI": "Adjusted Rand index: on how many pairs of films two clusterings agree, beyond chance; large clusters count "
    "more. 1 for the same clusters, about 0 by chance.",
    "Box office ($)": "The largest gross that was reported, often worldwide, in US dollars of its year.",
    "Calinski-Harabasz": "Spread between the clusters over spread within them. Higher is better; it has no scale of "
    "its own.",
    "Cliff's delta": "Of a number: how much more often a film of A is above one of B than below it, from -1 to 1.",
    "Cluster": "The number of a group of films that k-means made; 0 is the largest. Other settings number anew.",
    "Clusters (k)": "How many groups k-means made.",
    "Coherence": "How much of their genres two films of the same cluster share on average (Jaccard), from 0 to 1. It "
    "needs no vectors, so encoders can be compared by it.",
    "Company kept": "Films that share its cluster in both encoders, over those in either, from 0 to 1.",
    "Cosine": "How alike two vectors are: 1 the same direction, 0 nothing in common. What is high differs between "
    "encoders.",
    "Cosine, clustered": "Mean cosine of two films with different genres in the vectors that are clustered, so after "
    "centring, if any.",
    "Cosine, encoded": "Mean cosine of two films with different genres as the encoder gives them: near 1 all vectors "
    "lie in one narrow cone.",
    "Davies-Bouldin": "How alike each cluster and the one most like it are, on average. Lower is better.",
    "Dimensions": "How many numbers a vector has.",
    "Distance": "From the cluster's centre, in the encoder's own space: the smaller, the more typical.",
    "Dominant genre": "AMI of the clusters with the films' dominant genre: of a film's genres the one that the fewest "
    "films have.",
    "Effective rank": "How many dimensions the films really use (Roy and Vetterli 2007).",
    "Films": "How many films, under the filters of the sidebar.",
    "Films here": "Films of the cluster that have it.",
    "Films in A's": "Films in the cluster of encoder A.",
    "Films in B's": "Films in the cluster of encoder B.",
    "Films in all": "Films of all clusters that have it.",
    "First genre": "AMI of the clusters with the genre that each film names first.",
    "Genre lists": "What is clustered: different lists of genres, or other texts with the genres of their films. Films "
    "with the same one are never split.",
    "In common": "Films in both clusters.",
    "Inertia": "Sum of the films' squared distances from their cluster's centre. It always falls with k, so look for "
    "the bend.",
    "Jaccard": "Films in both clusters, over films in either, from 0 to 1.",
    "Lift": "The cluster's share over the share in all films: ×2 means twice as common here.",
    "Lift, lower end": "Of the interval that holds the true lift 95 times out of 100.",
    "Lift, upper end": "Of the interval that holds the true lift 95 times out of 100.",
    "Log-odds ratio": "Of a value; above 0 it is more frequent in A, below 0 in B (Monroe and others 2008).",
    "Lowest": f"Stability of the least stable cluster: solid from {stability.SOLID}, fair from {stability.FAIR}.",
    "Lowest stability": f"Of the least stable cluster: solid from {stability.SOLID}, fair from {stability.FAIR}.",
    "Margin": "How safely a film sits in its cluster: near 0 it might as well be in the runner-up, higher is safer.",
    "Mean stability": "The stability of the clusters, mean over films.",
    "Median Tomatometer": "Half of the cluster's films that have a Tomatometer are above it.",
    "Median year": "Half of the cluster's films that have a year are later.",
    "Metascore": "Metacritic's mean of critics' scores, 0 to 100. " + OF_FILMS,
    "Millions of parameters": "How large the model is: more of them take longer and more memory.",
    "Of dimensions": "How many numbers a vector has, to hold the effective rank against.",
    "Oscars": "Academy Award categories that the film won, as far as they are recorded.",
    "Over seeds": f"Lowest and highest coherence when k-means starts from {N_SEEDS} seeds.",
    "Overlap": "Genres in both lists out of all in either, from 0 to 1 (Jaccard).",
    "Rated films": "Films that have a Tomatometer.",
    "Reverse order": "Share of the films that would be in another cluster if their genres stood in reverse order, and "
    "how far their vectors move as a part of the distance between two films with different genres.",
    "Reviews": "How many critics' reviews Rotten Tomatoes counted. " + OF_FILMS,
    "Runner-up": "The cluster whose centre is nearest after the film's own.",
    "Runtime (min)": "How long the film runs, in minutes. " + OF_FILMS,
    "Seed agreement": f"The films are clustered with {N_SEEDS} seeds, and each two of these clusterings compared "
    "(adjusted Rand index, mean over all pairs). 1: the seed makes no difference; near 0: with another seed most films "
    "would have other neighbours.",
    "Seeds agree": f"Seed agreement: how alike the clusters of {N_SEEDS} seeds are (adjusted Rand index, mean over all "
    "pairs).",
    "Share": "Of the films with genres, how many are in the cluster.",
    "Share here": "Of the cluster's films that name anyone or any at all, how many have it.",
    "Share of the year": "Films of the cluster out of all films of the year, smoothed over the years around (Gaussian, "
    "2 years).",
    "Silhouette": "How much nearer films are to their own cluster than to the next one, from -1 to 1, in the encoder's "
    "own space; not to be compared between encoders.",
    "Small letters": "The same as “Reverse order”, for genres written in small letters.",
    "Smallest cluster": "A cluster of a few films is rarely worth a name.",
    "Stability": f"Films are drawn anew and clustered again, {stability.N_REFITS} times; stability is the share of its "
    "films that a cluster has in common with the one that is then most like it (mean Jaccard, Hennig 2007). Solid from "
    f"{stability.SOLID}, fair from {stability.FAIR}; a shaky one should not be quoted.",
    "Texts a second": "How fast the vectors stored here were made, on this machine.",
    "Tomatometer": "Share of critics who liked the film; of a cluster the median over its films that have one.",
    "Tomatometer (%)": "Share of critics who liked the film. " + OF_FILMS,
    "Vectors stored": "How many of the different texts have a vector of this encoder here.",
    "Without a title": "Films whose title is not known. They are kept, with an empty title.",
    "Without a year": "Films whose year is not known. They are in no chart over years.",
    "Without genres": "Films that name no genre. They are counted and exported, and belong to no cluster.",
    "Year": "Of a film the year it came out, of a cluster the median over its films.",
}
_FILM = (
    *("Year", "Cluster", "Stability", "Tomatometer (%)", "Metascore", "Reviews", "Runtime (min)", "Box office ($)"),
    *("Oscars", "Margin", "Runner-up"),
)
PAGES: dict[str, tuple[str, ...]] = {
    "overview": (
        *("Films", "Without genres", "Genre lists", "Clusters (k)", "Cluster", "Share", "Lift"),
        *("Silhouette", "Coherence", "Stability", "Seed agreement", "Year", "Tomatometer", "Rated films"),
    ),
    "choose": (
        *("Silhouette", "Coherence", "Lowest stability", "Seed agreement", "Calinski-Harabasz", "Davies-Bouldin"),
        *("Inertia", "Smallest cluster"),
    ),
    "cluster": (
        *("Films", "Coherence", "Silhouette", "Median Tomatometer", "Median year", "Share of the year", "Lift"),
        *("Lift, lower end", "Lift, upper end", "Films here", "Films in all", "Share here", "Distance", *_FILM),
    ),
    "compare": ("A less B", "Log-odds ratio", "Cliff's delta", "Stability"),
    "trends": ("Share of the year", "Stability", "Box office ($)"),
    "find": ("Cosine", "Films", "Overlap", *_FILM),
    "films": _FILM,
    "encoders": ("Vectors stored", "Dimensions", "Millions of parameters", "Texts a second"),
    "compare_encoders": (
        *("AMI", "ARI", "Coherence", "Over seeds", "Mean stability", "Lowest", "Seeds agree", "First genre"),
        *("Dominant genre", "Cosine, encoded", "Cosine, clustered", "Effective rank", "Of dimensions", "Reverse order"),
        *("Small letters", "Films in A's", "Films in B's", "In common", "Jaccard", "Films", "Company kept"),
    ),
    "data": ("Films", "Genre lists", "Without genres", "Without a year", "Without a title"),
}


def number(label: str, **options: Any) -> Any:
    """Return the configuration of a column of numbers, whose head tells what they mean."""
    return st.column_config.NumberColumn(label, help=TERMS[label], **options)


def text(label: str, **options: Any) -> Any:
    """Return the configuration of a column of texts that have a number in them; its head tells what that means."""
    return st.column_config.TextColumn(label, help=TERMS[label], **options)


def show_glossary(page: str) -> None:
    """Draw the button under which every number of a page is explained."""
    with st.popover("What the numbers mean", icon=":material/help:", type="tertiary"):
        st.table({term: TERMS[term] for term in sorted(PAGES[page])}, border="horizontal")
        st.caption("Formulas, their sources and their limits: docs/methods.md in the project.")
