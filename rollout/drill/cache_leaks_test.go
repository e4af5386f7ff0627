package drill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
)

// proxied returns a handler that sends requests through a transport as they are.
func proxied(tr http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{Transport: tr, Rewrite: func(*httputil.ProxyRequest) {}}
}

// behind returns options for a cache of package cache.
func behind(c *cache.Cache, ttl time.Duration) drill.CacheLeaksOptions {
	return drill.CacheLeaksOptions{
		Front: func(version string, origin http.RoundTripper) (http.Handler, error) {
			return proxied(c.Transport(version, origin)), nil
		},
		Forget: func(_ context.Context, version string) error { c.Forget(version); return nil },
		TTL:    ttl,
	}
}

func newCache(t *testing.T, cfg cache.Config) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestCacheLeaksOfThisModule runs the drill on package cache, in several configurations,
// twice each.
func TestCacheLeaksOfThisModule(t *testing.T) {
	tenant := func(r *http.Request) string { return r.Header.Get("X-Team") }
	teams := [2]http.Header{
		{"X-Team": {"red"}, "Authorization": {"Bearer shared"}},
		{"X-Team": {"blue"}, "Authorization": {"Bearer shared"}},
	}
	for name, tt := range map[string]struct {
		cfg    cache.Config
		change func(*drill.CacheLeaksOptions)
		status checks.Status
	}{
		"default":   {cache.Config{}, func(*drill.CacheLeaksOptions) {}, checks.Pass},
		"short TTL": {cache.Config{TTL: 5 * time.Second}, func(o *drill.CacheLeaksOptions) { o.TTL = 5 * time.Second }, checks.Pass},
		"tenants":   {cache.Config{Tenant: tenant}, func(o *drill.CacheLeaksOptions) { o.Tenants = teams }, checks.Pass},
		"with chance": {cache.Config{Any: true}, func(o *drill.CacheLeaksOptions) {
			o.Versions = [2]string{"a", "b"}
		}, checks.Pass},
		"a TTL that is longer": {cache.Config{TTL: 2 * time.Hour}, func(*drill.CacheLeaksOptions) {}, checks.Fail},
		"no room":              {cache.Config{MaxAnswer: 1}, func(*drill.CacheLeaksOptions) {}, checks.Fail},
		"Forget does nothing": {cache.Config{}, func(o *drill.CacheLeaksOptions) {
			o.Forget = func(context.Context, string) error { return nil }
		}, checks.Fail},
		"forgets another version": {cache.Config{}, func(o *drill.CacheLeaksOptions) {
			forget := o.Forget
			o.Forget = func(ctx context.Context, _ string) error { return forget(ctx, o.Versions[1]) }
		}, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := behind(newCache(t, tt.cfg), time.Hour)
				tt.change(&o)
				check := drill.CacheLeaks(o)
				for range 2 {
					want(t, check.Check(t.Context()), tt.status)
				}
			})
		})
	}
}

// TestCacheLeaksBehindARouter runs the drill on routers whose arms have a cache.
func TestCacheLeaksBehindARouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Config{TTL: time.Minute})
		o := behind(c, time.Minute)
		o.Front = func(version string, origin http.RoundTripper) (http.Handler, error) {
			return traffic.New(traffic.Config{Arms: map[string]traffic.Backend{
				version: {URL: "http://10.0.0.1", Transport: c.Transport(version, origin)},
			}})
		}
		want(t, drill.CacheLeaks(o).Check(t.Context()), checks.Pass)
	})
}

// shelf is a cache with mistakes. Its key has all parts of a request but those in lacks.
type shelf struct {
	lacks      string
	ttl        time.Duration
	late       time.Duration // from an answer until it is stored
	keepsFirst bool          // of two answers that are stored under one key
	mu         sync.Mutex
	stored     map[string]shelved
}

type shelved struct {
	version string
	body    []byte
	until   time.Time
}

