package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// CacheLeaksOptions configure [CacheLeaks]. Front, Forget and TTL are required.
type CacheLeaksOptions struct {
	// Front puts the cache in front of a version, with everything that serves a request on
	// the way: authentication, router, cache. origin takes the place of the server of the
	// version. It answers each chat completion with a text of its own, whatever its URL.
	// Front is called in the first run, once for each version. Both must share one cache,
	// with the configuration of the service. Later runs use the same handlers.
	//
	// For a cache that is another process, origin can be served by an
	// [net/http/httputil.ReverseProxy], and the handler can be a proxy to the cache.
	Front func(version string, origin http.RoundTripper) (http.Handler, error)
	// Forget has the cache drop all answers of a version.
	Forget func(ctx context.Context, version string) error
	// TTL is the time after which the cache does not give an answer any more, as it is
	// configured. A run waits a tenth and a second longer.
	TTL time.Duration
	// Advance moves the clock of the cache. If nil, the run waits.
	Advance func(d time.Duration)
	// Versions are two versions. Default "1.0.0" and "1.1.0".
	Versions [2]string
	// Tenants are the headers by which requests of two tenants differ, such as
	// Authorization. They must be credentials of the twin. The case of names does not count.
	// If both are nil, two bearer tokens.
	Tenants [2]http.Header
	// Path is the path of the requests, an interface as of OpenAI's chat completions.
	// Default "/v1/chat/completions".
	Path string
	// Model is the name of the model that is asked for. Default "drill".
	Model string
	// Timeout is the limit of one request. Default 10 s.
	Timeout time.Duration
}

// CacheLeaks returns a check that a response cache keeps apart what must not mix. It asks
// one question of two versions, as two tenants, with temperature 0, temperature 1 and no
// temperature, with tools, and with another system prompt. It fails if one of them is
// answered with the answer of another one. It also fails if a question that is repeated is
// not answered from the cache, or if an answer is given after its TTL or after Forget.
//
// A cache may store an answer up to 200 ms after it was given. The run waits
// until the first question is answered from the cache, and then asks all of them again. It is
// Unknown if that takes as long as the TTL.
//
// The answers come from the drill itself and no two are equal. The check does not depend on
// headers by which a cache shows hits. It asks one question at a time, so it does not find
// caches that mix up requests in flight. It is Unknown if a request is not answered with
// status 200.
func CacheLeaks(o CacheLeaksOptions) checks.Check {
	v := options{name: "CacheLeaksOptions"}
	v.function("Front", o.Front == nil)
	v.function("Forget", o.Forget == nil)
	v.span("TTL", &o.TTL, 0)
	v.span("Timeout", &o.Timeout, 10*time.Second)
	if o.Versions == [2]string{} {
		o.Versions = [2]string{"1.0.0", "1.1.0"}
	}
	if o.Versions[0] == "" || o.Versions[1] == "" || o.Versions[0] == o.Versions[1] {
		v.invalid("Versions", fmt.Sprintf("%.64q", o.Versions), "two different names, or none for the default")
	}
	if o.Tenants[0] == nil && o.Tenants[1] == nil {
		o.Tenants = [2]http.Header{{"Authorization": {"Bearer drill-tenant-1"}}, {"Authorization": {"Bearer drill-tenant-2"}}}
	}
	o.Tenants = [2]http.Header{canonical(o.Tenants[0]), canonical(o.Tenants[1])}
	if reflect.DeepEqual(o.Tenants[0], o.Tenants[1]) {
		v.invalid("Tenants", "two equal headers", "headers that differ, or none for the default")
	}
	o.Path, o.Model = cmp.Or(o.Path, "/v1/chat/completions"), cmp.Or(o.Model, "drill")
	if req, err := http.NewRequest(http.MethodPost, "http://twin"+o.Path, nil); o.Path[0] != '/' || err != nil || req.URL.Host != "twin" {
		v.invalid("Path", fmt.Sprintf("%.64q", o.Path), `a path that begins with "/"`)
	}
	s := &leaks{CacheLeaksOptions: o, origin: &origin{}}
	return newDrill("cache leaks", v.err(), s.rehearse, o.Versions, o.Path, o.Model, o.TTL, o.Timeout)
}

// canonical returns a copy of a header with canonical names, without those that have no
// value.
func canonical(h http.Header) http.Header {
	c := make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			c.Add(name, value)
		}
	}
	return c
}

// leaks is a cache drill. Its runs never overlap.
type leaks struct {
	CacheLeaksOptions
	*run
	origin *origin
	fronts [2]http.Handler

	topic   string // of the questions of a run
	asked   int
	crossed []string      // answers that were given to another question
	broken  string        // what the cache does wrong with a repeated question
	settle  time.Duration // how long the cache takes to store an answer, at most
}

func (s *leaks) rehearse(r *run) checks.Result {
	s.run, s.asked, s.crossed, s.broken, s.settle = r, 0, nil, "", 0
	s.topic = s.origin.reset()
	err := s.open()
	if err == nil {
		err = s.ask()
	}
	evidence := map[string]string{"requests": fmt.Sprint(s.asked), "answered by the origin": fmt.Sprint(s.origin.count())}
	switch {
	case len(s.crossed) > 0:
		evidence["leaks"] = strings.Join(s.crossed, "; ")
		return checks.Result{Status: checks.Fail, Evidence: evidence, Summary: "the cache mixes up requests: " + s.crossed[0]}
	case s.broken != "":
		return checks.Result{Status: checks.Fail, Evidence: evidence, Summary: s.broken}
	case r.ctx.Err() != nil:
		return s.ended(evidence)
	case err != nil:
		return s.unknown(evidence, err)
	}
	return checks.Result{Status: checks.Pass, Evidence: evidence, Summary: fmt.Sprintf(
		"no answer crossed between versions, tenants and parameters in %d requests; TTL and Forget hold", s.asked)}
}

