#!/usr/bin/env bash
# x: echo 'it'"'"'s task JOB' | cat
exec python3 utils/job_task.py /exp/q/x.JOB "${SGE_TASK_ID}" 1
