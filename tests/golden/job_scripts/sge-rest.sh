#!/usr/bin/env bash
# x: echo 'it'"'"'s task JOB' | cat
tasks=(2 5)
exec python3 utils/job_task.py /exp/q/x.JOB "${tasks[SGE_TASK_ID - 1]}" 1
