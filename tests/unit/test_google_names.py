"""Names in Google Cloud: the same check for settings and adapters."""

import pytest

from schemas.google_names import is_database, is_project, is_queue, is_service_account


@pytest.mark.parametrize("project", ["willow", "willow-dental-4711", "a" * 30, "example.com:willow", "415104041262"])
def test_a_project_has_an_id_or_a_number(project: str) -> None:
    assert is_project(project)
    assert is_queue(f"projects/{project}/locations/europe-west1/queues/later")


@pytest.mark.parametrize(
    "project", ["", "Willow", "willow dental", "willow_dental", "-willow", "willow-", "a" * 31, "1willow", "a/b", "a\n"]
)
def test_its_name_for_people_is_no_id(project: str) -> None:
    assert not is_project(project)
    assert not is_queue(f"projects/{project}/locations/europe-west1/queues/later")


@pytest.mark.parametrize(
    ("database", "good"),
    [
        ("(default)", True), ("main", True), ("willow-calls-2", True), ("a" * 63, True),
        ("", False), ("default)", False), ("abc", False), ("Main", False), ("main-", False), ("2main", False),
        ("a" * 64, False), ("main/x", False),
    ],
)  # fmt: skip
def test_databases(database: str, good: bool) -> None:
    assert is_database(database) is good


@pytest.mark.parametrize(
    "queue",
    [
        "", "later", "projects/p/locations/l/queues/", "projects/p/locations/l/queues/a_b", "projects/p/queues/later",
        "projects/p/locations/EU/queues/later", "projects/p/locations/l/queues/later/tasks/1",
        f"projects/p/locations/l/queues/{'a' * 101}", "https://p/locations/l/queues/later",
    ],
)  # fmt: skip
def test_what_is_no_queue_s_full_name(queue: str) -> None:
    assert not is_queue(queue)


@pytest.mark.parametrize(
    ("account", "good"),
    [
        ("offhook-tasks@willow.iam.gserviceaccount.com", True),
        ("tasks@willow.example.com.iam.gserviceaccount.com", True),
        ("415104041262-compute@developer.gserviceaccount.com", True),
        ("willow@appspot.gserviceaccount.com", True),
        ("", False), ("tasks", False), ("@", False), ("somebody@example.com", False),
        ("tasks@gserviceaccount.com", False), ("a b@willow.iam.gserviceaccount.com", False),
        ("a@b@willow.iam.gserviceaccount.com", False), ("tasks@willow.iam.gserviceaccount.com\n", False),
    ],
)  # fmt: skip
def test_service_accounts(account: str, good: bool) -> None:
    assert is_service_account(account) is good