func (s *shelf) key(version string, req *http.Request, body []byte) string {
	var q struct {
		Messages    []map[string]string
		Temperature *float64
		Tools       json.RawMessage
	}
	if err := json.Unmarshal(body, &q); err != nil {
		panic(err)
	}
	temperature := "default"
	if q.Temperature != nil {
		temperature = fmt.Sprint(*q.Temperature)
	}
	parts := []string{q.Messages[1]["content"]}
	for name, part := range map[string]string{
		"version": version, "tenant": req.Header.Get("Authorization"), "system prompt": q.Messages[0]["content"],
		"tools": string(q.Tools), "temperature": temperature,
	} {
		if name != s.lacks {
			parts = append(parts, name+"="+part)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

func (s *shelf) transport(version string, origin http.RoundTripper) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		key := s.key(version, req, body)
		s.mu.Lock()
		defer s.mu.Unlock()
		hit, ok := s.stored[key]
		if !ok || !time.Now().Before(hit.until) {
			req = req.Clone(req.Context())
			req.Body = io.NopCloser(bytes.NewReader(body))
			resp, err := origin.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			if hit.body, err = io.ReadAll(resp.Body); err != nil {
				return nil, err
			}
			hit.version = version
			if s.late > 0 {
				time.AfterFunc(s.late, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.store(key, hit)
				})
			} else {
				s.store(key, hit)
			}
		}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(hit.body))}, nil
	})
}

// store stores an answer. It needs s.mu.
func (s *shelf) store(key string, e shelved) {
	if s.stored == nil {
		s.stored = make(map[string]shelved)
	}
	if s.keepsFirst && time.Now().Before(s.stored[key].until) {
		return
	}
	e.until = time.Now().Add(s.ttl)
	s.stored[key] = e
}

func (s *shelf) forget(_ context.Context, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.stored {
		if e.version == version {
			delete(s.stored, key)
		}
	}
	return nil
}

func (s *shelf) options() drill.CacheLeaksOptions {
	return drill.CacheLeaksOptions{
		Front: func(version string, origin http.RoundTripper) (http.Handler, error) {
			return proxied(s.transport(version, origin)), nil
		},
		Forget: s.forget, TTL: s.ttl,
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestCacheLeaksFindsKeysThatLack: a key that lacks a part mixes up requests that differ in
// it, and no others.
func TestCacheLeaksFindsKeysThatLack(t *testing.T) {
	for lacks, leaks := range map[string][]string{
		"":              nil,
		"version":       {"another version"},
		"tenant":        {"another tenant"},
		"system prompt": {"another system prompt"},
		"tools":         {"with tools"},
		"temperature":   {"temperature 1", "without temperature"},
	} {
		t.Run(lacks, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{lacks: lacks, ttl: time.Minute}
				res := drill.CacheLeaks(s.options()).Check(t.Context())
				if leaks == nil {
					want(t, res, checks.Pass)
					return
				}
				want(t, res, checks.Fail)
				for _, other := range []string{"another version", "another tenant", "another system prompt", "with tools", "temperature 1", "without temperature"} {
					if found := strings.Contains(res.Evidence["leaks"], other); found != slices.Contains(leaks, other) {
						t.Errorf("%q found: %t; %s", other, found, res.Evidence["leaks"])
					}
				}
			})
		})
	}
}

// TestCacheLeaksAdvancesTheClock: with Advance, a run does not wait.
func TestCacheLeaksAdvancesTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ttl: time.Hour}
		o := s.options()
		var advanced time.Duration
		o.Advance = func(d time.Duration) {
			advanced += d
			s.mu.Lock()
			defer s.mu.Unlock()
			for key, e := range s.stored {
				e.until = e.until.Add(-d)
				s.stored[key] = e
			}
		}
		began := time.Now()
		want(t, drill.CacheLeaks(o).Check(t.Context()), checks.Pass)
		if took := time.Since(began); took != 0 || advanced < time.Hour {
			t.Errorf("took %v and advanced by %v", took, advanced)
		}
	})
}

