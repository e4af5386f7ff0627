package traffic

import (
	"net/http"
	"net/url"
	"testing"
)

func TestCredentialsPass(t *testing.T) {
	parse := func(s string) *url.URL {
		if s == "" {
			return nil
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, tt := range []struct {
		c             Credentials
		arm, baseline string
		mirror, want  bool
	}{
		{Auto, "https://api.openai.com", "https://api.openai.com", false, true},
		{Auto, "https://API.openai.com/v2", "https://api.openai.com", false, true},
		{Auto, "http://api.openai.com", "https://api.openai.com", false, false},
		{Auto, "https://api.openai.com:8443", "https://api.openai.com", false, false},
		{Auto, "https://api.anthropic.com", "https://api.openai.com", false, false},
		{Auto, "http://10.0.0.15:8000", "http://10.0.0.14:8000", false, true},
		{Auto, "http://vllm-2", "http://vllm-1.models.svc.cluster.local", false, true},
		{Auto, "http://[fd00::1]:8000", "http://127.0.0.1", false, true},
		{Auto, "https://api.openai.com", "http://10.0.0.14", false, false},
		{Auto, "http://10.0.0.14", "https://api.openai.com", false, false},
		{Auto, "http://8.8.8.8", "http://8.8.4.4", false, false},
		{Auto, "http://evil.example/.local", "http://a.local", false, false},
		{Auto, "http://10.0.0.15", "http://10.0.0.14", true, false},
		{Auto, "", "https://api.openai.com", false, true},
		{Auto, "https://api.openai.com", "", false, false},
		{Pass, "https://api.anthropic.com", "https://api.openai.com", true, true},
		{Drop, "https://api.openai.com", "https://api.openai.com", false, false},
		{Credentials(9), "http://a", "http://a", false, false},
	} {
		if got := tt.c.passes(parse(tt.arm), parse(tt.baseline), tt.mirror); got != tt.want {
			t.Errorf("%d: arm %q beside %q, mirror %t: %t", tt.c, tt.arm, tt.baseline, tt.mirror, got)
		}
	}
}

func TestDropKey(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "alt=sse": "alt=sse", "key=a": "", "alt=sse&key=a&x=%20": "alt=sse&x=%20", "%6bey=a&monkey=b": "monkey=b", "key": "", "a=key": "a=key",
	} {
		if got := dropKey(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDropOwn(t *testing.T) {
	h := http.Header{"Serin-Unit": {"ana"}, "serin-x": {"1"}, "Serin": {"2"}, "Accept": {"*/*"}}
	if dropOwn(h); len(h) != 2 || h["Serin"] == nil || h["Accept"] == nil {
		t.Errorf("%v is left", h)
	}
}
