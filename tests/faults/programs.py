"""squeue, scontrol and scancel, as far as the daemon uses them: shell scripts that show a model Slurm's records, files.

`SLURM_CONF` names a file beside a folder `slurm`: in `jobs/ID`, `living/ID`, `queue/ID` and `records/ID` lie the
records with a control character where squeue prints its mark, `comments/ID` takes what scontrol says; while `silent` is
there, nobody answers. `gates/ID` has one word that changes what squeue prints of a job: whose hold it is in, or
how far it is of being staged anew. `asks/ID.WORD` asks the model for something.
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
    --Format=*HetJobID*) mark=${word##*:0} folder=records ;;
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
plain="s,MARK,$mark,g;s/@[A-Z]*:\\([^@]*\\)@/\\1/g"
case $(echo gates/*) in
'gates/*')
    sed "$plain" /dev/null "$@" 2>/dev/null || true
    exit 0
    ;;
esac
for file in "$@"; do
    word=
    [ ! -e "gates/${file##*/}" ] || read -r word <"gates/${file##*/}" || true
    case $word in
    owner) first='s/@P:[^@]*@/0/;s/@R:[^@]*@/JobHeldUser/' ;;
    admin) first='s/@P:[^@]*@/0/;s/@R:[^@]*@/JobHeldAdmin/' ;;
    cancelled) first='s/@S:[^@]*@/CANCELLED/;s,@B:[^@]*@,N/A,' ;;
    torn) first='s/@S:[^@]*@/CANCELLED/;s/@B:[^@]*@/teardown/' ;;
    again) first='s/@P:[^@]*@/0/;s/@R:[^@]*@/JobHeldUser/;s/@B:[^@]*@/teardown/' ;;
    requeued) first='s,@B:[^@]*@,N/A,' ;;
    *) first= ;;
    esac
    sed -e "$first" -e "$plain" "$file" 2>/dev/null || true
done
"""

_SCONTROL = """\
known() {
    [ ! -e "jobs/$1" ] || return 0
    echo "Invalid job id specified for job $1" >&2
    exit 1
}
turn() {
    known "$1"
    echo "$2" >"gates/draft.$1"
    mv "gates/draft.$1" "gates/$1"
}
case $1 in
hold) turn "$2" admin ;;
uhold) turn "$2" owner ;;
release) turn "$2" open ;;
requeuehold) turn "$2" again ;;
requeue)
    turn "$2" requeued
    : >"asks/$2.requeue"
    ;;
update)
    id=${2#JobId=}
    known "$id"
    [ "$3" != Requeue=1 ] || exit 0
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


_SCANCEL = """\
case $1 in
--state=PENDING)
    echo cancelled >"gates/draft.$2"
    mv "gates/draft.$2" "gates/$2"
    ;;
--hurry) : >"asks/$2.hurry" ;;
esac
"""


def install(folder: Path) -> None:
    """Write all into a folder."""
    folder.mkdir()
    squeue = _SQUEUE.replace("MARK", MARK)
    for name, body in {"squeue": squeue, "scontrol": _SCONTROL, "scancel": _SCANCEL}.items():
        path = folder / name
        path.write_text(_HEAD + body)
        path.chmod(0o755)
