package main

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// shop makes up the requests.
type shop struct {
	rng      random
	now      time.Time
	paths    weighted
	visitors weighted // address and user
	agents   weighted
	visited  string // a path to come from
}

func newShop() *shop {
	s := &shop{rng: 1, now: time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC), visited: "/"}
	paths := []string{"/", "/products", "/cart", "/login", "/api/checkout", "/search?q=lamp", "/static/app.js", "/static/style.css", "/about", "/favicon.ico"}
	for i := range 2000 {
		switch i % 10 {
		case 3:
			paths = append(paths, fmt.Sprintf("/img/%d.webp", i))
		case 7:
			paths = append(paths, fmt.Sprintf("/search?q=%s&page=%d", []string{"lamp", "desk", "caf%C3%A9+table", "chair"}[i%4], i/100))
		default:
			paths = append(paths, fmt.Sprintf("/products/%d", 1000+i))
		}
	}
	s.paths = zipf(paths)

	var visitors []string
	for i := range 8000 {
		addr := fmt.Sprintf("%d.%d.%d.%d", 11+s.rng.below(180), s.rng.below(256), s.rng.below(256), 1+s.rng.below(254))
		if i%25 == 7 {
			addr = fmt.Sprintf("2001:db8:%x::%x", s.rng.below(0xffff), i)
		}
		user := "-"
		if i%4 == 2 {
			user = fmt.Sprintf("u%d", 10_000+i)
		}
		visitors = append(visitors, addr+" "+user)
	}
	s.visitors = zipf(visitors)

	var agents []string
	for v := 140; v > 110; v-- {
		agents = append(agents,
			fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", v),
			fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0", v, v))
	}
	s.agents = zipf(append(agents, "curl/8.14.1", "-"))
	return s
}

// odd are requests that are no HTTP, as servers log them: a TLS handshake on the
// plain port, a connection without a request, a quote within one.
var odd = []string{`\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03`, `-`, `GET /\"quoted\" HTTP/1.1 x`, `SSH-2.0-Go`}

func (s *shop) next() request {
	rng := &s.rng
	s.now = s.now.Add(time.Duration(rng.below(800)) * time.Millisecond)
	addr, user, _ := strings.Cut(s.visitors.pick(rng), " ")
	r := request{
		addr: addr, user: user, time: s.now, method: "GET", path: s.paths.pick(rng), protocol: "HTTP/1.1",
		status: 200, referer: "-", agent: s.agents.pick(rng),
	}
	// A long tail: each halving of the chance doubles the size.
	r.bytes = 150 + rng.below(4000)<<rng.tail(9)
	r.micros = 800 + rng.below(20_000)<<rng.tail(7)
	if rng.below(3) > 0 {
		r.referer = "https://shop.example" + s.visited
	}
	if rng.below(4) == 0 {
		r.protocol = "HTTP/2.0"
	}
	s.visited = r.path

	chance := rng.below(10_000)
	switch {
	case chance < 2:
		r.odd = odd[rng.below(len(odd))]
		r.status, r.bytes, r.referer, r.agent = 400, 157, "-", "-"
	case r.path == "/api/checkout":
		r.method = "POST"
		if chance < 900 {
			r.status, r.bytes, r.micros = 500, 187, r.micros+10_000_000
		}
	case r.path == "/login" && chance < 4000:
		r.method, r.status, r.bytes = "POST", 302, 0
	case chance < 60:
		r.path, r.status, r.bytes = "/wp-login.php", 404, 153
	case chance < 300:
		r.status, r.bytes = 404, 153
	case chance < 340:
		r.status, r.bytes = 503, 190
	case chance < 1200:
		r.status, r.bytes = 304, 0
	case chance < 1300:
		r.method, r.bytes = "HEAD", 0
	}
	return r
}

// weighted picks texts, some more often than others.
type weighted struct {
	texts []string
	upTo  []uint64 // running sums of the weights
}

// zipf makes the n-th text n times rarer than the first.
func zipf(texts []string) weighted {
	w := weighted{texts: texts}
	var sum uint64
	for i := range texts {
		sum += 1 << 40 / uint64(i+1)
		w.upTo = append(w.upTo, sum)
	}
	return w
}

func (w *weighted) pick(rng *random) string {
	x := rng.next() % w.upTo[len(w.upTo)-1]
	return w.texts[sort.Search(len(w.upTo), func(i int) bool { return w.upTo[i] > x })]
}

// random is splitmix64: integers only, so that every machine and every release of
// Go makes the same files.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

// tail returns 0 with chance 1/2, 1 with 1/4, and so on, at most limit.
func (r *random) tail(limit int) int {
	n := 0
	for x := r.next(); x&1 == 0 && n < limit; x >>= 1 {
		n++
	}
	return n
}
