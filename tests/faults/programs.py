"""squeue and scontrol, as far as the daemon uses them: shell scripts that read the records of a model Slurm as files.

`SLURM_CONF` names a file beside a folder `slurm`: in `jobs/ID`, `living/ID` and `queue/ID` lie the records with a
control character where squeue prints its mark, `comments/ID` takes what scontrol says; while `silent` is there, nobody
answers.
"""

from __future__ import annotations

from pathlib import Path

MARK = "\x02"

_HEAD = """\
#!/bin/sh
set -eu
cd "${SLURM_CONF%/*}/slurm"
if [ -e silent ]; then
    echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2
    exit 1
fi
"""

_SQUEUE = """\
jobs=
folder=jobs
for word in "$@"; do
    case $word in
    --Format=*GroupID*) mark=${word##*:0} folder=living ;;
    --Format=*) mark=${word##*:0} ;;
    --jobs=*) jobs=$(echo "${word#--jobs=}" | tr , ' ') ;;
    --states=PENDING) folder=queue ;;
    esac
done
case $jobs in
'') set -- "$folder"/* ;;
*' '*) set -- ; for id in $jobs; do set -- "$@" "$folder/$id"; done ;;
*)
    if [ ! -e "$folder/$jobs" ]; then
        echo "slurm_load_jobs error: Invalid job id specified" >&2
        exit 1
    fi
    set -- "$folder/$jobs"
    ;;
esac
sed "s,MARK,$mark,g" /dev/null "$@" 2>/dev/null || true
"""

_SCONTROL = """\
case $1 in
update)
    id=${2#JobId=}
    if [ ! -e "jobs/$id" ]; then
        echo "Invalid job id specified for job $id" >&2
        exit 1
    fi
    printf '%s\\n' "${3#AdminComment=}" >>"comments/$id"
    ;;
notify)
    if [ ! -e "terminals/$2" ]; then
        echo "Invalid job id specified for job $2" >&2
        exit 1
    fi
    printf '%s\\n' "$3" >>"terminals/$2"
    ;;
esac
"""


def install(folder: Path) -> None:
    """Write both into a folder."""
    folder.mkdir()
    squeue = _SQUEUE.replace("MARK", MARK)
    for name, body in {"squeue": squeue, "scontrol": _SCONTROL}.items():
        path = folder / name
        path.write_text(_HEAD + body)
        path.chmod(0o755)
