"""The library as a LangChain retriever, for whatever words an answer: the same filter, the same ranking, the same passages."""

from __future__ import annotations

from datetime import datetime

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from knowledge.library import Hit, Library, Principal


class SopRetriever(BaseRetriever):
    """Passages that `asker` may read, in force at `at`; every field is required, so that no retriever is without a filter."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    library: Library
    asker: Principal
    at: datetime
    k: int = 10

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [_document(hit) for hit in self.library.find(query, self.asker, self.at, self.k)]


def _document(hit: Hit) -> Document:
    sop, _, version = hit.entry.doc.rpartition("@")
    return Document(
        id=f"{hit.entry.doc}:{hit.entry.start}",
        page_content=str(hit.entry.text),
        metadata={
            "sop": sop,
            "version": int(version),
            "step": hit.entry.step,
            "title": str(hit.entry.title),
            "heading": str(hit.entry.heading),
            "start": hit.entry.start,
            "end": hit.entry.end,
            "score": hit.score,
            "raw": dict(hit.raw),
        },
    )
