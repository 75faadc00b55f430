"""Agreement of two partitions: NMI, AMI (Vinh et al. 2010) and ARI (Hubert and Arabie 1985), by scikit-learn."""

from __future__ import annotations

from engine.geometry.table.rows import IntArray


def agreement(a: IntArray, b: IntArray) -> dict[str, float]:
    """`nmi`, `ami`, `ari` of labels a, b [n]; 1 for equal partitions, and ami, ari about 0 by chance.

    NMI and AMI are normalised by the mean of the two entropies. Two partitions of one cluster each agree.
    """
    from sklearn import metrics

    return {
        "nmi": float(metrics.normalized_mutual_info_score(a, b)),
        "ami": float(metrics.adjusted_mutual_info_score(a, b)),
        "ari": float(metrics.adjusted_rand_score(a, b)),
    }
