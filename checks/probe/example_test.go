package probe_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/serin-go/serin/checks/probe"
)

func ExampleHTTP() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"warn"}`)
	}))
	defer server.Close()
	r := probe.HTTP(probe.HTTPOptions{URL: server.URL, JSON: map[string]string{"/status": "pass"}}).Check(context.Background())
	fmt.Println(r.Status)
	// Output: fail
}
