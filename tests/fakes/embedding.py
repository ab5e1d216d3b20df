"""An embedder without a model: texts of one topic (their first word) point one way, and no two texts the same way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from knowledge.embedding import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


class Topics:
    """`made` counts the texts it was given; while `is_down`, it gives nothing, like a service that is out of reach."""

    max_tokens = 256
    multilingual = False

    def __init__(self, dimension: int = 64, id: str = "") -> None:
        self.dimension, self.id = dimension, id or f"topics:{dimension}"
        self.made = 0
        self.is_down = False

    def documents(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        self.made += len(texts)
        return np.array([self.question(text) for text in texts], dtype=np.float32).reshape(len(texts), self.dimension)

    def question(self, text: str) -> Vectors:
        import numpy as np

        if self.is_down:
            raise EmbeddingError("The embedding service is away: try again later.")
        vector = self._noise(text.split(" ", 1)[0]) + 0.7 * self._noise(text)
        unit: Vectors = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    def _noise(self, text: str) -> Vectors:
        import numpy as np

        seed = int.from_bytes(hashlib.sha256(f"{self.id}:{text}".encode()).digest()[:8], "big")
        return np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)


class Words(Topics):
    """Texts that share words, or their translations, point one way. `means`: a foreign word and the English one."""

    def __init__(self, means: Mapping[str, str]) -> None:
        super().__init__(256, "words:256")
        self.multilingual = bool(means)
        self._means = means

    def question(self, text: str) -> Vectors:
        import numpy as np

        if self.is_down:
            raise EmbeddingError("The embedding service is away: try again later.")
        words = {self._means.get(word, word) for word in re.findall(r"[^\W\d_]{4,}", text.lower())} or {text}
        vector = sum((self._noise(word) for word in sorted(words)), np.zeros(self.dimension, np.float32))
        unit: Vectors = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit
