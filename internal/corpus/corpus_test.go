package corpus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var classes = []string{
	"unread", "ok", "error", "timeout", "truncated", "refused", "empty", "invalid", "rejected", "limited",
	"cancelled", "abandoned",
}

// apis lists the APIs and their routes, the first match wins. The package must
// not import the table that it tests.
var apis = []struct {
	name  string
	route *regexp.Regexp
}{
	{"chat", regexp.MustCompile(`/chat/completions$`)},
	{"completions", regexp.MustCompile(`/completions$`)},
	{"responses", regexp.MustCompile(`/responses$`)},
	{"messages", regexp.MustCompile(`/v1/messages$`)},
	{"gemini", regexp.MustCompile(`:(generateContent|streamGenerateContent|embedContent|batchEmbedContents|predict|rawPredict|streamRawPredict)$`)},
	{"ollama", regexp.MustCompile(`/api/(chat|generate|embed|embeddings)$`)},
	{"cohere", regexp.MustCompile(`/v[12]/chat$`)},
	{"tgi", regexp.MustCompile(`/(generate|generate_stream|completion|infill)$`)},
	{"embeddings", regexp.MustCompile(`/(embeddings|embed)$`)},
	{"rerank", regexp.MustCompile(`/(rerank|score|classify|pooling)$`)},
	{"moderations", regexp.MustCompile(`/moderations$`)},
	{"images", regexp.MustCompile(`/images/(generations|edits|variations)$`)},
	{"speech", regexp.MustCompile(`/audio/speech$`)},
	{"transcription", regexp.MustCompile(`/audio/(transcriptions|translations)$`)},
	{"other", regexp.MustCompile(``)},
}

func apiOf(r Row) int {
	path, _, _ := strings.Cut(r.Route, "?")
	path = strings.TrimSuffix(path, "/")
	for i, a := range apis {
		if a.route.MatchString(path) {
			return i
		}
	}
	panic("unreachable")
}

func TestRows(t *testing.T) {
	all := Rows()
	if len(all) < 340 {
		t.Errorf("%d rows, want 340 or more", len(all))
	}
	names := map[string]bool{}
	byClass := map[string]int{}
	byAPI := make([]int, len(apis))
	for i, r := range all {
		if names[r.Name] || r.Name == "" {
			t.Errorf("row %d: name %q is empty or used twice", i+1, r.Name)
		}
		names[r.Name] = true
		byAPI[apiOf(r)]++
		if len(r.Class) == 0 {
			t.Errorf("%s: no class", r.Name)
		}
		for _, c := range r.Class {
			if !slices.Contains(classes, c) {
				t.Errorf("%s: unknown class %q", r.Name, c)
			}
		}
		if len(r.Class) == 1 {
			byClass[r.Class[0]]++
		}
		if r.Status < 200 || r.Status > 599 {
			t.Errorf("%s: status %d", r.Name, r.Status)
		}
		if !strings.HasPrefix(r.Route, "/") {
			t.Errorf("%s: route %q", r.Name, r.Route)
		}
		if i > 0 {
			p := all[i-1]
			if a, b := apiOf(p), apiOf(r); a > b || a == b && p.Name >= r.Name {
				t.Errorf("%q stands behind %q", r.Name, p.Name)
			}
		}
		if ok := slices.Contains(r.Class, "ok"); ok && (r.Why != "" || r.Fallback != nil) {
			t.Errorf("%s: ok, but has a reason or falls back", r.Name)
		}
		if gone := slices.Contains(r.Class, "abandoned") || slices.Contains(r.Class, "cancelled"); gone != (r.After != nil && r.After.What == Gone) {
			t.Errorf("%s: class %v and after %+v", r.Name, r.Class, r.After)
		}
		if timeout := slices.Contains(r.Class, "timeout"); timeout != (r.After != nil && r.After.What == Stall) {
			t.Errorf("%s: class %v and after %+v", r.Name, r.Class, r.After)
		}
	}
	for i, n := range byAPI {
		if apis[i].name != "other" && n < 20 {
			t.Errorf("%d rows of %s, want 20 or more", n, apis[i].name)
		}
		t.Logf("%-14s%4d", apis[i].name, n)
	}
	for _, c := range classes {
		if byClass[c] < 3 {
			t.Errorf("%d rows of class %s alone, want 3 or more", byClass[c], c)
		}
		t.Logf("%-14s%4d", c, byClass[c])
	}
}

