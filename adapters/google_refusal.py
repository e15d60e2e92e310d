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
NO_TOKEN = "was not asked, for no token could be had: check the service account and its key"


def explain(error: "GoogleAPICallError", service: str, host: str) -> Unavailable:
    """Safe to log: of Google's own message, which may repeat what it was sent, nothing is passed on but its codes.
    `service` is its name for people, `host` its API's ("texttospeech.googleapis.com")."""
    limit = (error.metadata or {}).get("quota_limit", "")
    return refusal(_code(error), error.reason or "", error.message or "", limit, service, host)


def refusal(code: str, reason: str, message: str, limit: str, service: str, host: str) -> Unavailable:
    """The same of an error's parts: gRPC's name of its code, Google's of its reason, and the quota that is used up."""
    match code:
        case _ if reason in ("SERVICE_DISABLED", "API_DISABLED"):
            why = f"is not enabled in the Google Cloud project: run `gcloud services enable {host}`"
        case _ if reason == "BILLING_DISABLED":
            why = "needs billing: enable it for the Google Cloud project"
        case _ if reason == "CONSUMER_INVALID":
            why = "knows no such Google Cloud project: correct GOOGLE_CLOUD_PROJECT"
        case _ if reason == "USER_PROJECT_DENIED":
            why = "refused to use the project: give the service account `roles/serviceusage.serviceUsageConsumer`"
        case "PERMISSION_DENIED" if "iam.serviceAccounts.actAs" in message:
            why = "may not use the tasks' service account: give ours the role `roles/iam.serviceAccountUser` on it"
        # A token that could not be had is reported as if the service were unavailable.
        case "UNAVAILABLE" if "from plugin failed" in message:
            why = NO_TOKEN
        case "UNAUTHENTICATED":
            why = "did not accept the credentials: check the service account and its key"
        case "PERMISSION_DENIED":
            role = ROLES.get(host, "that docs/google.md names")
            why = f"refused permission{_brackets(reason)}: give the service account the role {role}"
        case "RESOURCE_EXHAUSTED":
            why = f"has no quota left{_brackets(limit)}: ask for more under IAM & Admin, Quotas"
        case "UNAVAILABLE":
            why = "could not be reached"
        case "DEADLINE_EXCEEDED":
            why = "took too long"
        case "NOT_FOUND":
            why = "failed (NOT_FOUND): correct GOOGLE_CLOUD_PROJECT or the name that is set for this service"
        case _:
            why = f"failed ({' '.join(filter(None, (code, reason)))})"
    return Unavailable(f"{service} {why}")


def _code(error: "GoogleAPICallError") -> str:
    return str(error.grpc_status_code.name) if error.grpc_status_code else str(error.code or "unknown")


def _brackets(word: str) -> str:
    return f" ({word})" if word else ""
