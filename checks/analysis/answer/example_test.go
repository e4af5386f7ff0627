package answer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// A login page with status 200 is no answer of a model.
func ExampleRead() {
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<html>Please sign in</html>")
	}))
	defer portal.Close()
	resp, err := http.Post(portal.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome := answer.Read(resp)
	fmt.Println(outcome.Class, "because of", outcome.Why)
	// Output: invalid because of html
}

// A proxy reads along while a stream passes.
func ExampleReader() {
	route := answer.RouteOf("POST", "/v1/chat/completions")
	r := answer.Reader{Ask: answer.AskOf(route, "application/json", []byte(`{"model":"m","stream":true}`))}
	r.Start(200, http.Header{"Content-Type": {"text/event-stream"}})
	r.Feed([]byte(`data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}`+"\n\n"), 200*time.Millisecond)
	fmt.Println("content has come:", r.State() == answer.Begun)
	r.Feed([]byte(`data: {"choices":[{"index":0,"delta":{"content":" there"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n"), 240*time.Millisecond)
	o := r.End(241*time.Millisecond, answer.Cause{})
	fmt.Println(o.Class, o.Finish, o.First, o.Chunks)
	// Output:
	// content has come: true
	// ok stop 200ms 2
}

// The same stream without its end is cut, and a service learns why.
func ExampleReader_broken() {
	r := answer.Reader{Ask: answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Read: true, Stream: true}}
	r.Start(200, http.Header{"Content-Type": {"text/event-stream"}})
	r.Feed([]byte(`data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}`+"\n\n"), 200*time.Millisecond)
	o := r.End(time.Second, answer.Cause{})
	fmt.Println(o.Class == analysis.Truncated, o.Why)
	// Output: true no finish reason
}

// TextOf gives what was said, whatever the form.
func ExampleTextOf() {
	route := answer.RouteOf("POST", "/v1/messages")
	text := answer.TextOf(route, answer.Document, []byte(`{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}`))
	fmt.Println(text.Content, text.Finish)
	// Output: Hello end_turn
}
