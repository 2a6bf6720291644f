"""Schedules. A schedule on a partitioned job emits no partition by itself: this one asks for one run per domain."""

from collections.abc import Iterator

import dagster as dg

from lex_assets.jobs import remine_job
from lex_assets.registry.candidate import Registry
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import DOMAINS

WEEKLY = "0 3 * * 1"


@dg.schedule(job=remine_job, cron_schedule=WEEKLY, execution_timezone="Asia/Seoul", name="weekly_remine")
def weekly_remine(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Iterator[dg.RunRequest]:
    """매주 월요일 03:00(서울), 라운드가 남은 도메인마다 한 번. Mondays at 03:00 in Seoul, one run per domain in which another
    round is worth it; what has stopped goes on when the documents change (sensor `corpus_change`)."""
    rounds = Registry(store.registry).rounds
    day = context.scheduled_execution_time.date().isoformat()
    for domain in DOMAINS:
        stopped = rounds.stopped(domain)
        if stopped:
            context.log.info(f"{domain}: {stopped}")
            continue
        yield dg.RunRequest(run_key=f"{day}-{domain}", partition_key=domain, tags={"lex_assets/trigger": "weekly"})
