"""sumy's LexRank, with its square table of similarities kept sparse: no array library, and fast for short texts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from adapters.summarizers.language import Tokenizer

__all__ = ["centrality"]

Stemmer = Callable[[str], str]
Rows = list[list[tuple[int, float]]]


def centrality(texts: Sequence[str], stop: frozenset[str], stem: Stemmer) -> list[float]:
    """How central each text is among all, from 0 to 1 (the most central). Quadratic at worst: give it a few hundred."""
    from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence

    if not texts:
        return []
    tokenizer = Tokenizer(stop)
    rated: dict[str, float] = {}

    def keep_all(infos: Sequence[object]) -> Sequence[object]:
        for info in infos:
            rated[str(info.sentence)] = float(info.rating)  # type: ignore[attr-defined]
        return infos

    document = ObjectDocumentModel([Paragraph([Sentence(text, tokenizer) for text in dict.fromkeys(texts)])])
    _ranker(stem)(document, keep_all)
    top = max(rated.values()) or 1.0
    return [rated.get(text.strip(), 0.0) / top for text in texts]


def _ranker(stem: Stemmer) -> Callable[..., object]:
    from sumy.summarizers.lex_rank import LexRankSummarizer

    class SparseLexRank(LexRankSummarizer):  # type: ignore[misc]
        """The same ranks; the similarities are found over shared words only, and no numpy is needed."""

        epsilon = 1e-4

        @staticmethod
        def _ensure_dependencies_installed() -> None:
            return None

        def _create_matrix(
            self,
            sentences: Sequence[Sequence[str]],
            threshold: float,
            tf_metrics: Sequence[dict[str, float]],
            idf_metrics: dict[str, float],
        ) -> Rows:
            return neighbors(tf_metrics, idf_metrics, threshold)

        @staticmethod
        def power_method(matrix: Rows, epsilon: float) -> list[float]:
            # Undamped ranks are kept within each cluster; a text like no other would keep the rank of an average one.
            ranks = power_method(matrix, epsilon)
            return [
                math.sqrt(rank * (len(near) - 1)) if near else 0.0 for rank, near in zip(ranks, matrix, strict=True)
            ]

    ranker: Callable[..., object] = SparseLexRank(stem)
    return ranker


def neighbors(tf: Sequence[dict[str, float]], idf: dict[str, float], threshold: float) -> Rows:
    """For each text the texts whose cosine exceeds the threshold, with the share of its rank that each gets."""
    vectors = [{term: weight * idf[term] for term, weight in terms.items()} for terms in tf]
    norms = [math.sqrt(sum(weight * weight for weight in vector.values())) for vector in vectors]
    holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row, vector in enumerate(vectors):
        for term, weight in vector.items():
            holders[term].append((row, weight))
    rows: Rows = []
    for row, vector in enumerate(vectors):
        dots: dict[int, float] = defaultdict(float)
        for term, weight in vector.items():
            for other, other_weight in holders[term]:
                dots[other] += weight * other_weight
        near = sorted(
            other
            for other, dot in dots.items()
            if norms[row] > 0 and norms[other] > 0 and dot / (norms[row] * norms[other]) > threshold
        )
        rows.append([(other, 1.0 / len(near)) for other in near])
    return rows


def power_method(rows: Rows, epsilon: float) -> list[float]:
    """The stationary ranks of the walk over ``rows``; at most 100 rounds."""
    ranks = [1.0 / math.sqrt(len(rows))] * len(rows)
    for _ in range(100):
        following = [0.0] * len(rows)
        for row, near in enumerate(rows):
            for other, share in near:
                following[other] += ranks[row] * share
        length = math.sqrt(sum(rank * rank for rank in following))
        if length == 0:
            return following
        following = [rank / length for rank in following]
        change = math.sqrt(sum((new - old) ** 2 for new, old in zip(following, ranks, strict=True)))
        ranks = following
        if change <= epsilon:
            break
    return ranks
