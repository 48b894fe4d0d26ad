#!/bin/sh
# Shows the main job on a sample log: which pages are asked for most. Prints each
# command before its output. The files stay in bin/demo for playing with them.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/bin:$PATH
export PATH

"${GO:-go}" run ./scripts/samplelog bin/demo
cd bin/demo
echo "a sample log of $(wc -l <access.log | tr -d ' ') lines is in bin/demo: $(echo *)"

say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ %s\n' "$1"
	eval "$1"
}

say "Which pages are asked for most?"
run "logview -i combined -g .path --top 5 -o table access.log"

say "The same in the old way:"
run "awk '{print \$7}' access.log | sort | uniq -c | sort -rn | head -5"

say "What share of the requests fails?"
run "logview -i combined -a 'requests=count,errors=count(.status>=500),share=avg(if .status>=500 then 1 else 0 end)' -o table access.log"

say "And where?"
run "logview -i combined -g .path -a 'requests=count,errors=count(.status>=500)' --sort errors --top 3 -o table access.log"

say "A compressed log through a pipe, by page and status, with the 99th percentile of the size:"
run "logcat -i combined access.log.gz | logview -g '.path,.status' -a 'count,p99(.bytes_sent)' -o table --top 5"

say "JSON events pass through a filter byte for byte:"
run "logcat -w '.status>=500' app.ndjson | head -3"

say "and can be given another shape:"
run "logcat -w '.status>=500 and .request_time>10' -m '{path,seconds: .request_time}' -c 3 -o csv app.ndjson"