// TestCacheLeaksFindsLateStores: a cache that stores its answers a moment later is found out
// as well, whether it keeps the first one of two answers or the last one.
func TestCacheLeaksFindsLateStores(t *testing.T) {
	for _, lacks := range []string{"", "version", "tenant", "tools"} {
		for _, late := range []time.Duration{30 * time.Millisecond, 120 * time.Millisecond} {
			for _, first := range []bool{true, false} {
				t.Run(fmt.Sprint(lacks, late, first), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := &shelf{lacks: lacks, ttl: time.Minute, late: late, keepsFirst: first}
						res := drill.CacheLeaks(s.options()).Check(t.Context())
						if lacks == "" {
							want(t, res, checks.Pass)
							return
						}
						want(t, res, checks.Fail)
						if !strings.Contains(res.Evidence["leaks"], lacks) {
							t.Error(res.Evidence)
						}
						synctest.Wait()
					})
				})
			}
		}
	}
}

// TestCacheLeaksShortTTL: answers that may have expired before they were asked for again do
// not count.
func TestCacheLeaksShortTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ttl: 300 * time.Millisecond, late: 120 * time.Millisecond}
		res := drill.CacheLeaks(s.options()).Check(t.Context())
		want(t, res, checks.Unknown)
	})
}

// TestCacheLeaksLateStore: a cache that stores answers a moment later is a cache.
func TestCacheLeaksLateStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ttl: time.Minute}
		o := s.options()
		o.Front = func(version string, origin http.RoundTripper) (http.Handler, error) {
			cached, began := s.transport(version, origin), time.Time{}
			return proxied(roundTrip(func(req *http.Request) (*http.Response, error) {
				if began.IsZero() {
					began = time.Now()
				}
				if time.Since(began) < 70*time.Millisecond {
					return origin.RoundTrip(req)
				}
				return cached.RoundTrip(req)
			})), nil
		}
		want(t, drill.CacheLeaks(o).Check(t.Context()), checks.Pass)
	})
}

func TestCacheLeaksUnknown(t *testing.T) {
	for name, change := range map[string]func(s *shelf, o *drill.CacheLeaksOptions){
		"front fails": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) { return nil, errTwin }
		},
		"no handler": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) { return nil, nil }
		},
		"front panics": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) { panic("twin") }
		},
		"handler panics": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil
			}
		},
		"unauthorized": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), nil
			}
		},
		"another answer": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }), nil
			}
		},
		"nothing": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil
			}
		},
		"endless": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					for {
						if _, err := w.Write(make([]byte, 64<<10)); err != nil {
							return
						}
					}
				}), nil
			}
		},
		"hangs": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Front = func(string, http.RoundTripper) (http.Handler, error) {
				return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil
			}
		},
		"the other version": func(s *shelf, o *drill.CacheLeaksOptions) {
			var first http.RoundTripper
			o.Front = func(version string, origin http.RoundTripper) (http.Handler, error) {
				if first == nil {
					first = origin
				}
				return proxied(s.transport(version, first)), nil
			}
		},
		"forget fails": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Forget = func(context.Context, string) error { return errTwin }
		},
		"advance panics": func(_ *shelf, o *drill.CacheLeaksOptions) {
			o.Advance = func(time.Duration) { panic("twin") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{ttl: time.Minute}
				o := s.options()
				change(s, &o)
				res := drill.CacheLeaks(o).Check(t.Context())
				want(t, res, checks.Unknown)
				if res.Err == nil {
					t.Error("no reason")
				}
			})
		})
	}
}

// TestCacheLeaksEndsWithItsContext: the wait for the TTL ends.
func TestCacheLeaksEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{ttl: time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		res := drill.CacheLeaks(s.options()).Check(ctx)
		want(t, res, checks.Unknown)
		if took := time.Since(began); took != time.Minute || !errors.Is(res.Err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", res.Err, took)
		}
	})
}

// TestCacheLeaksOfAnotherProcess: the cache is a proxy with an address of its own, and asks
// servers by their addresses.
func TestCacheLeaksOfAnotherProcess(t *testing.T) {
	s := &shelf{ttl: time.Hour}
	o := s.options()
	o.Advance = func(d time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.stored)
	}
	o.Front = func(version string, origin http.RoundTripper) (http.Handler, error) {
		server := httptest.NewServer(proxyTo("http://origin", origin)) // the server of the version
		t.Cleanup(server.Close)
		gateway := httptest.NewServer(proxyTo(server.URL, s.transport(version, http.DefaultTransport)))
		t.Cleanup(gateway.Close)
		return proxyTo(gateway.URL, nil), nil
	}
	want(t, drill.CacheLeaks(o).Check(t.Context()), checks.Pass)
}

