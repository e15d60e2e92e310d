"""What a process tells of its calls."""

from media_service.live import Histogram, Live


def test_a_histogram_counts_what_is_at_most_so_much() -> None:
    lag = Histogram(1, 10)
    for figure in (0.0, 1.0, 1.5, 10.0, 99.0):
        lag.add(figure)
    assert lag.cumulative() == {"1": 2, "10": 4, "inf": 5}
    assert lag.prometheus("lag") == [
        "# TYPE lag histogram",
        'lag_bucket{le="1"} 2',
        'lag_bucket{le="10"} 4',
        'lag_bucket{le="+Inf"} 5',
        "lag_sum 111.500",
        "lag_count 5",
    ]


def test_the_lag_of_frames_is_among_the_metrics() -> None:
    live = Live()
    live.frame_lag_ms.add(4)
    assert live.metrics()["frame_lag_ms"] == {
        **dict.fromkeys(("1", "2", "3"), 0),
        **dict.fromkeys(("5", "7", "10", "15", "20", "30", "50", "100", "200", "500", "1000", "inf"), 1),
    }
    assert 'offhook_frame_lag_ms_bucket{le="5"} 1\n' in live.prometheus()
