"""Restriction of numerical libraries to one thread, for small problems."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Return a context in which scikit-learn's and BLAS's loops run in one thread.

    For some thousands of states one thread is as fast. Where other processes use the cores, several threads wait for
    each other and take ten times as long; and sums must not depend on the number of cores.
    """
    import sklearn.cluster  # noqa: F401 (limits hold for libraries that are loaded)

    return threadpool_limits(1)
