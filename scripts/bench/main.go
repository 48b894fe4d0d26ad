// Bench times the commands beside what else one would use, as whole processes on
// the same files in one run:
//
//	go run ./scripts/bench [-n N] [-dir DIR] [WORKLOAD...]
//
// The files are those of samplelog, N lines each (2,500,000). Each command runs
// three times in turn with its rivals and the fastest time counts; jq, which
// takes minutes, runs once. Only ratios from one run mean something: machines
// drift. Rivals that are not installed are left out.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A workload is one question, asked of several tools. Commands are for bash, in
// the directory of the files.
type workload struct {
	name   string
	ours   string
	peers  []peer
	before string // is run before ours, and not timed
}

type peer struct {
	name    string
	needs   string // a command, or "python3:MODULE"
	command string
	// once: too slow to run three times.
	once bool
	// limit: not the same work, but what the machine allows at best; a grep that
	// finds nothing is no failure.
	limit bool
}

const events = `read_json('app.ndjson',format='newline_delimited',columns={path:'varchar',status:'int',bytes:'bigint',request_time:'double',user:'varchar'})`

var workloads = []workload{
	{name: "top5", ours: `logview -i combined -g .path --top 5 -o csv access.log`, peers: []peer{
		{name: "awk|sort|uniq -c|sort|head", needs: "awk", command: `awk '{print $7}' access.log | sort | uniq -c | sort -rn | head -n 5`},
		{name: "mawk, counting", needs: "mawk", command: `mawk '{c[$7]++} END{for(k in c) print c[k],k}' access.log | sort -rn | head -5`},
		{name: "clickhouse", needs: "python3:chdb", command: python("chdb", `print(chdb.query("""select extract(line,'"[A-Z]+ ([^ ]+)') p, count() c from file('access.log','LineAsString') group by p order by c desc limit 5""",'CSV'))`)},
		{name: "(limit) wc -l", needs: "wc", command: `wc -l access.log`, limit: true},
	}},
	{name: "filter", ours: `logcat -w '.status>=500' -m '{path:.path,status:.status}' -o value app.ndjson`, peers: []peer{
		{name: "jq", needs: "jq", command: `jq -c 'select(.status>=500)|{path,status}' app.ndjson`, once: true},
		{name: "duckdb", needs: "python3:duckdb", command: python("duckdb", `print(len(duckdb.sql("""select path,status from `+events+` where status>=500""").fetchall()))`)},
		{name: "(limit) rg -c", needs: "rg", command: `rg -c '"status":5' app.ndjson`, limit: true},
	}},
	{name: "group", ours: `logview -g .path -a 'count,avg(.bytes),p99(.request_time),distinct(.user)' --top 5 -o csv app.ndjson`, peers: []peer{
		{name: "duckdb", needs: "python3:duckdb", command: python("duckdb", `print(duckdb.sql("""select path,count(*),avg(bytes),approx_quantile(request_time,0.99),approx_count_distinct(user) from `+events+` group by 1 order by 2 desc limit 5""").fetchall())`)},
		{name: "clickhouse", needs: "python3:chdb", command: python("chdb", `print(chdb.query("""select path,count() c,avg(bytes),quantileTDigest(0.99)(request_time),uniq(user) from file('app.ndjson','JSONEachRow','path Nullable(String), bytes Int64, request_time Float64, user Nullable(String)') group by path order by c desc limit 5""",'CSV'))`)},
	}},
	// A program beyond the raw-bytes engine.
	{name: "gojq", ours: `logcat -w '.path//"" | ltrimstr("/") | explode | add > 900' -o none app.ndjson`, peers: []peer{
		{name: "jq", needs: "jq", command: `jq -c 'select(.path//"" | ltrimstr("/") | explode | add > 900)' app.ndjson`, once: true},
	}},
	// Those that come first make the log that the others need, if it is not there.
	{name: "append", ours: `logappend -k .user log <app.ndjson`, before: `rm -rf log`, peers: []peer{
		{name: "zstd -1 -T2, sync", needs: "zstd", command: `zstd -1 -T2 -q -f app.ndjson -o app.zst && sync app.zst && rm app.zst`},
	}},
	{name: "read", ours: `logcat log | cat`, before: log, peers: []peer{
		{name: "zstd -dc", needs: "zstd", command: `zstd -dcq log/*/*.zst | cat`},
	}},
	{name: "compact", ours: `logcompact --cleanup compact table`, before: log + `; rm -rf table && cp -r log table`, peers: []peer{
		{name: "zstd -dc | zstd -1", needs: "zstd", command: `zstd -dcq log/*/*.zst | zstd -1 -q -f -o again.zst && rm again.zst`},
	}},
}

// log makes the log, if there is none.
const log = `[ -d log ] || logappend -k .user log <app.ndjson`

// python runs code that has no single quotes of the shell's: they are written so
// that bash hands them over.
func python(module, code string) string {
	return `python3 -c '` + strings.ReplaceAll("import "+module+"; "+code, `'`, `'\''`) + `'`
}

