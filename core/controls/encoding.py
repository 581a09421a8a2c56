"""The wait for vectors: how far the job is, how to stop it, and what to do when it fails."""

import streamlit as st

from core import cache, checkpoints, encoders
from core.checkpoints import megabytes
from core.controls.ending import stop
from core.controls.seeing import polled
from core.controls.words import different, plain
from core.encoders import WantedDtype
from core.movies import Catalogue
from core.recipes import Settings
from core.worker import Progress


def wait_for_vectors(catalogue: Catalogue, settings: Settings) -> None:
    """Return when the genre lists have vectors; until then show how far they are, and stop the run."""
    encoder = encoders.get(settings.encoder)
    dtype = cache.dtype_at_hand(catalogue, settings)
    if dtype is not None:
        unwritten = encoder.kind == "transformer" and cache.store().in_memory(encoders.key(encoder, dtype))
        if unwritten and not catalogue.owner:
            st.sidebar.caption(
                "The folder for vectors cannot be written, so they stay in memory and are made anew at the next start."
            )
        return
    st.title("Reading the genres")
    st.markdown(
        f"{plain(encoder.title)} turns each of the catalogue's {different(catalogue)} "
        "into a vector. This happens once; the vectors are stored, and every later visit starts at once."
    )
    if checkpoints.place(encoder) == "hub" and encoder.download_bytes:
        st.markdown(f"Its files come from the Hub first, {megabytes(encoder.download_bytes)}, once.")
    job_progress(encoder.id, catalogue.texts, settings.dtype, catalogue.owner)
    st.caption(
        "You may leave this page: the work goes on, and everyone who waits for it shares it. Other encoders in the "
        "sidebar stay usable; multi-hot needs no vectors and is there at once."
    )
    stop()


def job_progress(encoder_id: str, texts: tuple[str, ...], dtype: WantedDtype, owner: str = "") -> None:
    """Draw how far the job is that gives the texts vectors, asking for it unless the visitor stopped it."""
    stopped = _stopped_job(encoder_id)
    if stopped is not None:
        _show_stopped(stopped)
    else:
        _show_progress(encoder_id, texts, dtype, owner)


@polled(0.5)
def _show_progress(encoder_id: str, texts: tuple[str, ...], dtype: WantedDtype, owner: str) -> None:
    if _stopped_job(encoder_id) is not None:
        st.rerun()  # Stop runs this fragment alone: to go on here would ask for the job again
    worker = cache.worker()
    job_id = worker.submit(encoder_id, texts, dtype=dtype, owner=owner)
    progress = worker.progress(job_id)
    if progress.state == "done":
        st.rerun()
    elif progress.state == "failed":
        st.error(plain(progress.message or "Encoding failed."), icon=":material/error:")
        st.button(
            "Try again",
            icon=":material/refresh:",
            type="primary",
            on_click=_try_again,
            args=(encoder_id, texts, dtype, owner),
        )
    else:
        fetching = progress.state == "fetching"
        done, total = (progress.bytes_done, progress.bytes_total) if fetching else (progress.done, progress.total)
        st.progress(min(done / max(total, 1), 1.0), text=describe(progress))
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(encoder_id, job_id))


def _try_again(encoder_id: str, texts: tuple[str, ...], dtype: WantedDtype, owner: str) -> None:
    cache.worker().submit(encoder_id, texts, dtype=dtype, retry=True, owner=owner)


def _stop(encoder_id: str, job_id: str) -> None:
    cache.worker().cancel(job_id)
    st.session_state["stopped_job"] = (encoder_id, job_id)


def _stopped_job(encoder_id: str) -> str | None:
    """Return the job of this encoder that the visitor stopped and did not take up again."""
    stopped = st.session_state.get("stopped_job")
    return stopped[1] if stopped and stopped[0] == encoder_id else None


def _show_stopped(job_id: str) -> None:
    try:
        progress = cache.worker().progress(job_id)
        kept = f"{progress.done:,} of {progress.total:,} texts are done and kept."
    except LookupError:
        kept = "What was done is kept."
    st.info(f"Encoding was stopped. {kept}", icon=":material/pause_circle:")
    st.button(
        "Go on",
        icon=":material/play_arrow:",
        type="primary",
        on_click=lambda: st.session_state.pop("stopped_job", None),
    )


def describe(progress: Progress) -> str:
    """Say in a sentence how far a job is."""
    of = f"{progress.done:,} of {progress.total:,} texts"
    if progress.state == "queued" and progress.position:
        before = "1 job is" if progress.position == 1 else f"{progress.position} jobs are"
        return f"Waiting: {before} before this one."
    if progress.state == "fetching":
        here = f"Fetching the model: {progress.bytes_done / 1e6:,.0f} of {megabytes(progress.bytes_total)}"
        if progress.bytes_per_second is None or progress.seconds_left is None:
            return f"{here}."
        left = f"about {max(1, round(progress.seconds_left)):,} s left"
        return f"{here}, {progress.bytes_per_second / 1e6:,.1f} MB a second, {left}."
    if progress.state in ("queued", "loading"):
        return f"Loading the model (some seconds). {of} are stored."
    if progress.texts_per_second is None or progress.seconds_left is None:
        return f"{of} encoded."
    return (
        f"{of} encoded, {progress.texts_per_second:,.0f} texts a second, "
        f"about {max(1, round(progress.seconds_left)):,} s left."
    )
