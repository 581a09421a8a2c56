"""Visitors without a browser: they speak the app's own protocol over a real websocket and notice what goes wrong."""

import asyncio
import time
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from types import TracebackType

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

WAIT = 120  # seconds for an answer


class Trouble(Exception):
    """The app showed an exception, ended a run badly or did not answer."""


@dataclass
class Seen:
    """What a visitor's page holds: widgets and charts by their label, words, and what pages there are."""

    widgets: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    downloads: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)


class Visitor:
    """One session: `async with Visitor(url) as visitor`, then open, move, go and download."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen = Seen()
        self.page = ""
        self.query = ""
        self.session = ""
        self._socket: ClientConnection | None = None
        self._ended: asyncio.Queue[int] = asyncio.Queue()
        self._files: dict[str, asyncio.Future[str]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._polls: dict[str, asyncio.Task[None]] = {}
        self.trouble: list[str] = []

    async def __aenter__(self) -> "Visitor":
        address = self.url.replace("http://", "ws://") + "/_stcore/stream"
        self._socket = await connect(address, max_size=None, open_timeout=WAIT, subprotocols=["streamlit"])  # type: ignore[list-item]
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        assert self._listening is not None
        self._listening.cancel()
        self._forget_polls()
        await self._socket.close()

    async def open(self, page: str = "", **query: object) -> float:
        """Open a page by its address; return the seconds until its run has ended."""
        self.query = urllib.parse.urlencode(query, doseq=True)
        return await self._run(ClientState(query_string=self.query, page_name=page))

    async def go(self, page: str, **query: object) -> float:
        """Follow a link to another page."""
        settings = {**urllib.parse.parse_qs(self.query), **query}
        self.query = urllib.parse.urlencode(settings, doseq=True)
        self.page = self.seen.pages[page]
        return await self._run(ClientState(query_string=self.query, page_script_hash=self.page, page_name=page))

    async def move(self, label: str, *values: float) -> float:
        """Move the slider of this label, both ends of it where it has two."""
        state = ClientState(query_string=self.query, page_script_hash=self.page)
        state.widget_states.widgets.add(id=self.seen.widgets[label]).double_array_value.data.extend(values)
        return await self._run(state)

    async def choose(self, label: str, value: str) -> float:
        """Choose in the box of this label."""
        state = ClientState(query_string=self.query, page_script_hash=self.page)
        state.widget_states.widgets.add(id=self.seen.widgets[label]).string_value = value
        return await self._run(state)

    async def download(self, label: str) -> tuple[float, int]:
        """Press the download button whose label ends so; return the seconds it took and the bytes that came."""
        assert self._socket is not None
        file_id = next(file for name, file in self.seen.downloads.items() if name.endswith(label))
        message, started = BackMsg(), time.perf_counter()
        request = uuid.uuid4().hex
        answer = self._files[request] = asyncio.get_running_loop().create_future()
        message.backend_operation_request.request_id = request
        message.backend_operation_request.session_id = self.session
        message.backend_operation_request.deferred_file.file_id = file_id
        await self._socket.send(message.SerializeToString())
        try:
            async with asyncio.timeout(WAIT):
                path = await answer
        except TimeoutError:
            raise Trouble(f"no download within {WAIT} s") from None
        finally:
            del self._files[request]
        content = await asyncio.to_thread(_fetched, urllib.parse.urljoin(self.url, path))
        return time.perf_counter() - started, len(content)

    async def _run(self, state: ClientState) -> float:
        assert self._socket is not None
        while not self._ended.empty():
            self._ended.get_nowait()
        self.seen.words.clear()
        self.seen.downloads.clear()
        self._forget_polls()
        message = BackMsg()
        message.rerun_script.CopyFrom(state)
        started = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        try:
            async with asyncio.timeout(WAIT):
                status = await self._ended.get()
        except TimeoutError:
            raise Trouble(f"no answer within {WAIT} s") from None
        seconds = time.perf_counter() - started
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR or self.trouble:
            raise Trouble("; ".join(self.trouble) or "the run ended badly")
        return seconds

    async def _listen(self) -> None:
        assert self._socket is not None
        async for data in self._socket:
            message = ForwardMsg()
            message.ParseFromString(data)  # type: ignore[arg-type]
            try:
                self._take(message)
            except Exception as error:  # or the visitor would wait for what nobody listens to any more
                self.trouble.append(repr(error))

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            # A run that was cut short is followed by another; a fragment's is not the page's.
            if message.script_finished in (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_WITH_COMPILE_ERROR):
                self._ended.put_nowait(message.script_finished)
        elif kind == "new_session":
            self.session = message.new_session.initialize.session_id
            if not message.metadata.run.fragment_ids:  # the whole page runs anew, with polls of its own
                self._forget_polls()
        elif kind == "auto_rerun":
            rerun = message.auto_rerun
            if rerun.fragment_id not in self._polls:
                self._polls[rerun.fragment_id] = asyncio.create_task(self._poll(rerun.fragment_id, rerun.interval))
        elif kind == "stop_auto_rerun":
            poll = self._polls.pop(message.stop_auto_rerun.fragment_id, None)
            if poll is not None:
                poll.cancel()
        elif kind == "navigation":
            self.seen.pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            self.page = message.navigation.page_script_hash
        elif kind == "backend_operation_response":
            answer = message.backend_operation_response
            waiting = self._files.get(answer.request_id)
            if waiting is not None and not waiting.done():
                if answer.error_msg:
                    waiting.set_exception(Trouble(answer.error_msg))
                else:
                    waiting.set_result(answer.deferred_file.url)
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._draw(message)

    async def _poll(self, fragment_id: str, interval: float) -> None:
        """Ask for a part of the page again and again, as a browser does where the app says so."""
        assert self._socket is not None
        while True:
            await asyncio.sleep(interval)
            message = BackMsg()
            message.rerun_script.query_string = self.query
            message.rerun_script.page_script_hash = self.page
            message.rerun_script.fragment_id = fragment_id
            message.rerun_script.is_auto_rerun = True
            await self._socket.send(message.SerializeToString())

    def _forget_polls(self) -> None:
        for poll in self._polls.values():
            poll.cancel()
        self._polls.clear()

    def _draw(self, message: ForwardMsg) -> None:
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.trouble.append(f"{element.exception.type}: {element.exception.message}")
        elif kind in ("slider", "selectbox", "multiselect", "number_input", "button_group"):
            widget = getattr(element, kind)
            self.seen.widgets[widget.label] = widget.id
        elif kind == "metric":
            self.seen.metrics[element.metric.label] = element.metric.body
        elif kind == "download_button":
            self.seen.downloads[element.download_button.label] = element.download_button.deferred_file_id
        elif kind == "markdown":
            self.seen.words.append(element.markdown.body)
        elif kind == "progress":
            self.seen.words.append(element.progress.text)
        elif kind == "alert":
            self.seen.words.append(element.alert.body)


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        content: bytes = answer.read()
    return content
