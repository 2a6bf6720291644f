"""Sensors: automation of stale assets, and a message when a run fails."""

import json
import os
import urllib.request
from collections.abc import Iterator

import dagster as dg

from lex_assets.jobs import train_job
from lex_assets.schemas import DOMAINS

WEBHOOK_VARIABLE = "LEX_ALERT_WEBHOOK"
WEBHOOK_TIMEOUT_S = 10


@dg.run_failure_sensor(name="run_failure_alert", default_status=dg.DefaultSensorStatus.RUNNING)
def run_failure_alert(context: dg.RunFailureSensorContext) -> None:
    """실패한 실행을 알림. Logs a failed run in one line and posts it to the webhook in LEX_ALERT_WEBHOOK, if there is one."""
    message = failure_message(context.dagster_run, context.failure_event.message or "")
    context.log.error(message)
    webhook = os.environ.get(WEBHOOK_VARIABLE)
    if webhook:
        _post(webhook, message)


def failure_message(run: dg.DagsterRun, cause: str) -> str:
    """One line: job, partition, run id and cause."""
    partition = run.tags.get("dagster/partition", "-")
    return f"lex_assets: {run.job_name}[{partition}] failed (run {run.run_id[:8]}): {' '.join(cause.split())}"


def _post(webhook: str, message: str) -> None:
    request = urllib.request.Request(
        webhook, json.dumps({"text": message}).encode(), {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_S).close()
    except OSError as error:
        # the address is a secret and may be part of the error's text: say only what kind of error it was
        raise ConnectionError(f"the webhook in {WEBHOOK_VARIABLE} did not answer ({type(error).__name__})") from None


@dg.asset_sensor(
    asset_key=dg.AssetKey("split"),
    job=train_job,
    name="corpus_change",
    default_status=dg.DefaultSensorStatus.STOPPED,
)
def corpus_change(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> Iterator[dg.RunRequest]:
    """말뭉치가 바뀌면 도메인마다 다시 채굴·학습(기본 꺼짐). One run per domain after `assemble` when the corpus or the split
    differs from what was asked for before: the new documents' questions are made, mined and trained."""
    corpus = context.instance.get_latest_materialization_event(dg.AssetKey("corpus"))
    version = "-".join(_data_version(one) for one in (corpus, event))
    for domain in DOMAINS:
        yield dg.RunRequest(
            run_key=f"{version}-{domain}", partition_key=domain, tags={"lex_assets/trigger": "corpus_change"}
        )


def _data_version(event: dg.EventLogEntry | None) -> str:
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version", "") if made else ""


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="바뀐 입력이 있는 자산을 다시 만듦(기본 꺼짐). Rebuilds assets whose inputs changed; off until switched on.",
)