// open calls Front in the first run.
func (s *leaks) open() error {
	for i, version := range s.Versions {
		if s.fronts[i] != nil {
			continue
		}
		front, err := call(s.ctx, s.run, "Front", s.Timeout, func(context.Context) (http.Handler, error) {
			return s.Front(version, &server{s.origin, i})
		})
		if err != nil {
			return err
		}
		if front == nil {
			return errors.New("front: returned no handler")
		}
		s.fronts[i] = front
	}
	return nil
}

// ask asks all questions. It returns an error if the cache cannot be judged. What the
// cache does wrong is in s.crossed and s.broken.
func (s *leaks) ask() error {
	began := time.Now()
	if err := s.round(questions); err != nil {
		return err
	}
	if err := s.repeat("at first", began); err != nil {
		return err
	}
	// Now the answers are stored. The second round finds those that were stored under the key
	// of another question.
	if err := s.round(questions); err != nil {
		return err
	}
	if len(s.crossed) > 0 {
		return nil
	}
	if err := s.inTime(began); err != nil {
		return err
	}
	if err := s.expire(); err != nil {
		return err
	}
	began = time.Now()
	if err := s.fresh("after its TTL", questions[:1]); err != nil {
		return err
	}
	if err := s.repeat("after the TTL", began); err != nil {
		return err
	}
	var same []question // of the version that is forgotten
	for _, q := range questions {
		if q.version == 0 {
			same = append(same, q)
		}
	}
	if err := s.round(same); err != nil {
		return err
	}
	if !s.sleep(s.settle) {
		return context.Cause(s.ctx)
	}
	if _, err := call(s.ctx, s.run, "Forget", s.Timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Forget(ctx, s.Versions[0])
	}); err != nil {
		return err
	}
	return s.fresh("after Forget", same)
}

// round asks questions, one after the other.
func (s *leaks) round(list []question) error {
	for _, q := range list {
		if _, err := s.one(q); err != nil {
			return err
		}
	}
	return nil
}

// inTime returns an error if answers that were stored since began may have expired.
func (s *leaks) inTime(began time.Time) error {
	if took := time.Since(began); s.Advance == nil && took >= s.TTL {
		return fmt.Errorf("cache: %d requests took %v, so a TTL of %v is too short for a drill", s.asked, took, s.TTL)
	}
	return nil
}

// errVerdict ends a run whose verdict is known.
var errVerdict = errors.New("verdict is known")

// repeat repeats the first question, which was asked at began, until it is answered from the
// cache. Then it waits until the other answers are stored as well.
func (s *leaks) repeat(when string, began time.Time) error {
	for i := range 5 {
		if i > 0 && !s.sleep(50*time.Millisecond) {
			return context.Cause(s.ctx)
		}
		mark := s.origin.count()
		n, err := s.one(questions[0])
		if err != nil {
			return err
		}
		if n <= mark {
			s.settle = max(s.settle, time.Since(began))
			if !s.sleep(s.settle) {
				return context.Cause(s.ctx)
			}
			return nil
		}
	}
	if err := s.inTime(began); err != nil {
		return err
	}
	s.broken = fmt.Sprintf("a repeated question was not answered from the cache, %s", when)
	return errVerdict
}

// fresh requires that the origin answers questions now.
func (s *leaks) fresh(when string, list []question) error {
	mark := s.origin.count()
	for _, q := range list {
		n, err := s.one(q)
		if err != nil {
			return err
		}
		if n <= mark {
			s.broken = fmt.Sprintf("the cache gave an answer %s, to %s", when, q.name)
			return errVerdict
		}
	}
	return nil
}

// expire waits until no answer is good any more.
func (s *leaks) expire() error {
	d := s.TTL + s.TTL/10 + time.Second
	if s.Advance == nil {
		if !s.sleep(d) {
			return context.Cause(s.ctx)
		}
		return nil
	}
	_, err := call(s.ctx, s.run, "Advance", s.Timeout, func(context.Context) (struct{}, error) {
		s.Advance(d)
		return struct{}{}, nil
	})
	return err
}

// one asks a question, and returns the number of the answer. It notes an answer that
// belongs to another question.
func (s *leaks) one(q question) (int, error) {
	s.asked++
	s.origin.ask(q)
	defer s.origin.ask(question{})
	body, err := call(s.ctx, s.run, "Front", s.Timeout, func(ctx context.Context) ([]byte, error) {
		return s.serve(ctx, q)
	})
	if err != nil {
		return 0, err
	}
	got, err := s.origin.read(body)
	if err != nil {
		return 0, err
	}
	if got.to != q {
		if cross := fmt.Sprintf("the answer to %s was given to %s", got.to.name, q.name); len(s.crossed) < 16 {
			s.crossed = append(s.crossed, cross)
		}
	} else if got.by != q.version {
		return 0, fmt.Errorf("front: the front of version %.64q asks the origin of version %.64q", s.Versions[q.version], s.Versions[got.by])
	}
	return got.number, nil
}
