"""Clusterings run in one thread, and leave the number of threads as it was."""

from __future__ import annotations

from threadpoolctl import threadpool_info

from mechlab.clustering.threads import one_thread


def test_all_libraries_have_one_thread_inside_and_what_they_had_after() -> None:
    with one_thread():
        pass  # all libraries are loaded from here on
    before = [library["num_threads"] for library in threadpool_info()]
    with one_thread():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
    assert [library["num_threads"] for library in threadpool_info()] == before