func TestRowsReturnsACopy(t *testing.T) {
	Rows()[0].Name = "changed"
	if Rows()[0].Name == "changed" {
		t.Error("changing the slice changes the next result")
	}
}

func TestRequest(t *testing.T) {
	for _, r := range Rows() {
		var body struct {
			Model    *string
			Stream   *bool
			Messages []any
			Input    any
		}
		if err := json.Unmarshal(r.Request(), &body); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if r.Ask == nil && (body.Model == nil || body.Stream == nil || *body.Stream != r.Stream || len(body.Messages) != 1 || body.Input != "hi") {
			t.Errorf("%s: request %s", r.Name, r.Request())
		}
	}
	r := Row{Stream: true, Ask: json.RawMessage(`{"n":3,"stream":null,"input":["a","b"]}`)}
	if got, want := string(r.Request()), `{"input":["a","b"],"messages":[{"role":"user","content":"hi"}],"model":"m","n":3}`; got != want {
		t.Errorf("request %s, want %s", got, want)
	}
}

func TestChunk(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: `"a\u00e9\n"`, want: "aé\n"},
		{in: `""`},
		{in: `{"base64":"AP8="}`, want: "\x00\xff"},
		{in: `{"repeat":"ab","times":3}`, want: "ababab"},
		{in: `{"base64":"?"}`, err: "illegal base64"},
		{in: `{"repeat":"ab"}`, err: "neither"},
		{in: `{"base64":"AA==","times":2}`, err: "neither"},
		{in: `{"text":"ab"}`, err: "unknown field"},
		{in: `{}`, err: "neither"},
		{in: `3`, err: "cannot unmarshal"},
	} {
		var c Chunk
		err := json.Unmarshal([]byte(tt.in), &c)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.in, err, tt.err)
			}
		} else if err != nil || string(c) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.in, c, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"{}\n{":        "line 2",
		`{"nmae":"x"}`: "unknown field",
		`{"chunks":[],"after":{"what":"cut","chunk":0}}`:  "invalid after",
		`{"chunks":["a"],"after":{"what":"x","chunk":0}}`: "invalid after",
	} {
		if _, err := parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", in, err, want)
		}
	}
}

// TestServeHTTP fetches each row over a connection and compares it byte for byte.
func TestServeHTTP(t *testing.T) {
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, r := range Rows() {
		t.Run(strings.NewReplacer(" ", "_", "/", "-").Replace(r.Name), func(t *testing.T) {
			server := httptest.NewServer(r)
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			want, broken := r.Body(), false
			if l := r.Header["Content-Length"]; l != "" && l != strconv.Itoa(len(want)) {
				broken = true
			}
			if a := r.After; a != nil && a.What != Gone {
				broken = true
				want = Row{Chunks: r.Chunks[:a.Chunk+1]}.Body()
				if a.What == Stall {
					time.AfterFunc(20*time.Millisecond, cancel)
				}
			}
			req, err := http.NewRequestWithContext(ctx, r.Method, server.URL+r.Route, strings.NewReader(string(r.Request())))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				if !broken || len(want) > 0 {
					t.Error(err)
				}
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if string(body) != string(want) || resp.StatusCode != r.Status || (err != nil) != broken {
				t.Errorf("got %d of %d bytes, status %d of %d, error %v", len(body), len(want), resp.StatusCode, r.Status, err)
			}
			for k, v := range r.Header {
				if k != "Content-Length" && resp.Header.Get(k) != v {
					t.Errorf("header %s: %q, want %q", k, resp.Header.Get(k), v)
				}
			}
			if got := resp.Header.Get("Content-Type"); got != r.Header["Content-Type"] {
				t.Errorf("Content-Type %q, want %q", got, r.Header["Content-Type"])
			}
			if a := r.After; a != nil && a.What == Stall && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context canceled", err)
			}
		})
	}
}
