"""Every metric passes every check of the battery."""


def test_battery(case, check):
    check(case)
