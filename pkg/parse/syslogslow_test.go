package parse

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"logtools/pkg/when"
)

var (
	bsdPattern    = regexp.MustCompile(`^(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)  ?(\d\d?) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(\.\d+)?`)
	dataName      = "[^\\x00- =\"\\]\\[]+"
	dataParam     = ` +(` + dataName + `)="((?:[^"\\]|\\["\\\]]|\\[^"\\\]])*)"`
	paramPattern  = regexp.MustCompile(dataParam)
	dataPattern   = regexp.MustCompile(`^\[(` + dataName + `)((?:` + dataParam + `)*) *\]`)
	pidPattern    = regexp.MustCompile(`(?s)^(.*)\[([^\[]+)\]$`)
	appPattern    = regexp.MustCompile("^[^-(\"'`{}\\[\\]<>=,;?!|&\\\\\\t][^\"'`{}\\[\\]<>=,;?!|&\\\\\\t]*$")
	countPattern  = regexp.MustCompile(`^([0-9]+) <.`)
	priPattern    = regexp.MustCompile(`^<([0-9]{1,3})>`)
	numberPattern = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)
	hostPattern   = regexp.MustCompile(`^[A-Za-z0-9:\[_*\x{80}-\x{10ffff}]`)
	headPattern   = regexp.MustCompile(`^([^ ]*[^ :]) (-|[0-9]+) `)
	zonePattern   = regexp.MustCompile(`^(.{19,55}[+-]\d\d)(\d\d)$`)
)