func main() {
	n := flag.Int("n", 2_500_000, "`lines` of each file")
	dir := flag.String("dir", "", "keep the files in `DIR` for the next run (default: a temporary directory)")
	flag.Parse()
	if err := run(*n, *dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(n int, dir string, only []string) error {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(bin, "logcat")); err != nil {
		return errors.New("no bin/logcat: run make first, and this from the root of the repository")
	}
	if err := os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	for _, name := range only {
		if !slices.ContainsFunc(workloads, func(w workload) bool { return w.name == name }) && name != "start" {
			return fmt.Errorf("no workload %s", name)
		}
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "logtools-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := write(n, dir); err != nil {
		return err
	}
	wanted := func(name string) bool { return len(only) == 0 || slices.Contains(only, name) }
	for _, w := range workloads {
		if wanted(w.name) {
			w.run(dir)
		}
	}
	if wanted("start") {
		return start(dir)
	}
	return nil
}

// write makes the files, unless those of an earlier run with as many lines are
// there.
func write(n int, dir string) error {
	mark := filepath.Join(dir, fmt.Sprintf(".lines-%d", n))
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	fmt.Printf("writing %d lines each to %s\n", n, dir)
	gen := exec.Command("go", "run", "./scripts/samplelog", "-n", fmt.Sprint(n), dir)
	gen.Stderr = os.Stderr
	if err := gen.Run(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o666)
}

// result is the best of a command's runs.
type result struct {
	seconds float64
	maxRSS  int64 // bytes; 0 where the system does not tell
	err     error
}

func (w *workload) run(dir string) {
	peers := slices.DeleteFunc(slices.Clone(w.peers), func(p peer) bool { return !have(p.needs) })
	all := append([]peer{{name: "logtools", command: w.ours}}, peers...)
	best := make([]result, len(all))
	for i := range best {
		best[i].seconds = math.Inf(1)
	}
	for round := range 3 {
		for i, p := range all {
			if best[i].err != nil || p.once && round > 0 {
				continue
			}
			if i == 0 && w.before != "" {
				if r := timed(dir, w.before, true); r.err != nil {
					best[i].err = r.err
					continue
				}
			}
			r := timed(dir, p.command, i == 0)
			if r.err != nil && !p.limit {
				best[i].err = r.err
				continue
			}
			best[i].seconds = min(best[i].seconds, r.seconds)
			best[i].maxRSS = max(best[i].maxRSS, r.maxRSS)
		}
	}
	fmt.Printf("%s: %s\n", w.name, w.ours)
	for i, p := range all {
		r := best[i]
		if r.err != nil {
			fmt.Printf("  %-28s failed: %v\n", p.name, r.err)
			continue
		}
		fmt.Printf("  %-28s %8.2f s %6d MiB", p.name, r.seconds, r.maxRSS>>20)
		if i > 0 && best[0].err == nil {
			fmt.Printf("   logtools is %.2f x as fast", r.seconds/best[0].seconds)
		}
		fmt.Println()
	}
}

func have(needs string) bool {
	if module, ok := strings.CutPrefix(needs, "python3:"); ok {
		return exec.Command("python3", "-c", "import "+module).Run() == nil
	}
	_, err := exec.LookPath(needs)
	return err == nil
}

// timed runs one command in dir. Its output goes into a file, as it would in
// earnest, and is thrown away. strict: every part of a pipe must succeed; not so
// of a rival that head cuts short.
func timed(dir, command string, strict bool) result {
	out, err := os.CreateTemp(dir, ".out-")
	if err != nil {
		return result{err: err}
	}
	defer os.Remove(out.Name())
	defer out.Close()
	var stderr bytes.Buffer
	// exec: so that a single command's memory is not that of a shell around it.
	if !strings.ContainsAny(command, "|;&") {
		command = "exec " + command
	}
	args := []string{"-c", command}
	if strict {
		args = []string{"-o", "pipefail", "-c", command}
	}
	cmd := exec.Command("bash", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, &stderr
	begin := time.Now()
	err = cmd.Run()
	r := result{seconds: time.Since(begin).Seconds(), maxRSS: maxRSS(cmd.ProcessState)}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		r.err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return r
}

// start measures a command from start to finish on a file of five lines.
func start(dir string) error {
	const runs = 200
	small := filepath.Join(dir, "five.ndjson")
	if err := os.WriteFile(small, []byte(strings.Repeat(`{"path":"/","status":500}`+"\n", 5)), 0o666); err != nil {
		return err
	}
	begin := time.Now()
	for range runs {
		if err := exec.Command("logcat", "-w", ".status>=500", small).Run(); err != nil {
			return fmt.Errorf("logcat: %w", err)
		}
	}
	fmt.Printf("start: logcat on five lines: %.1f ms (mean of %d)\n", time.Since(begin).Seconds()*1000/runs, runs)
	return nil
}
