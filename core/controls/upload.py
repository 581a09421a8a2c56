"""From a file to films in use: what is in it is shown, every choice can be changed, and then it is used.

What is chosen here is not in the URL: it belongs to a file that no link can carry. Reading runs in the visitor's own
run, not in the background: a file is read for one session only, and should stop being read when its session leaves.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core import cache, encoders, log, sources, uploads
from core.controls.own import forget_choices
from core.controls.words import counted, plain
from core.sources import Films, Limits, Mapping, Raw, Reading, SourceError
from core.sources.columns import MEGABYTE

PAGES = Path(__file__).resolve().parents[2] / "pages"
FIRST_ROWS = 50
MAIN_COLUMNS = {"title": "Title", "genres": "Genres", "year": "Year", "movie_id": "Id"}
MORE_COLUMNS = {
    "runtime": "Runtime (minutes)",
    "certificate": "Certificate",
    "released": "Release date",
    "directors": "Directors",
    "writers": "Writers",
    "cast": "Cast",
    "languages": "Languages",
    "countries": "Countries",
    "tomatometer": "Tomatometer (%)",
    "metascore": "Metascore (of 100)",
    "reviews": "Reviews or votes",
    "box_office": "Box office (US dollars)",
    "oscars": "Oscars",
}
DELIMITERS = {"|": "Pipe |", ";": "Semicolon ;", ",": "Comma ,", "/": "Slash /"}
CELL_DELIMITERS = {",": "Comma", "\t": "Tab", ";": "Semicolon", "|": "Pipe |"}
NOTHING = ("\\N", "NA", "N/A", "null", "None", "-", "unknown")


def limits_line(limits: Limits) -> str:
    """Say what is read at most."""
    return (
        f"Up to {limits.megabytes or 0:,} MB (unpacked too), the first {limits.rows or 0:,} rows, cells of up to "
        f"{limits.cell:,} characters, and {limits.documents or 0:,} different genre lists."
    )


def bring_films() -> None:
    """Draw the way from a file to films in use."""
    try:
        limits = cache.upload_limits()
    except SourceError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    key = st.session_state.setdefault("uploader", "uploader")
    uploaded = st.file_uploader(
        "Your films: CSV, TSV, JSON, JSON lines or Parquet, also packed with gzip",
        key=f"upload_{key}",
        max_upload_size=limits.megabytes,
    )
    st.caption(
        f"{limits_line(limits)} The file stays in this session and nobody else can see it. It is gone when you close "
        "the page or press Remove my file. Only the vectors of its genre lists, such as “Drama, War”, are stored."
    )
    if uploaded is None:
        for name in ("upload_raw", "upload_films"):
            st.session_state.pop(name, None)
        return
    raw = _read(uploaded, limits)
    if raw is None:
        return
    mapping = _mapping(raw, uploaded.file_id)
    if mapping is None:
        return
    _use(raw, mapping, limits)


def _read(uploaded: Any, limits: Limits) -> Raw | None:
    """Return what is in the file, or say why it cannot be read; how it is read can be changed either way."""
    place = st.container()
    reading = _reading(uploaded.file_id)
    known = st.session_state.get("upload_raw")
    if known is not None and known[0] == (uploaded.file_id, reading):
        raw: Raw = known[1]
    else:
        for name in ("upload_raw", "upload_films"):
            st.session_state.pop(name, None)
        bar = place.progress(0.0, f"Reading {plain(uploaded.name)} ({uploaded.size / MEGABYTE:,.1f} MB)")
        try:
            with log.timed("upload_read", bytes=uploaded.size) as told:
                raw = sources.read_file(
                    uploaded.name, uploaded.getvalue(), limits, reading, lambda done: _step(bar, min(done, 1.0))
                )
                told["rows"] = raw.n_rows
        except SourceError as error:
            place.error(plain(str(error)), icon=":material/error:")
            return None
        finally:
            bar.empty()
        st.session_state["upload_raw"] = ((uploaded.file_id, reading), raw)
    place.markdown(f"**{plain(raw.name)}** is {plain(raw.how)}: {counted(raw.n_rows, 'row')}.")
    if raw.cut:
        place.warning(raw.cut, icon=":material/content_cut:")
    if raw.n_ragged:
        place.warning(
            f"{counted(raw.n_ragged, 'row')} with more or fewer cells than columns left out; see the problems below.",
            icon=":material/warning:",
        )
    return raw


def _step(bar: Any, done: float) -> None:
    bar.progress(done)


def _reading(file_id: str) -> Reading:
    """Draw how the letters and cells of a text file are read; what is not chosen is found from the data."""
    with st.expander("How the file is read"), st.container(horizontal=True):
        encoding = st.selectbox(
            "Encoding",
            [None, *sources.ENCODINGS],
            format_func=lambda name: "As found" if name is None else sources.ENCODINGS[name],
            key=f"upload_encoding_{file_id}",
            width=260,
        )
        delimiter = st.selectbox(
            "Between cells",
            [None, *CELL_DELIMITERS],
            format_func=lambda mark: "As found" if mark is None else CELL_DELIMITERS[mark],
            key=f"upload_cells_{file_id}",
            width=160,
        )
        quotes = st.selectbox(
            "Quotes",
            [None, True, False],
            format_func=lambda q: {None: "As found", True: "Around cells", False: "Part of the text"}[q],
            key=f"upload_quotes_{file_id}",
            width=180,
        )
        ragged = st.toggle(
            "Leave out rows that do not fit",
            key=f"upload_ragged_{file_id}",
            help="Rows with more or fewer cells than there are columns. They are counted and listed.",
        )
    return Reading(encoding, delimiter, quotes, bool(ragged))


def _mapping(raw: Raw, file_id: str) -> Mapping | None:
    """Draw what was recognised, and return it as it was changed; None where a column is lacking that films need."""
    found = sources.recognise(raw.table)
    names = raw.table.column_names
    st.markdown(f"Recognised as **{plain(found.shape)}**. Correct what is wrong.")
    with st.container(horizontal=True):
        mapping = _columns(found, names, MAIN_COLUMNS, file_id)
    mapping = _genres(mapping, raw, file_id)
    with st.expander("More columns"), st.container(horizontal=True):
        mapping = _columns(mapping, names, MORE_COLUMNS, file_id)
        texts = st.multiselect(
            "Free text to keep", names, default=list(found.texts), key=f"upload_texts_{file_id}", placeholder="None"
        )
    mapping = replace(mapping, texts=tuple(texts))
    missing = sources.unmapped(mapping)
    if missing:
        what = " and ".join({"title": "the titles", "genres": "the genres"}[name] for name in missing)
        st.info(f"Choose the column that holds {what}.", icon=":material/arrow_upward:")
        return None
    return mapping


def _columns(mapping: Mapping, names: list[str], ours: dict[str, str], file_id: str) -> Mapping:
    """Draw which of their columns holds each of ours."""
    options: list[str | None] = [None, *names]
    for name, label in ours.items():
        theirs = mapping.theirs(name)
        chosen = st.selectbox(
            label,
            options,
            index=options.index(theirs) if theirs in options else 0,
            format_func=lambda column: "no column" if column is None else column,
            key=f"upload_column_{name}_{file_id}",
            width=220,
        )
        mapping = mapping.with_column(name, chosen)
    return mapping


def _genres(mapping: Mapping, raw: Raw, file_id: str) -> Mapping:
    """Draw how genres and ids are read, and which rows count."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        delimiters = st.pills(
            "Between two genres",
            list(DELIMITERS),
            selection_mode="multi",
            default=list(mapping.delimiter),
            format_func=DELIMITERS.__getitem__,
            key=f"upload_delimiter_{file_id}",
            help="A comma always parts two genres. Lists such as ['Drama', 'War'] are read as they are.",
        )
        in_title = st.toggle(
            "The year ends the title",
            mapping.year_in_title,
            key=f"upload_in_title_{file_id}",
            help="Toy Story (1995) becomes Toy Story of 1995. A column for the year comes first.",
        )
        repeated = st.toggle(
            "Keep films whose id stood before", mapping.keep_repeated, key=f"upload_repeated_{file_id}"
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options: list[str | None] = [None, *raw.table.column_names]
        kind = st.selectbox(
            "Keep only rows whose",
            options,
            index=options.index(mapping.kind_column),
            format_func=lambda column: "all rows" if column is None else column,
            key=f"upload_kind_{file_id}",
            width=220,
        )
        kinds: list[str] = []
        if kind:
            there = sources.frequent(raw.table, kind)
            kinds = st.multiselect(
                "is one of",
                list(there),
                default=[each for each in mapping.kinds if each in there and kind == mapping.kind_column],
                format_func=lambda each: f"{each} ({there[each]:,})",
                key=f"upload_kinds_{kind}_{file_id}",
                placeholder="Anything",
            )
        missing = st.multiselect(
            "Texts that mean nothing is known",
            list(dict.fromkeys((*mapping.missing, *NOTHING))),
            default=list(mapping.missing),
            accept_new_options=True,
            key=f"upload_missing_{file_id}",
            placeholder="None",
            help="Everywhere but in titles that are just that text, think before you add NA: it may be a title.",
        )
    return replace(
        mapping,
        delimiter="".join(mark for mark in DELIMITERS if mark in (delimiters or ())),
        year_in_title=bool(in_title),
        keep_repeated=bool(repeated),
        kind_column=kind,
        kinds=tuple(kinds),
        missing=tuple(missing),
    )


def _synonyms(films: Films, file_id: str) -> tuple[tuple[str, str], ...]:
    """Draw the table of genres that become others, and return the pairs that are ticked."""
    suggested = sources.suggest_synonyms(films.genres)
    with st.expander(f"Merge genres ({counted(len(suggested), 'suggestion')})", expanded=bool(suggested)):
        st.caption(
            "Nothing is merged unless it is ticked. Add rows of your own below; write a genre as it is in the file."
        )
        rows = [
            {"merge": False, "genre": genre, "films": films.genres[genre], "becomes": best} for genre, best in suggested
        ]
        edited = st.data_editor(
            pd.DataFrame(rows, columns=["merge", "genre", "films", "becomes"]).astype(
                {"merge": bool, "genre": "string", "films": "Int64", "becomes": "string"}
            ),
            hide_index=True,
            num_rows="dynamic",
            disabled=["films"],
            key=f"upload_synonyms_{file_id}_{len(films.genres)}",
            column_config={
                "merge": st.column_config.CheckboxColumn("Merge", default=True, width="small"),
                "genre": st.column_config.TextColumn("Genre", required=True),
                "films": st.column_config.NumberColumn("Films", format="localized", width="small"),
                "becomes": st.column_config.TextColumn("Becomes", required=True),
            },
        )
    pairs = [
        (str(row.genre).strip(), str(row.becomes).strip())
        for row in edited.itertuples()
        if row.merge and isinstance(row.genre, str) and isinstance(row.becomes, str)
    ]
    return tuple(sorted({(one, other) for one, other in pairs if one and other and one != other}))


def _applied(raw: Raw, mapping: Mapping) -> Films:
    """Return the films of a mapping; the last two mappings are kept, with and without merged genres."""
    kept = st.session_state.setdefault("upload_films", [])
    for known, of, films in kept:
        if known == mapping and of is raw:
            return films  # type: ignore[no-any-return]
    with st.spinner("Reading the films"):
        films = sources.apply(raw, mapping)
    kept.append((mapping, raw, films))
    del kept[:-2]
    return films


def _use(raw: Raw, mapping: Mapping, limits: Limits) -> None:
    """Show what the mapping gives, and draw the button that puts it to use."""
    file_id = st.session_state["upload_raw"][0][0]
    try:
        plainly = _applied(raw, mapping)
        mapping = replace(mapping, synonyms=_synonyms(plainly, file_id))
        films = _applied(raw, mapping)
    except SourceError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    _preview(films)
    trouble = uploads.problem_with(films, limits)
    if trouble:
        st.error(trouble, icon=":material/error:")
        return
    own = cache.own_films()
    if own is not None and own.in_use and own.catalogue.fingerprint == uploads.fingerprint(raw, mapping):
        st.success("These films are in use.", icon=":material/check:")
        st.page_link(PAGES / "overview.py", label="See their clusters", icon=":material/bubble_chart:")
        return
    st.markdown(_encoding_line(films))
    st.button(
        "Use these films",
        type="primary",
        icon=":material/check:",
        key="use_own",
        on_click=_adopt,
        args=(raw, mapping, films),
    )


def _adopt(raw: Raw, mapping: Mapping, films: Films) -> None:
    """Put films to use in the place of those that the visitor brought before (a callback)."""
    with log.timed("upload_opened") as told:
        opened = uploads.open_own(raw, mapping, films, cache.forget_films)
        told |= {"films": opened.catalogue.n_movies, "documents": len(opened.catalogue.texts)}
    before = cache.own_films()
    if before is not None:
        before.let_go()
    cache.forget_own_films()
    st.session_state["own_films"] = opened
    forget_choices()


def _preview(films: Films) -> None:
    """Show the counts, the first films and every problem with its row and column."""
    report = films.report
    repeated = "kept under an id of their own" if report.repeated_kept else "left out"
    with st.container(horizontal=True):
        for name, value, help_text in (
            ("Rows in the file", report.rows, "Without the row of column names."),
            ("Films to use", report.films, "Rows that make a film."),
            ("Different genre lists", report.lists, "The texts to encode: films with the same genres share one."),
            ("Films without genres", report.without_genres, "They are counted and exported, and belong to no cluster."),
            ("Repeated ids", report.repeated, f"Rows whose id stood before; {repeated}."),
            ("Unparsed years", report.unparsed_years, "Years that could not be read, and are left empty."),
            ("Other kinds", report.other_kind, "Rows left out as you keep only some kinds."),
        ):
            st.metric(name, f"{value:,}", help=help_text, border=True, width="content")
    st.dataframe(
        films.table.slice(0, FIRST_ROWS).select([name for name in films.table.column_names if _known(films, name)]),
        hide_index=True,
        height=250,
        placeholder="",
        alt=f"The first {min(FIRST_ROWS, report.films)} films as they were understood.",
    )
    st.caption(f"The first {min(FIRST_ROWS, report.films)} of {report.films:,} films, as they were understood.")
    n = sum(n for _, n in report.by_column) + report.ragged
    if not n:
        st.markdown("No problems were found.")
        return
    with st.expander(f"Problems: {n:,}", icon=":material/warning:"):
        st.dataframe(
            pd.DataFrame([vars(problem) for problem in report.problems]),
            hide_index=True,
            placeholder="",
            alt="Problems of the file with row and column.",
            column_config={
                "row": st.column_config.NumberColumn("Row", format="localized", width="small"),
                "column": st.column_config.TextColumn("Column", width="small"),
                "value": st.column_config.TextColumn("What stands there"),
                "what": st.column_config.TextColumn("What became of it", width="large"),
            },
        )
        if len(report.problems) < n:
            st.caption(f"The first {len(report.problems):,} of {n:,} problems; each column's are counted in full.")


def _known(films: Films, name: str) -> bool:
    return name in films.columns or name in films.texts


def _encoding_line(films: Films) -> str:
    """Say what is still to be encoded, and how long that takes, as measured on this machine."""
    settings = st.session_state["settings"]
    encoder = encoders.get(settings.encoder)
    if encoder.kind != "transformer":
        return f"{plain(encoder.title)} needs no vectors: clusters are there at once."
    for dtype in encoders.DTYPES:
        facts = cache.store().facts(encoders.key(encoder, dtype))
        seconds = float(facts.get("seconds") or 0)
        if seconds:
            missing = len(cache.store().missing(encoders.key(encoder, dtype), sources.texts(films)))
            rate = float(facts["texts"]) / seconds
            if not missing:
                return f"All their genre lists have vectors of {plain(encoder.title)}: clusters are there at once."
            return (
                f"{missing:,} of {films.report.lists:,} genre lists have no vector of {plain(encoder.title)} yet: "
                f"about {max(1, round(missing / rate)):,} s at {rate:,.0f} texts a second, as measured here, and some "
                "seconds to load the model."
            )
    return (
        f"{films.report.lists:,} genre lists are to be encoded with {plain(encoder.title)}. It was not used here yet, "
        "so how long that takes is not known; the progress is shown, and it can be stopped."
    )