// proxyTo returns a reverse proxy to an address.
func proxyTo(address string, tr http.RoundTripper) http.Handler {
	to, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{Transport: tr, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
}

func TestCacheLeaksInvalidOptions(t *testing.T) {
	s := &shelf{ttl: time.Minute}
	same := http.Header{"Authorization": {"Bearer secret"}}
	for name, tt := range map[string]struct {
		change func(*drill.CacheLeaksOptions)
		want   []string
	}{
		"zero":         {func(o *drill.CacheLeaksOptions) { *o = drill.CacheLeaksOptions{} }, []string{"Forget", "Front", "TTL"}},
		"negative":     {func(o *drill.CacheLeaksOptions) { o.TTL, o.Timeout = -1, -1 }, []string{"TTL", "Timeout"}},
		"one version":  {func(o *drill.CacheLeaksOptions) { o.Versions = [2]string{"a", "a"} }, []string{"Versions"}},
		"half":         {func(o *drill.CacheLeaksOptions) { o.Versions = [2]string{"a", ""} }, []string{"Versions"}},
		"same tenants": {func(o *drill.CacheLeaksOptions) { o.Tenants = [2]http.Header{same, same.Clone()} }, []string{"Tenants"}},
		"same tenants in another case": {func(o *drill.CacheLeaksOptions) {
			o.Tenants = [2]http.Header{same, {"authorization": same["Authorization"]}}
		}, []string{"Tenants"}},
		"no tenants": {func(o *drill.CacheLeaksOptions) { o.Tenants = [2]http.Header{nil, {"Authorization": nil}} }, []string{"Tenants"}},
		"path":       {func(o *drill.CacheLeaksOptions) { o.Path = "v1" }, []string{"Path"}},
		"bad path":   {func(o *drill.CacheLeaksOptions) { o.Path = "/%zz" }, []string{"Path"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			tt.change(&o)
			for i := range tt.want {
				tt.want[i] = "CacheLeaksOptions." + tt.want[i]
			}
			res := drill.CacheLeaks(o).Check(t.Context())
			if got := fields(t, res); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if strings.Contains(res.Err.Error(), "secret") {
				t.Error("the error contains a credential")
			}
		})
	}
}

func TestCacheLeaksConformance(t *testing.T) {
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		s := &shelf{ttl: time.Hour}
		o := s.options()
		o.Advance = func(time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); clear(s.stored) }
		return drill.CacheLeaks(o)
	})
	of := func(o drill.CacheLeaksOptions) checks.Check { return drill.CacheLeaks(o) }
	digests(t, of(drill.CacheLeaksOptions{TTL: 1}), of(drill.CacheLeaksOptions{TTL: 1, Model: "drill", Tenants: [2]http.Header{{"A": {"b"}}, nil}}),
		of(drill.CacheLeaksOptions{TTL: 2}), of(drill.CacheLeaksOptions{TTL: 1, Model: "chat"}), of(drill.CacheLeaksOptions{TTL: 1, Versions: [2]string{"a", "b"}}))
}

// ExampleCacheLeaks tests the cache of this module. A twin has a short TTL, since the
// drill waits for it.
func ExampleCacheLeaks() {
	c, err := cache.New(cache.Config{TTL: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	check := drill.CacheLeaks(drill.CacheLeaksOptions{
		// Front builds what serves a version: here a router with a cache before the server.
		Front: func(version string, origin http.RoundTripper) (http.Handler, error) {
			return traffic.New(traffic.Config{Arms: map[string]traffic.Backend{
				version: {URL: "http://10.0.0.1:8000", Transport: c.Transport(version, origin)},
			}})
		},
		Forget: func(_ context.Context, version string) error { c.Forget(version); return nil },
		TTL:    time.Second,
	})
	res := check.Check(context.Background())
	fmt.Println(res.Status, res.Err)
	// Output: pass <nil>
}
