"""What is logged when others send a lot."""

from vrrpd.speaker.rate_limit import LINES_MAX, PAUSE, RateLimit


def test_a_subject_is_told_once_a_pause() -> None:
    limit = RateLimit()
    assert [limit.allows("a", now) for now in (0.0, 0.1, PAUSE - 0.1, PAUSE, PAUSE + 1)] == [
        *(True, False, False, True, False)
    ]


def test_subjects_do_not_hide_each_other() -> None:
    limit = RateLimit()
    assert [limit.allows(subject, 0.0) for subject in ("a", "b", "a")] == [True, True, False]


def test_ever_new_subjects_are_told_up_to_a_number_in_any_pause() -> None:
    limit = RateLimit()
    told = [now for now in range(100_000) if limit.allows(now, now * PAUSE / 10_000)]
    assert len(told) == 10 * LINES_MAX
    for start in told:
        assert sum(start <= now < start + 10_000 for now in told) <= LINES_MAX


def test_after_a_flood_others_are_heard_again() -> None:
    limit = RateLimit()
    for subject in range(10 * LINES_MAX):
        limit.allows(subject, 0.0)
    assert not limit.allows("a", PAUSE - 1)
    assert limit.allows("a", PAUSE)
