package origin_test

import (
	"net/url"
	"testing"

	"github.com/serin-go/serin/internal/origin"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		"http://host": "http://host", "HTTP://HOST/": "http://host", "http://host:80/path": "http://host", "http://host:": "http://host",
		"https://host:443": "https://host", "http://host:443": "http://host:443", "https://host:80": "https://host:80",
		"http://host:8080": "http://host:8080", "http://[::1]:80": "http://[::1]", "http://[::80]": "http://[::80]", "https://u:p@Host": "https://host",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := origin.Of(u); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
