"""Quality from comparisons: weights under which the better of two texts scores higher (Bradley & Terry 1952).

With a text read as numbers x and quality q(x) = w . x,

    P(a better than b) = sigmoid(q(a) - q(b)) = sigmoid(w . (a - b))

so w is a logistic regression without intercept on differences, each entered in both directions. Whatever
the two texts of a pair share cancels out, and one text alone still has a score.

    better (2, 0) and worse (1, 0), penalty C = 1:  w = (0.67, 0);  q = 1.35 and 0.67
"""

from __future__ import annotations

from typing import Any

import numpy as np


def bradley_terry(difference: Any, penalty: float) -> np.ndarray:
    """w, (n_features,), from `difference`: (n_pairs, n_features) better minus worse, dense or sparse.

    penalty: inverse strength C of the L2 penalty. Raises: ValueError for no pair.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    stack = sparse.vstack if sparse.issparse(difference) else np.vstack
    both = stack([difference, -difference])
    model = LogisticRegression(C=penalty, fit_intercept=False, max_iter=1000)
    return np.asarray(model.fit(both, np.repeat([1, 0], difference.shape[0])).coef_[0])
