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

say "When? One column for each hour, one drawing for each class of status:"
run "logview -i combined -g '\$time[:13],(.status/100|floor)' -w '.status>=400' -o chart access.log"

say "JSON events pass through a filter byte for byte:"
run "logcat -w '.status>=500' app.ndjson | head -3"

say "and can be given another shape:"
run "logcat -w '.status>=500 and .request_time>10' -m '{path,seconds: .request_time}' -c 3 -o csv app.ndjson"

say "A log of key=value pairs, for reading; on a terminal it has colours:"
run "logcat -w '.level==\"error\"' -c 3 -o pretty app.log"

say "Two logs of different formats in the order of time:"
run "logcat --merge -w '.status>=500' -m '{\$time,path,ms}' -c 4 access.log app.log"

say "A log that is still being written, for a second or so:"
: >live.log
(
	sleep 0.5
	head -n 800 app.log >>live.log
	mv live.log live.log.1 # rotated
	head -n 1600 app.log | tail -n 800 >live.log
) &
run "logcat -f -w '.ms>2000' -m '{path,ms}' -c 6 live.log"
wait
rm -f live.log live.log.1

say "A log that survives kill -9 and power cuts, with the user as key:"
rm -rf shop
run "logappend -k .user -t .time shop <app.ndjson"
run "logcat --describe shop"
run "logcat -c 2 -m .path --only-key u10006 shop"
run "logview -S 2026-01-06T04:00:00Z -g .path --top 3 -o table shop"

say "Several processes append at the same time; each batch is acknowledged once it is on the disk:"
for part in 1 2 3; do
	head -n 1000 app.log | logappend -i logfmt -t .time --acks shop >"acks.$part" &
done
wait
run "cat acks.1 acks.2 acks.3"
run "logcompact --verify shop"
rm -f acks.1 acks.2 acks.3

say "A consumer group: a command gets what is new, 100,000 events at a time, and exit 0 commits them:"
run "logcat -G counter --batch 100000 shop -- wc -l"
run "echo '{\"user\":\"u1\",\"path\":\"/new\"}' | logappend -k .user shop"
run "logcat -G counter shop -- wc -l"
run "logcat --describe shop | tail -n 1"

say "Rules: the first claim in the log has the name, and no account goes below zero:"
rm -rf claims ledger declined.ndjson
for name in ann bob ann; do
	run "echo '{\"username\":\"$name\"}' | logappend --unique .username claims" || echo "exit $?"
done
cat >transfers.ndjson <<'END'
{"account":"ann","amount":100}
{"account":"ann","amount":-70}
{"account":"ann","amount":-40}
END
run "cat transfers.ndjson"
run "logappend -k .account --init 0 --fold '. + \$e.amount' --check '. >= 0' --refused declined.ndjson ledger <transfers.ndjson" || echo "exit $?"
run "cat declined.ndjson"

say "A table: of each key the newest event stays, at its offset, while others append and read:"
rm -rf users audit
run "logcat -w .user -t .time -m '{user,path}' app.ndjson | logappend -k .user --cleanup compact users"
run "logcompact --dry-run users"
run "logcompact users"
run "logcat -n 2 users"
run "logcompact users"

say "Retention: what is too old or too much goes, the oldest files first, here all beyond the newest 500 kB:"
run "logappend -i logfmt --cleanup delete --retain-bytes 500kB --segment-bytes 200kB audit <app.log"
run "logcompact audit"
run "logcat --describe audit"