// syslogSlow is the slow twin of the syslog parser: strings and regular
// expressions. It returns name, value, name, value… and the time stamp as it
// stands in the line; false for a bad line.
func syslogSlow(line string) (out []any, stamp string, ok bool) {
	if !utf8.ValidString(line) {
		return nil, "", false
	}
	line = strings.TrimSuffix(line, "\r")
	add := func(name string, v any) { out = append(out, name, v) }
	word := func() string { // takes a word and the space after it
		w, rest, _ := strings.Cut(line, " ")
		line = rest
		return w
	}
	trim := func() { line = strings.TrimLeft(line, " ") }
	text := func() string { return strings.TrimPrefix(line, "\ufeff") }

	if m := countPattern.FindStringSubmatch(line); m != nil {
		line = line[len(m[1])+1:]
		if n, err := strconv.Atoi(m[1]); err == nil && n < len(line) && len(m[1]) <= 9 {
			return nil, "", false
		}
	}
	pri := -1
	if strings.HasPrefix(line, "<") {
		m := priPattern.FindStringSubmatch(line)
		if m == nil {
			return nil, "", false
		}
		if pri, _ = strconv.Atoi(m[1]); pri > 191 {
			return nil, "", false
		}
		add("facility", strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock local0 local1 local2 local3 local4 local5 local6 local7")[pri/8])
		add("severity", strings.Fields("emerg alert crit err warning notice info debug")[pri%8])
		line = line[len(m[0]):]
	}
	number := func(s string) any {
		if numberPattern.MatchString(s) {
			return json.Number(s)
		}
		return s
	}
	// header reads from APP on.
	header := func() bool {
		for _, name := range []string{"appname", "procid", "msgid"} {
			w := word()
			switch {
			case w == "":
				return false
			case w == "-":
				add(name, nil)
			case name == "procid":
				add(name, number(w))
			default:
				add(name, w)
			}
		}
		if strings.HasPrefix(line, "-") {
			add("structured_data", nil)
			line = line[1:]
		} else {
			data, params := map[string]any{}, 0
			for strings.HasPrefix(line, "[") {
				m := dataPattern.FindStringSubmatch(line)
				if m == nil || data[m[1]] != nil {
					return false
				}
				line = line[len(m[0]):]
				element := map[string]any{}
				for _, p := range paramPattern.FindAllStringSubmatch(m[2], -1) {
					v := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\]`, `]`).Replace(p[2])
					switch old := element[p[1]].(type) {
					case nil:
						element[p[1]] = v
					case string:
						element[p[1]] = []any{old, v}
					case []any:
						element[p[1]] = append(old, v)
					}
					params++
				}
				if data[m[1]] = element; len(element) == 0 {
					params++
				}
			}
			if len(data) == 0 || params > maxParams {
				return false
			}
			add("structured_data", data)
		}
		if line != "" && line[0] != ' ' {
			return false
		}
		line = strings.TrimPrefix(line, " ")
		add("message", text())
		return true
	}

	if strings.HasPrefix(line, "1 ") && pri >= 0 {
		line = line[2:]
		if stamp = word(); stamp == "-" {
			stamp = ""
		} else if _, ok := slowISO(stamp); !ok {
			return nil, "", false
		}
		host := word()
		if host == "" {
			return nil, "", false
		}
		if add("hostname", host); host == "-" {
			out[len(out)-1] = nil
		}
		return out, stamp, header()
	}

	iso, noHost := false, false
	first, _, _ := strings.Cut(line, " ")
	if len(first) >= 19 && first[4] == '-' && first[10] == 'T' {
		stamp = strings.TrimSuffix(first, ":")
		if _, ok := slowISO(stamp); !ok {
			return nil, "", false
		}
		iso = true
	} else if m := bsdPattern.FindStringSubmatch(line); m != nil && m[3] != "0000" {
		year := m[3]
		if year == "" {
			year = "2000"
		}
		sec := m[6]
		if sec == "60" {
			sec = "59"
		}
		if _, err := time.Parse("2006-Jan-2 15:04:05", year+"-"+m[1]+"-"+strings.TrimPrefix(m[2], "0")+" "+m[4]+":"+m[5]+":"+sec); err != nil {
			return nil, "", false
		}
		stamp = m[0]
	} else if pri < 0 {
		return nil, "", false
	}
	if stamp != "" {
		line = line[len(stamp):]
		if strings.HasPrefix(line, ":") {
			line, noHost = line[1:], true
		}
		if line != "" && line[0] != ' ' {
			return nil, "", false
		}
		if trim(); line == "" {
			return nil, "", false
		}
	}

	tag := func(line string) (app, proc, rest string, ok bool) {
		w, _, _ := strings.Cut(line, " ")
		switch {
		case strings.HasSuffix(w, ":"):
			app, rest = w[:len(w)-1], line[len(w):]
		case strings.HasSuffix(w, "]"):
			m := pidPattern.FindStringSubmatch(w)
			if m == nil || !digits(m[2]) {
				return
			}
			app, rest = w, line[len(w):]
		default:
			k := strings.IndexByte(strings.ReplaceAll(w, "::", "--"), ':')
			if k <= 0 || w[k+1] == '/' || strings.Contains("0123456789", w[:1]) {
				return
			}
			app, rest = w[:k], line[k+1:]
		}
		if m := pidPattern.FindStringSubmatch(app); m != nil {
			app, proc = m[1], m[2]
		}
		return app, proc, strings.TrimPrefix(rest, " "), appPattern.MatchString(app)
	}
	if stamp != "" && !noHost {
		w, _, _ := strings.Cut(line, " ")
		_, proc, _, isTag := tag(w)
		if hostPattern.MatchString(w) && !strings.HasSuffix(w, ":") && !(isTag && proc != "") {
			word()
			trim()
			switch w {
			case "EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG":
				if pri < 0 {
					add("severity", strings.ToLower(w))
				}
			default:
				add("hostname", w)
				if m := headPattern.FindString(line); iso && m != "" {
					before, rest := out[:len(out):len(out)], line
					if header() {
						return out, stamp, true
					}
					out, line = before, rest
				}
			}
		}
	}
	if app, proc, rest, ok := tag(line); ok {
		add("appname", app)
		if proc != "" {
			add("procid", number(proc))
		}
		line = rest
	}
	add("message", text())
	return out, stamp, true
}

// slowISO is RFC 3339 with a T; the zone may lack its colon, or be missing.
func slowISO(s string) (when.Time, bool) {
	if len(s) < 11 || s[10] != 'T' && s[10] != 't' {
		return when.Time{}, false
	}
	if m := zonePattern.FindStringSubmatch(s); m != nil {
		return when.Parse([]byte(m[1]+":"+m[2]), time.UTC)
	}
	return when.Parse([]byte(s), time.UTC)
}
