"""What is made of Google's refusals: which role is missing, and what else there is to correct."""

from typing import Any

import pytest
from google.api_core import exceptions as google
from google.rpc import error_details_pb2
from grpc import StatusCode

from adapters.google_refusal import explain


def refusal(kind: Any, code: StatusCode, message: str = "no", **metadata: str) -> google.GoogleAPICallError:
    info = error_details_pb2.ErrorInfo(reason="IAM_PERMISSION_DENIED", domain="iam.googleapis.com", metadata=metadata)
    error: google.GoogleAPICallError = kind(message, error_info=info if metadata else None)
    error.grpc_status_code = code
    return error


def denied(message: str = "no", **metadata: str) -> google.GoogleAPICallError:
    return refusal(google.PermissionDenied, StatusCode.PERMISSION_DENIED, message, **metadata)


LACKS = 'The principal (user or service account) lacks IAM permission "{}" for the resource "x" (or it may not exist).'


@pytest.mark.parametrize(
    ("error", "host", "roles"),
    [
        (denied(), "pubsub.googleapis.com", "`roles/pubsub.publisher`, `roles/pubsub.subscriber` and `roles/pubsub.viewer`"),
        (denied(LACKS.format("pubsub.topics.publish")), "pubsub.googleapis.com", "`roles/pubsub.publisher` on the topic"),
        (denied(permission="pubsub.topics.get"), "pubsub.googleapis.com", "`roles/pubsub.viewer` on the project"),
        (denied(LACKS.format("cloudtasks.tasks.create")), "cloudtasks.googleapis.com", "`roles/cloudtasks.enqueuer` on the queue"),
        (denied("Missing or insufficient permissions."), "firestore.googleapis.com", "`roles/datastore.user`"),
    ],
)  # fmt: skip
def test_the_role_that_is_missing_is_named_and_no_other_if_google_says_which(error: Any, host: str, roles: str) -> None:
    assert f": grant {roles} to the account that Offhook runs as" in str(explain(error, "It", host))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            refusal(
                google.FailedPrecondition,
                StatusCode.FAILED_PRECONDITION,
                "The Cloud Firestore API is not available for Firestore in Datastore Mode database projects/p/databases/d.",
            ),
            "Firestore is in Datastore mode there: make a database in native mode, or name another",
        ),
        (
            refusal(google.NotFound, StatusCode.NOT_FOUND, "The database (default) does not exist for project p"),
            "create the database with `gcloud firestore databases create`, or correct GOOGLE_CLOUD_PROJECT and "
            "OFFHOOK_FIRESTORE_DATABASE",
        ),
    ],
)
def test_a_database_of_no_use_is_told(error: Any, says: str) -> None:
    assert str(explain(error, "Firestore", "firestore.googleapis.com")).endswith(says)
