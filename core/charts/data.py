"""The charts of the Data page: what the catalogue in use is made of."""

from functools import cache
from typing import Any

import pandas as pd

from core.charts.figure import CANVAS, GREY, MOST_GENRES, ROW_HEIGHT, Figure, specification

YEARS_HEIGHT = 240
BLUE = "#486ed6"
FROM_NOTHING = ["rgba(72, 110, 214, 0.03)", "rgba(72, 110, 214, 1)"]  # lets the page shine through at zero
# Not the order of the rows: rows that are swapped in the browser come after those that stayed.
BY_FILMS = {"field": "n_movies", "op": "max", "order": "descending"}
BY_OTHER = {"field": "n_other", "op": "max", "order": "descending"}
BY_GENRE = {"field": "n_genre", "op": "max", "order": "descending"}


def missing_values(columns: pd.DataFrame) -> Figure:
    """Draw the share of films that lack each column; columns has column, n_missing, n_movies.

    Selection: `pick` (field column) on a click.
    """
    rows = columns[["column", "n_missing", "n_movies"]]
    return Figure(_missing_values(), rows.assign(share=rows["n_missing"] / rows["n_movies"].clip(lower=1)))


@cache
def _missing_values() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["column"], on="click", clear="dblclick")
    base = alt.Chart().encode(
        y=alt.Y("column:N", title="Column", sort={"field": "share", "op": "max", "order": "descending"}),
        x=alt.X(
            "share:Q", title="Share of films without it", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1])
        ),
        tooltip=[
            alt.Tooltip("column:N", title="Column"),
            alt.Tooltip("n_missing:Q", title="Films without it", format=","),
            alt.Tooltip("n_movies:Q", title="Films", format=","),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
        ],
    )
    bars = (
        base.mark_bar(cornerRadiusEnd=2, color=BLUE)
        .encode(opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)))
        .add_params(pick)
    )
    counts = base.mark_text(align="left", dx=4, color=GREY).encode(text=alt.Text("n_missing:Q", format=","))
    title = "Missing values by column"
    return specification(alt.LayerChart(layer=[bars, counts], height=alt.Step(ROW_HEIGHT), title=title))


def genre_frequencies(genres: pd.DataFrame) -> Figure:
    """Draw the films of each genre as bars; genres has genre, n_movies, share, n_alone, most frequent first.

    The first MOST_GENRES are drawn. Selection: `pick` (field genre) on a click.
    """
    return Figure(_genre_frequencies(), genres[["genre", "n_movies", "share", "n_alone"]].head(MOST_GENRES))


@cache
def _genre_frequencies() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["genre"], on="click", clear="dblclick")
    base = alt.Chart().encode(
        y=alt.Y("genre:N", title="Genre", sort=BY_FILMS, axis=alt.Axis(labelLimit=170)),
        x=alt.X("n_movies:Q", title="Films", axis=alt.Axis(tickCount=6)),
        tooltip=[
            alt.Tooltip("genre:N", title="Genre"),
            alt.Tooltip("n_movies:Q", title="Films", format=","),
            alt.Tooltip("share:Q", title="Share of films with genres", format=".1%"),
            alt.Tooltip("n_alone:Q", title="Films with this genre only", format=","),
        ],
    )
    bars = (
        base.mark_bar(cornerRadiusEnd=2, color=BLUE)
        .encode(opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)))
        .add_params(pick)
    )
    counts = base.mark_text(align="left", dx=4, color=GREY).encode(text=alt.Text("n_movies:Q", format=","))
    title = "Films of each genre"
    return specification(alt.LayerChart(layer=[bars, counts], height=alt.Step(ROW_HEIGHT), title=title))


def co_occurrence(pairs: pd.DataFrame) -> Figure:
    """Draw which genres come together; pairs has genre, other, n_movies, n_genre, n_other, share.

    A row is a genre, and each field the share of its films that have the column's genre too. Selection: `pick`
    (fields genre and other) on a click.
    """
    return Figure(_co_occurrence(), pairs[["genre", "other", "n_movies", "n_genre", "n_other", "share"]])


@cache
def _co_occurrence() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["genre", "other"], on="click", clear="dblclick")
    return specification(
        alt.Chart(height=alt.Step(ROW_HEIGHT), title="Genres that come together", usermeta=CANVAS)
        .mark_rect(strokeWidth=1, stroke="#8883")
        .encode(
            x=alt.X(
                "other:N",
                title="Also has",
                sort=BY_OTHER,
                axis=alt.Axis(labelAngle=-90, labelOverlap="greedy"),
            ),
            y=alt.Y("genre:N", title="Films with", sort=BY_GENRE, axis=alt.Axis(labelLimit=170)),
            color=alt.Color(
                "share:Q",
                title="Share of the row's films",
                scale=alt.Scale(domain=[0, 1], range=FROM_NOTHING),
                legend=alt.Legend(format=".0%", orient="top"),
            ),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("genre:N", title="Films with"),
                alt.Tooltip("other:N", title="Also has"),
                alt.Tooltip("n_movies:Q", title="Films with both", format=","),
                alt.Tooltip("n_genre:Q", title="Films with the first", format=","),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
        .add_params(pick)
    )


def films_by_year(years: pd.DataFrame) -> Figure:
    """Draw the films of each year as bars; years has year, n_movies, without_genres.

    Selection: `pick` (field year) on a click.
    """
    return Figure(_films_by_year(), years[["year", "n_movies", "without_genres"]])


@cache
def _films_by_year() -> dict[str, Any]:
    import altair as alt

    pick = alt.selection_point(name="pick", fields=["year"], on="click", clear="dblclick")
    return specification(
        alt.Chart(height=YEARS_HEIGHT, title="Films of each year")
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("year:Q", title="Year", axis=alt.Axis(format="d"), scale=alt.Scale(zero=False, padding=10)),
            y=alt.Y("n_movies:Q", title="Films"),
            opacity=alt.condition(pick, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("year:Q", title="Year", format="d"),
                alt.Tooltip("n_movies:Q", title="Films", format=","),
                alt.Tooltip("without_genres:Q", title="of them without genres", format=","),
            ],
        )
        .add_params(pick)
    )
