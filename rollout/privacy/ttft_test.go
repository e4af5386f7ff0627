package privacy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout/privacy"
)

// model streams tokens: the first one after ttft, the others after gap each.
func model(ttft, gap time.Duration, tokens ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		wait := ttft
		for _, token := range tokens {
			time.Sleep(wait)
			wait = gap
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}]}\n\n", quote(token))
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, "data: [DONE]\n\n")
	})
}

// arrivals notes when content arrives.
type arrivals struct {
	http.ResponseWriter
	began time.Time
	at    []time.Duration
	texts []string
}

func (a *arrivals) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		var event struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || json.Unmarshal([]byte(data), &event) != nil {
			continue
		}
		for _, c := range event.Choices {
			if c.Delta.Content != "" {
				a.at, a.texts = append(a.at, time.Since(a.began)), append(a.texts, c.Delta.Content)
			}
		}
	}
	return len(p), nil
}

func ask(h http.Handler) *arrivals {
	a := &arrivals{ResponseWriter: httptest.NewRecorder(), began: time.Now()}
	h.ServeHTTP(a, httptest.NewRequest("POST", "/", nil))
	return a
}

// TestTimeToFirstToken: a token that ends with a space is sent when it arrives, and one that
// ends within a word with the next one, since an address may have begun.
func TestTimeToFirstToken(t *testing.T) {
	const ttft, gap = 300 * time.Millisecond, 10 * time.Millisecond
	r := redactor(t, privacy.Config{})
	for name, tt := range map[string]struct {
		tokens []string
		first  time.Duration
	}{
		"space after":    {[]string{"Hello ", "to ", "you."}, ttft},
		"space before":   {[]string{"Hello", " to", " you."}, ttft + gap},
		"punctuation":    {[]string{"Hello,", " you"}, ttft},
		"other letters":  {[]string{"你好", "世界"}, ttft},
		"a whole phrase": {[]string{"Hello to all of", " you"}, ttft},
	} {
		synctest.Test(t, func(t *testing.T) {
			plain := ask(model(ttft, gap, tt.tokens...))
			redacted := ask(r.Handler(model(ttft, gap, tt.tokens...), privacy.Both))
			if plain.at[0] != ttft || redacted.at[0] != tt.first {
				t.Errorf("%s: %v, with a redactor %v, want %v", name, plain.at[0], redacted.at[0], tt.first)
			}
			if got, want := strings.Join(redacted.texts, ""), strings.Join(tt.tokens, ""); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			if plain.at[len(plain.at)-1] != redacted.at[len(redacted.at)-1] {
				t.Errorf("%s: the last text comes later", name)
			}
		})
	}
}

// BenchmarkTimeToFirstToken measures the median of ten interleaved rounds over HTTP, with and
// without a redactor.
func BenchmarkTimeToFirstToken(b *testing.B) {
	r := redactor(b, privacy.Config{})
	for name, tokens := range map[string][]string{"space after": {"Hello ", "to ", "you."}, "space before": {"Hello", " to", " you."}} {
		b.Run(name, func(b *testing.B) {
			m := model(300*time.Millisecond, 10*time.Millisecond, tokens...)
			servers := []*httptest.Server{httptest.NewServer(m), httptest.NewServer(r.Handler(m, privacy.Both))}
			for b.Loop() {
				var times [2][]time.Duration
				for range 10 {
					for i, s := range servers {
						times[i] = append(times[i], first(b.Context(), b, s.URL))
					}
				}
				slices.Sort(times[0])
				slices.Sort(times[1])
				b.ReportMetric(100*(float64(times[1][5])/float64(times[0][5])-1), "%-later")
			}
			for _, s := range servers {
				s.Close()
			}
		})
	}
}

// first returns the time until the first content.
func first(ctx context.Context, b *testing.B, url string) time.Duration {
	b.Helper()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 4096)
	var all string
	for {
		n, err := resp.Body.Read(buf)
		all += string(buf[:n])
		if strings.Contains(all, `"content":"H`) {
			took := time.Since(began)
			_, _ = io.Copy(io.Discard, resp.Body)
			return took
		}
		if err != nil {
			b.Fatalf("%v in %q", err, all)
		}
	}
}
