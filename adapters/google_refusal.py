"""What a failure of one of Google's services means, in a sentence that says what to do about it."""

from typing import TYPE_CHECKING

from domain.ports import Unavailable

if TYPE_CHECKING:  # at run time only if a Google service is chosen: importing it takes a while
    from google.api_core.exceptions import GoogleAPICallError

ROLES = {
    "aiplatform.googleapis.com": "`roles/aiplatform.user`",
    "cloudtasks.googleapis.com": "`roles/cloudtasks.enqueuer` and `roles/cloudtasks.viewer`",
    "firestore.googleapis.com": "`roles/datastore.user`",
    "pubsub.googleapis.com": "`roles/pubsub.publisher`, `roles/pubsub.subscriber` and `roles/pubsub.viewer`",
    "secretmanager.googleapis.com": "`roles/secretmanager.secretAccessor`",
    "speech.googleapis.com": "`roles/speech.client`",
    "texttospeech.googleapis.com": "`roles/serviceusage.serviceUsageConsumer`",
}
"""By API: what its callers need."""
ROLES_BY_PERMISSION = {
    "cloudtasks.queues.get": "`roles/cloudtasks.viewer` on the queue",
    "cloudtasks.tasks.create": "`roles/cloudtasks.enqueuer` on the queue",
    "pubsub.subscriptions.consume": "`roles/pubsub.subscriber` on the subscription",
    "pubsub.subscriptions.get": "`roles/pubsub.viewer` on the project",
    "pubsub.topics.get": "`roles/pubsub.viewer` on the project",
    "pubsub.topics.list": "`roles/pubsub.viewer` on the project",
    "pubsub.topics.publish": "`roles/pubsub.publisher` on the topic",
}
"""Where an API wants several, and Google names the permission that is missing."""
RENEW = "check the service account and its key, or log in again: `gcloud auth application-default login`"
NO_TOKEN = f"was not asked, for no token could be had: {RENEW}"


def explain(error: "GoogleAPICallError", service: str, host: str) -> Unavailable:
    """Safe to log: of Google's own message, which may repeat what it was sent, nothing is passed on but its codes.
    `service` is its name for people, `host` its API's ("texttospeech.googleapis.com")."""
    more = error.metadata or {}
    message = f"{error.message or ''} {more.get('permission', '')}"
    return refusal(_code(error), error.reason or "", message, more.get("quota_limit", ""), service, host)


def refusal(code: str, reason: str, message: str, limit: str, service: str, host: str) -> Unavailable:
    """The same of an error's parts: gRPC's name of its code, Google's of its reason, and the quota that is used up."""
    match code:
        case _ if reason in ("SERVICE_DISABLED", "API_DISABLED"):
            why = f"is not enabled in the Google Cloud project: run `gcloud services enable {host}`"
        case _ if reason == "BILLING_DISABLED":
            why = "needs billing: link a billing account to the Google Cloud project"
        case _ if reason == "CONSUMER_INVALID":
            why = "knows no such Google Cloud project: correct GOOGLE_CLOUD_PROJECT"
        case _ if reason == "USER_PROJECT_DENIED":
            why = f"refused to use the project: {grant('`roles/serviceusage.serviceUsageConsumer` on it')}"
        case "PERMISSION_DENIED" if "iam.serviceAccounts.actAs" in message:
            why = f"may not act as OFFHOOK_TASKS_ACCOUNT: {grant('`roles/iam.serviceAccountUser` on it')}"
        # A token that could not be had is reported as if the service were unavailable.
        case "UNAVAILABLE" if "from plugin failed" in message:
            why = NO_TOKEN
        case "UNAUTHENTICATED":
            why = f"did not accept the credentials: {RENEW}"
        case "PERMISSION_DENIED":
            named = [role for permission, role in ROLES_BY_PERMISSION.items() if permission in message]
            role = [*named, ROLES.get(host, "that docs/google.md names")][0]
            why = f"refused permission{_brackets(reason)}: {grant(role)}"
        case "RESOURCE_EXHAUSTED":
            why = f"has no quota left{_brackets(limit)}: ask for more under IAM & Admin, Quotas"
        case "UNAVAILABLE":
            why = "could not be reached"
        case "DEADLINE_EXCEEDED":
            why = "took too long"
        case "FAILED_PRECONDITION" if "Datastore Mode" in message:
            why = "is in Datastore mode there: make a database in native mode, or name another"
        case "NOT_FOUND" if host == "firestore.googleapis.com":
            why = (
                "failed (NOT_FOUND): create the database with `gcloud firestore databases create`, or correct "
                "GOOGLE_CLOUD_PROJECT and OFFHOOK_FIRESTORE_DATABASE"
            )
        case "NOT_FOUND":
            why = "failed (NOT_FOUND): correct GOOGLE_CLOUD_PROJECT or the name that is set for this service"
        case _:
            why = f"failed ({' '.join(filter(None, (code, reason)))})"
    return Unavailable(f"{service} {why}")


def grant(role: str) -> str:
    """What to do about a role that is missing."""
    return f"grant {role} to the account that Offhook runs as"


def _code(error: "GoogleAPICallError") -> str:
    return str(error.grpc_status_code.name) if error.grpc_status_code else str(error.code or "unknown")


def _brackets(word: str) -> str:
    return f" ({word})" if word else ""
