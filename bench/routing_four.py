"""The baseline that a learned router must beat: the average of four predictors, as published measurements have it.

Nearest neighbours and ridge on embeddings, ridge on TF-IDF, boosted trees on structure; made with scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.tuning import structure

Array = NDArray[np.float64]


def scores(prompts: Sequence[str], gap: Array, folds: NDArray[np.intp], embeddings: Any) -> Array:
    """The expected gap of each prompt, by predictors that have not seen its fold. Needs scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    built = np.array([structure.described(text) for text in prompts])
    out = np.zeros(len(prompts))
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        seen = words.fit_transform([prompts[at] for at in train])
        unseen = words.transform([prompts[at] for at in test])
        trees = HistGradientBoostingRegressor(
            max_iter=120, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=30, l2_regularization=5, random_state=0
        )
        alike = embeddings[test] @ embeddings[train].T
        nearest = np.argpartition(-alike, 100, axis=1)[:, :100]
        out[test] = np.mean(
            [
                gap[train][nearest].mean(1),
                Ridge(alpha=3).fit(embeddings[train], gap[train]).predict(embeddings[test]),
                Ridge(alpha=5).fit(seen, gap[train]).predict(unseen),
                trees.fit(built[train], gap[train]).predict(built[test]),
            ],
            axis=0,
        )
    return out
