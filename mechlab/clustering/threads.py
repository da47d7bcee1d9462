"""One thread for small problems: more of them wait for one another, and add up in another order."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Return a context in which scikit-learn's and BLAS's loops run in one thread.

    Some thousands of states are clustered as fast by one thread. Where other processes want the cores, several threads
    wait for one another and take ten times as long; and sums must not depend on the number of cores.
    """
    import sklearn.cluster  # noqa: F401 (limits hold for libraries that are loaded)

    return threadpool_limits(1)
